"""Events of real calendars: with broken folds, in any charset, without an END."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from typing import NamedTuple

import icalendar
from icalendar.parser import Contentline

MAX_CALENDAR_BYTES = 1_000_000
# Of one line, unfolded.
MAX_LINE_CHARACTERS = 2_000
MAX_TEXT_CHARACTERS = 20_000
# Of one event: a mail may have a thousand calendars, and icalendar takes 50 microseconds for a
# line, or two for each letter of a rule.
MAX_LINES_OF_A_NAME = 20
MAX_EVENTS = 10

_TEXTS = ("COMMENT", "DESCRIPTION", "X-ALT-DESC")
_NAMES = {
    *_TEXTS, "ATTACH", "ATTENDEE", "CONFERENCE", "DTEND", "DTSTART", "DUE", "DURATION", "LOCATION",
    "ORGANIZER", "RDATE", "RECURRENCE-ID", "RRULE", "SEQUENCE", "STATUS", "SUMMARY", "URL",
    "X-GOOGLE-CONFERENCE", "X-MICROSOFT-SKYPETEAMSMEETINGURL",
}  # fmt: skip
_SHOWN = ("VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY")
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)  # fmt: skip
# A fold may stand between two bytes of one character (RFC 5545, section 3.1).
_FOLD = re.compile(rb"(?:\r\n?|\n)[ \t]")
_LINE_END = re.compile(r"\r\n|\r|\n")
_TIME = re.compile(r"DT|DUE|DURATION|RECURRENCE", re.IGNORECASE)
_PROPERTY = re.compile(r"[A-Za-z0-9-]+[;:]")
# `TZID=(UTC+01:00) Berlin:2025...`: a name with a colon has to be quoted, and often is not.
_ZONE_WITH_COLON = re.compile(r';TZID=([^":;]+:[^":;]+):')
_OFFSET = re.compile(r"([+-]\d\d)(\d\d)")


class Entry(NamedTuple):
    kind: str  # `VEVENT` or the like
    properties: icalendar.Component  # the first of each name, without those of its alarms
    num_attendees: int


class Calendar(NamedTuple):
    method: str  # in capitals, or nothing
    entries: list[Entry]
    num_left_out: int
    offsets: dict[str, str]  # of the zones that the calendar defines, in words


class _Block(NamedTuple):
    kind: str
    lines: dict[str, list[str]]  # by their names


def read_calendar(content: bytes) -> Calendar:
    """The first ten events, tasks or journal entries; never raises.

    icalendar is given one at a time and well-formed, and no VTIMEZONE: it computes the changes of
    a zone up to 2038, and a hostile one has a change each second.
    """
    method = zone = ""
    offsets: dict[str, str] = {}
    blocks: list[_Block] = []
    open_names: list[str] = []
    for line in _lines(content[:MAX_CALENDAR_BYTES]):
        name, value = _name(line), line.partition(":")[2].strip()
        if name == "BEGIN":
            value = value.upper()
            if value in _SHOWN:  # before it something may lack its END
                open_names = []
                blocks.append(_Block(value, {}))
            open_names = [*open_names[-8:], value]
        elif name == "END":
            value = value.upper()
            open_names = open_names[: open_names.index(value)] if value in open_names else []
        elif open_names and open_names[-1] in _SHOWN:
            blocks[-1].lines.setdefault(name, []).append(line)
        elif name == "METHOD":
            method = method or value.upper()
        elif name == "TZID":
            zone = value
        elif name == "TZOFFSETTO" and open_names:
            offsets[zone] = _with_offset(offsets.get(zone, ""), open_names[-1], value)
    entries = [_entry(block) for block in blocks[:MAX_EVENTS]]
    return Calendar(method, entries, max(0, len(blocks) - MAX_EVENTS), offsets)


def _with_offset(offsets: str, season: str, value: str) -> str:
    found = _OFFSET.match(value)
    if not found or len(offsets) > 40:
        return offsets
    when = " in summer" if season == "DAYLIGHT" else ""
    text = f"UTC{found[1]}:{found[2]}{when}"
    return offsets if text in offsets else ", ".join(filter(None, (offsets, text)))


def _lines(content: bytes) -> Iterator[str]:
    """Properties, each whole; what is none goes on with the one before, if that is no time."""
    before = ""
    for line in _LINE_END.split(_decoded(content)):
        if _PROPERTY.match(line.lstrip()):
            if before:
                yield before
            before = line.strip()
        elif line.strip() and not _TIME.match(before) and 0 < len(before) < MAX_TEXT_CHARACTERS:
            # wrapped by a program that does not fold, or by quoted-printable of vCalendar 1.0
            before = before[:-1] if before.endswith("=") else before + " "
            before += line.strip()
    if before:
        yield before


def _decoded(content: bytes) -> str:
    for mark, charset in _BOMS:
        if content.startswith(mark):
            text = content[len(mark) :].decode(charset, "replace")
            content = text.encode("utf-8", "replace")
    content = _FOLD.sub(b"", content)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = content.decode("cp1252", "replace")
    return text.replace("\0", "")


def _name(line: str) -> str:
    return re.split("[;:]", line, maxsplit=1)[0].upper()


def _entry(block: _Block) -> Entry:
    lines = [
        line[: MAX_TEXT_CHARACTERS if name in _TEXTS else MAX_LINE_CHARACTERS]
        for name in _NAMES & block.lines.keys()
        for line in block.lines[name][:MAX_LINES_OF_A_NAME]
    ]
    return Entry(block.kind, _properties(lines), len(block.lines.get("ATTENDEE", [])))


def _properties(lines: list[str]) -> icalendar.Component:
    """All are read as events: icalendar keeps of an event what it can, and of others nothing."""
    text = "\r\n".join(("BEGIN:VEVENT", *map(_mended, lines), "END:VEVENT", ""))
    try:
        return icalendar.Event.from_ical(text)
    except Exception:  # what it raises for input that it did not meet is not stated
        return icalendar.Event()


def _mended(line: str) -> str:
    """Without its parameters, if they cannot be read."""
    line = _ZONE_WITH_COLON.sub(r';TZID="\1":', line)
    try:
        Contentline(line).parts()  # type: ignore[no-untyped-call]
    except Exception:
        return f"{_name(line)}:{line.partition(':')[2]}"
    return line
