"""The text of an invitation, an answer or a cancellation (text/calendar, RFC 5545)."""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

import icalendar

from onecard_client._mailbox.html import html_to_text
from onecard_client._mailbox.mime.calendars.ical import (
    MAX_TEXT_CHARACTERS,
    Calendar,
    Entry,
    read_calendar,
)

MAX_ATTENDEES = 10
MAX_DESCRIPTION_CHARACTERS = 4_000
MAX_FIELD_CHARACTERS = 500

# RFC 5546, section 1.4
_METHODS = {
    "ADD": "invitation to more dates of an event", "CANCEL": "cancellation of an event",
    "COUNTER": "proposal of another time", "DECLINECOUNTER": "refusal of another time",
    "PUBLISH": "calendar entry", "REFRESH": "question for the newest state of an event",
    "REPLY": "answer to an invitation", "REQUEST": "invitation",
}  # fmt: skip
_ANSWERS = {
    "ACCEPTED": "accepts", "DECLINED": "declines", "TENTATIVE": "may come",
    "DELEGATED": "sends somebody else", "NEEDS-ACTION": "has not answered",
    "COMPLETED": "is done", "IN-PROCESS": "is at it",
}  # fmt: skip
_KINDS = {"VTODO": "task", "VJOURNAL": "journal entry", "VFREEBUSY": "free and busy times"}
_LINKS = ("URL", "CONFERENCE", "X-GOOGLE-CONFERENCE", "X-MICROSOFT-SKYPETEAMSMEETINGURL")
# A time that cannot be read is told as it is written.
_TOLD_IF_BROKEN = {"ATTENDEE", "DURATION", "LOCATION", "ORGANIZER", "RDATE", "RRULE", "SUMMARY"}
_DAYS = {
    "MO": "Monday", "TU": "Tuesday", "WE": "Wednesday", "TH": "Thursday", "FR": "Friday",
    "SA": "Saturday", "SU": "Sunday",
}  # fmt: skip
_UNITS = {"DAILY": "day", "WEEKLY": "week", "MONTHLY": "month", "YEARLY": "year"}
_TAG = re.compile(r"<(?:br|p|div|span|a|html|table|b|font)\b[^<>]*>", re.IGNORECASE)
_SPACES = re.compile(r"\s+")


def invitation_text(content: bytes) -> str:
    """Tells kind, title, times with their zones, place, people and description; never raises.

    Args:
        content: the part's bytes, transfer encoding undone. The charset is found by itself, since
            RFC 5545 has UTF-8 and the declared one is often wrong.
    """
    calendar = read_calendar(content)
    if not calendar.entries:
        return "[invitation that cannot be read: it has no event; its file is broken or empty]"
    texts = [_entry_text(calendar, entry) for entry in calendar.entries]
    if calendar.num_left_out:
        texts.append(f"[{calendar.num_left_out} more events left out]")
    return "\n\n".join(texts)


def _entry_text(calendar: Calendar, entry: Entry) -> str:
    component = entry.properties
    rows = [
        ("", f"[{_heading(calendar.method, entry)}]"),
        ("Title", _text(component, "SUMMARY")),
        ("Start", _time(calendar, component, "DTSTART")),
        ("End", _time(calendar, component, "DTEND") or _duration(component)),
        ("Due", _time(calendar, component, "DUE")),
        ("Only the date that was", _time(calendar, component, "RECURRENCE-ID")),
        ("Repeats", _repetition(component)),
        ("Place", _text(component, "LOCATION")),
        ("Organiser", _person(_first(component, "ORGANIZER"))),
        ("Attendees", _attendees(calendar.method, entry)),
        ("Status", _text(component, "STATUS").lower()),
        ("Link", ", ".join(dict.fromkeys(_links(component)))),
        ("Attached", ", ".join(_attached(component))),
        ("Comment", _text(component, "COMMENT", MAX_DESCRIPTION_CHARACTERS)),
        ("Description", _description(component)),
    ]
    lines = [f"{name}: {text}" if name else text for name, text in rows if text]
    broken = {name for name, _ in component.errors if name in _TOLD_IF_BROKEN}
    if broken:
        lines.append(f"[cannot be read: {', '.join(sorted(map(str, broken)))}]")
    if len(lines) == 1:
        lines.append("[nothing in it can be read; its file is broken or empty]")
    return "\n".join(lines)


