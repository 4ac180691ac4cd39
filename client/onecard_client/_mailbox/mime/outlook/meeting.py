"""Converts Outlook's properties of a meeting into the invitation of an email."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

# Message classes (MS-OXOCAL, section 2.2); the longer ones first.
_CLASSES = (
    ("ipm.schedule.meeting.resp.pos", "REPLY", "ACCEPTED"),
    ("ipm.schedule.meeting.resp.neg", "REPLY", "DECLINED"),
    ("ipm.schedule.meeting.resp.tent", "REPLY", "TENTATIVE"),
    ("ipm.schedule.meeting.canceled", "CANCEL", ""),
    ("ipm.schedule.meeting", "REQUEST", ""),
    ("ipm.microsoft schedule.mtgrespp", "REPLY", "ACCEPTED"),  # as TNEF of old has them
    ("ipm.microsoft schedule.mtgrespn", "REPLY", "DECLINED"),
    ("ipm.microsoft schedule.mtgrespa", "REPLY", "TENTATIVE"),
    ("ipm.microsoft schedule.mtgcncl", "CANCEL", ""),
    ("ipm.microsoft schedule", "REQUEST", ""),
    ("ipm.appointment", "PUBLISH", ""),
)


class Meeting(NamedTuple):
    title: str
    start: datetime | None
    end: datetime | None
    place: str


def is_meeting(message_class: str) -> bool:
    return any(message_class.lower().startswith(name) for name, _, _ in _CLASSES)


def calendar_of_meeting(message_class: str, meeting: Meeting, sender: str) -> bytes:
    """A text/calendar of the meeting; empty if it has neither time nor place.

    Args:
        sender: who sent it: of an answer the attendee, of others the organiser.
    """
    if not is_meeting(message_class) or not any((meeting.start, meeting.end, meeting.place)):
        return b""
    name = message_class.lower()
    method, answer = next(rest for start, *rest in _CLASSES if name.startswith(start))
    who = f"ATTENDEE;PARTSTAT={answer}" if answer else "ORGANIZER"
    lines = ["BEGIN:VCALENDAR", f"METHOD:{method}", "BEGIN:VEVENT"]
    lines += [f"SUMMARY:{_escaped(meeting.title)}"] if meeting.title else []
    lines += [f"DTSTART:{_utc(meeting.start)}"] if meeting.start else []
    lines += [f"DTEND:{_utc(meeting.end)}"] if meeting.end else []
    lines += [f"LOCATION:{_escaped(meeting.place)}"] if meeting.place else []
    lines += [f"{who}:{' '.join(sender.split())}"] if sender else []
    lines += ["END:VEVENT", "END:VCALENDAR", ""]
    return "\r\n".join(lines).encode("utf-8", "replace")


def _utc(moment: datetime) -> str:
    return f"{moment:%Y%m%dT%H%M%SZ}"


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return " ".join(text.split())