def _heading(method: str, entry: Entry) -> str:
    component = entry.properties
    heading = _METHODS.get(
        method, f"calendar entry, {method.lower()}" if method else "calendar entry"
    )
    if method == "REQUEST" and _text(component, "SEQUENCE").strip("0"):
        heading = "invitation, changed since it was first sent"
    what = _KINDS.get(entry.kind)
    if method == "REPLY":
        answers = [_answer(person) for person in _all(component, "ATTENDEE")[:MAX_ATTENDEES]]
        heading = "; ".join([heading, *answers])
    return f"{heading} ({what})" if what else heading


def _answer(attendee: Any) -> str:
    status = _parameter(attendee, "PARTSTAT").upper()
    return f"{_person(attendee)} {_ANSWERS.get(status, status.lower() or 'says nothing')}"


def _all(component: icalendar.Component, name: str) -> list[Any]:
    try:
        value = component.get(name)
    except Exception:
        return []
    return [] if value is None else value if isinstance(value, list) else [value]


def _first(component: icalendar.Component, name: str) -> Any:
    return next(iter(_all(component, name)), "")


def _text(
    component: icalendar.Component, name: str, max_characters: int = MAX_FIELD_CHARACTERS
) -> str:
    texts = (_shown(value).strip() for value in _all(component, name)[:MAX_ATTENDEES])
    text = "; ".join(text for text in texts if text)
    if max_characters == MAX_FIELD_CHARACTERS:
        text = _SPACES.sub(" ", text)
    return _shortened(text, max_characters)


def _shown(value: Any) -> str:
    try:
        if _parameter(value, "ENCODING").upper() == "QUOTED-PRINTABLE":  # vCalendar 1.0
            return quopri.decodestring(str(value).encode()).decode("utf-8", "replace")
        if isinstance(value, str | int):
            return str(value)
        ical = value.to_ical()
        return ical.decode("utf-8", "replace") if isinstance(ical, bytes) else str(ical)
    except Exception:
        return ""


def _shortened(text: str, max_characters: int) -> str:
    num_left_out = len(text) - max_characters
    if num_left_out <= 0:
        return text
    return f"{text[:max_characters]} [... {num_left_out} characters left out]"


def _parameter(value: Any, name: str) -> str:
    parameters = getattr(value, "params", None) or {}
    found = parameters.get(name, "")
    return str(found[0] if isinstance(found, list) and found else found or "")


def _time(calendar: Calendar, component: icalendar.Component, name: str) -> str:
    """A day, or a time with the zone as the calendar names it and what that is from UTC."""
    value = _first(component, name)
    if value == "":
        return ""
    zone = _parameter(value, "TZID").strip('"')
    try:
        moment = value.dt
        if isinstance(moment, datetime):
            offsets = calendar.offsets.get(zone, "")
            return f"{moment:%A %Y-%m-%d %H:%M} {_zone(moment, zone, offsets)}"
        if isinstance(moment, date):
            return f"{_last_day(moment, name):%A %Y-%m-%d} (all day)"
    except Exception:  # icalendar's for a value that it keeps and cannot read
        pass
    written = _shortened(_shown(value), MAX_FIELD_CHARACTERS)
    return f"`{written}` {zone} (cannot be read as a time)".replace("  ", " ")


def _last_day(day: date, name: str) -> date:
    # DTEND is the first day after the event (RFC 5545, section 3.6.1)
    return day - timedelta(days=1) if name == "DTEND" and day > date.min else day


def _zone(moment: datetime, name: str, offsets: str) -> str:
    offset = moment.utcoffset()
    if offset is None and name:
        return f"{name} ({offsets or 'zone not known'})"
    if offset is None:
        return "(local time, wherever one is)"
    if not name:
        return "UTC" if not offset else f"(UTC{moment:%z})"
    return f"{name} (UTC{moment.strftime('%z')[:3]}:{moment.strftime('%z')[3:5]})"


def _duration(component: icalendar.Component) -> str:
    value = _first(component, "DURATION")
    try:
        return f"{value.dt} after the start" if isinstance(value.dt, timedelta) else ""
    except Exception:
        return ""


def _repetition(component: icalendar.Component) -> str:
    rules = [_rule(value) for value in _all(component, "RRULE")[:3]]
    others = len(_all(component, "RDATE"))
    if others:
        rules.append("also on other dates")
    return "; ".join(rule for rule in rules if rule)


def _rule(value: Any) -> str:
    """The rule in words if it is simple, else as it is written."""
    written = _shortened(_shown(value), MAX_FIELD_CHARACTERS)
    parts = dict(part.partition("=")[::2] for part in written.upper().split(";"))
    unit = _UNITS.get(parts.pop("FREQ", ""))
    interval = parts.pop("INTERVAL", "1")
    days = [_DAYS.get(day, "") for day in parts.pop("BYDAY", "").split(",") if day]
    count, until = parts.pop("COUNT", ""), parts.pop("UNTIL", "")
    parts.pop("WKST", None)
    if parts or not unit or not all(days):
        return written
    words = [f"every {unit}" if interval == "1" else f"every {interval} {unit}s"]
    words += [f"on {', '.join(days)}"] if days else []
    words += [f"{count} times"] if count else []
    words += [f"until {until[:4]}-{until[4:6]}-{until[6:8]}"] if until else []
    return " ".join(words)


def _person(value: Any) -> str:
    address = _shown(value).strip()
    if address.lower().startswith("mailto:"):
        address = address[len("mailto:") :]
    name = _parameter(value, "CN").strip('" ')
    person = f"{name} <{address}>" if name and name != address else address
    by = _parameter(value, "SENT-BY").strip('"')
    person += f" (by {by.removeprefix('mailto:')})" if by else ""
    return _shortened(_SPACES.sub(" ", person), MAX_FIELD_CHARACTERS)


def _attendees(method: str, entry: Entry) -> str:
    everybody = _all(entry.properties, "ATTENDEE")
    if not everybody or method == "REPLY":
        return ""
    named = ", ".join(_person(attendee) for attendee in everybody[:MAX_ATTENDEES])
    more = entry.num_attendees - MAX_ATTENDEES
    return f"{entry.num_attendees}: {named}" + (f" and {more} more" if more > 0 else "")


def _links(component: icalendar.Component) -> Iterable[str]:
    return [text for name in _LINKS if (text := _text(component, name))]


def _attached(component: icalendar.Component) -> Iterable[str]:
    for value in _all(component, "ATTACH")[:MAX_ATTENDEES]:
        name = _parameter(value, "FILENAME") or _parameter(value, "X-FILENAME")
        is_link = _parameter(value, "ENCODING").upper() != "BASE64"
        link = _shortened(_shown(value), MAX_FIELD_CHARACTERS) if is_link else ""
        yield " ".join(text for text in (name, link) if text) or "a file"


def _description(component: icalendar.Component) -> str:
    """Programs show the HTML where there is one, so a text that differs does not stand for it."""
    plain = _readable(_text(component, "DESCRIPTION", MAX_TEXT_CHARACTERS))
    html = _readable(_text(component, "X-ALT-DESC", MAX_TEXT_CHARACTERS))
    if html and _SPACES.sub("", html) not in _SPACES.sub("", plain):
        plain = f"{plain}\n[the same as HTML, which differs]\n{html}" if plain else html
    return _shortened(plain, MAX_DESCRIPTION_CHARACTERS)


def _readable(text: str) -> str:
    return html_to_text(text).text.strip() if _TAG.search(text) else text
