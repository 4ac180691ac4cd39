"""Invitations: what people see of them, from calendars as programs write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecard_client._mailbox.mime.calendars.invitation import (
    MAX_ATTENDEES,
    MAX_DESCRIPTION_CHARACTERS,
    invitation_text,
)

OUTLOOK = """BEGIN:VCALENDAR\r
METHOD:REQUEST\r
PRODID:Microsoft Exchange Server 2010\r
VERSION:2.0\r
BEGIN:VTIMEZONE\r
TZID:W. Europe Standard Time\r
BEGIN:STANDARD\r
DTSTART:16010101T030000\r
TZOFFSETFROM:+0200\r
TZOFFSETTO:+0100\r
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10\r
END:STANDARD\r
BEGIN:DAYLIGHT\r
DTSTART:16010101T020000\r
TZOFFSETFROM:+0100\r
TZOFFSETTO:+0200\r
RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=3\r
END:DAYLIGHT\r
END:VTIMEZONE\r
BEGIN:VEVENT\r
ORGANIZER;CN=Jörg Müller:mailto:joerg@example.com\r
ATTENDEE;ROLE=REQ-PARTICIPANT;PARTSTAT=NEEDS-ACTION;RSVP=TRUE;CN="Ann, B.":mailto:\r
 ann@example.com\r
DESCRIPTION;LANGUAGE=de-DE:Hallo\\,\\nbitte vorbereiten: Zahlen für Q3\r
RRULE:FREQ=WEEKLY;COUNT=4;BYDAY=MO,WE\r
SUMMARY;LANGUAGE=de-DE:Gespräch 会議\r
DTSTART;TZID=W. Europe Standard Time:20250711T140000\r
DTEND;TZID=W. Europe Standard Time:20250711T150000\r
UID:040000008200E00074C5B7101A82E008\r
DTSTAMP:20250701T080000Z\r
STATUS:CONFIRMED\r
SEQUENCE:0\r
LOCATION;LANGUAGE=de-DE:Microsoft Teams-Besprechung\r
BEGIN:VALARM\r
DESCRIPTION:REMINDER\r
TRIGGER;RELATED=START:-PT15M\r
ACTION:DISPLAY\r
END:VALARM\r
END:VEVENT\r
END:VCALENDAR\r
"""

GOOGLE = """BEGIN:VCALENDAR
PRODID:-//Google Inc//Google Calendar 70.9054//EN
VERSION:2.0
CALSCALE:GREGORIAN
METHOD:REQUEST
BEGIN:VEVENT
DTSTART:20250711T120000Z
DTEND:20250711T123000Z
DTSTAMP:20250701T080000Z
ORGANIZER;CN=boss@example.com:mailto:boss@example.com
ATTENDEE;CUTYPE=INDIVIDUAL;ROLE=REQ-PARTICIPANT;PARTSTAT=ACCEPTED;RSVP=TRUE
 ;CN=boss@example.com;X-NUM-GUESTS=0:mailto:boss@example.com
X-GOOGLE-CONFERENCE:https://meet.google.com/abc-defg-hij
DESCRIPTION:<b>Plan</b><br>See <a href="https://example.com/doc">the plan</a>
LOCATION:
SEQUENCE:1
SUMMARY:Stand-up
END:VEVENT
END:VCALENDAR
"""


def lines_of(text: str | bytes) -> list[str]:
    content = text if isinstance(text, bytes) else text.encode()
    return invitation_text(content).split("\n")


def event(*lines: str, method: str = "REQUEST") -> str:
    return "\n".join(
        ("BEGIN:VCALENDAR", f"METHOD:{method}", "BEGIN:VEVENT", *lines, "END:VEVENT",
         "END:VCALENDAR")
    )  # fmt: skip


def test_outlook() -> None:
    assert lines_of(OUTLOOK) == [
        "[invitation]",
        "Title: Gespräch 会議",
        "Start: Friday 2025-07-11 14:00 W. Europe Standard Time (UTC+02:00)",
        "End: Friday 2025-07-11 15:00 W. Europe Standard Time (UTC+02:00)",
        "Repeats: every week on Monday, Wednesday 4 times",
        "Place: Microsoft Teams-Besprechung",
        "Organiser: Jörg Müller <joerg@example.com>",
        "Attendees: 1: Ann, B. <ann@example.com>",
        "Status: confirmed",
        "Description: Hallo,",
        "bitte vorbereiten: Zahlen für Q3",
    ]


def test_google() -> None:
    lines = lines_of(GOOGLE)
    assert lines[:5] == [
        "[invitation, changed since it was first sent]",
        "Title: Stand-up",
        "Start: Friday 2025-07-11 12:00 UTC",
        "End: Friday 2025-07-11 12:30 UTC",
        "Organiser: boss@example.com",
    ]
    assert "Link: https://meet.google.com/abc-defg-hij" in lines
    description = "\n".join(lines[lines.index("Description: Plan") :])
    assert "the plan" in description
    assert "<br>" not in description


@pytest.mark.parametrize(
    ("change", "to"),
    [
        ("\r\n", "\n"),
        ("\r\n", "\r"),
        ("BEGIN:VCALENDAR", "\ufeffBEGIN:VCALENDAR"),
        ("END:VEVENT\r\nEND:VCALENDAR\r\n", ""),
        ("END:VALARM\r\n", ""),
        ("END:VTIMEZONE\r\n", ""),
        ("END:DAYLIGHT\r\n", ""),
        ("UID:", "this line is none\r\nUID:"),
        ("UID:", "X-EMPTY\r\n\r\n;;;:\r\nUID:"),
    ],
)
def test_broken_calendar_says_the_same(change: str, to: str) -> None:
    assert lines_of(OUTLOOK.replace(change, to))[:7] == lines_of(OUTLOOK)[:7]


def test_fold_within_a_character() -> None:
    character = "会".encode()
    folded = OUTLOOK.encode().replace(character, character[:1] + b"\r\n " + character[1:])
    assert lines_of(folded) == lines_of(OUTLOOK)


@pytest.mark.parametrize("charset", ["utf-16", "utf-16-le", "cp1252"])
def test_charset_that_is_not_utf8(charset: str) -> None:
    mark = "\ufeff" if charset == "utf-16-le" else ""
    text = mark + event("SUMMARY:Café").replace("\n", "\r\n")
    assert lines_of(text.encode(charset))[1] == "Title: Café"


def test_line_that_was_wrapped_and_not_folded() -> None:
    assert lines_of(event("SUMMARY:Talk about", "the budget", "LOCATION:Here"))[1:] == [
        "Title: Talk about the budget",
        "Place: Here",
    ]


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (";TZID=Europe/Berlin:20251211T140000", "2025-12-11 14:00 Europe/Berlin (UTC+01:00)"),
        (";TZID=Tokyo Standard Time:20250711T140000", "14:00 Tokyo Standard Time (UTC+09:00)"),
        (";TZID=Nowhere/At All:20250711T140000", "14:00 Nowhere/At All (zone not known)"),
        (";TZID=(UTC+01:00) Bern:20250711T140000", "14:00 (UTC+01:00) Bern (zone not known)"),
        (":20250711T140000", "Friday 2025-07-11 14:00 (local time, wherever one is)"),
        (";VALUE=DATE:20250711", "Friday 2025-07-11 (all day)"),
        (";TZID=UTC:next friday", "`next friday` UTC (cannot be read as a time)"),
        (":20259911T140000Z", "`20259911T140000Z` (cannot be read as a time)"),
    ],
)
def test_start(written: str, shown: str) -> None:
    start = lines_of(event(f"DTSTART{written}"))[1]
    assert start.startswith("Start: ")
    assert start.endswith(shown)


def test_zone_that_only_the_calendar_knows() -> None:
    own = OUTLOOK.replace("W. Europe Standard Time", "Customized Time Zone")
    assert lines_of(own)[2] == (
        "Start: Friday 2025-07-11 14:00 Customized Time Zone (UTC+01:00, UTC+02:00 in summer)"
    )


def test_days_end_on_the_last_of_them() -> None:
    text = event("DTSTART;VALUE=DATE:20250711", "DTEND;VALUE=DATE:20250713")
    assert "End: Saturday 2025-07-12 (all day)" in lines_of(text)


def test_duration() -> None:
    assert "End: 1:30:00 after the start" in lines_of(event("DURATION:PT1H30M"))


@pytest.mark.parametrize(
    ("rule", "shown"),
    [
        ("FREQ=DAILY;INTERVAL=2", "every 2 days"),
        ("FREQ=YEARLY;UNTIL=20300101T000000Z", "every year until 2030-01-01"),
        ("FREQ=MONTHLY;BYDAY=2MO", "FREQ=MONTHLY;BYDAY=2MO"),  # as it is
    ],
)
def test_repetition(rule: str, shown: str) -> None:
    assert f"Repeats: {shown}" in lines_of(event(f"RRULE:{rule}"))


@pytest.mark.parametrize(
    ("method", "heading"),
    [
        ("CANCEL", "[cancellation of an event]"),
        ("COUNTER", "[proposal of another time]"),
        ("PUBLISH", "[calendar entry]"),
        ("request", "[invitation]"),
        ("x-own", "[calendar entry, x-own]"),
    ],
)
def test_method(method: str, heading: str) -> None:
    assert lines_of(event("SUMMARY:s", method=method))[0] == heading


@pytest.mark.parametrize(
    ("status", "says"), [("DECLINED", "declines"), ("ACCEPTED", "accepts"), ("X-OWN", "x-own")]
)
def test_answer(status: str, says: str) -> None:
    text = event(
        "SUMMARY:Lunch", f"ATTENDEE;CN=Ann;PARTSTAT={status}:MAILTO:ann@x.de", "COMMENT:Sorry!",
        method="REPLY",
    )  # fmt: skip
    lines = lines_of(text)
    assert lines[0] == f"[answer to an invitation; Ann <ann@x.de> {says}]"
    assert "Comment: Sorry!" in lines


def test_many_attendees_are_counted() -> None:
    text = event(*(f"ATTENDEE:mailto:a{number}@x.de" for number in range(200)))
    (line,) = (line for line in lines_of(text) if line.startswith("Attendees"))
    assert line.startswith("Attendees: 200: a0@x.de, ")
    assert line.endswith(f" and {200 - MAX_ATTENDEES} more")


def test_html_that_differs_from_the_description() -> None:
    html = "X-ALT-DESC;FMTTYPE=text/html:<html><p>Your password is needed</p></html>"
    text = invitation_text(event("DESCRIPTION:Lunch", html).encode())
    assert "Description: Lunch" in text
    assert "Your password is needed" in text
    same = invitation_text(event("DESCRIPTION:Your password is needed", html).encode())
    assert same.count("password") == 1


def test_files_and_links() -> None:
    text = event(
        "ATTACH:https://x.de/setup.exe",
        "ATTACH;FILENAME=plan.pdf;ENCODING=BASE64;VALUE=BINARY:" + "QUFB" * 10_000,
    )
    assert "Attached: https://x.de/setup.exe, plan.pdf" in lines_of(text)


def test_task_and_several_events() -> None:
    task = "BEGIN:VTODO\nSUMMARY:Pay\nDUE;VALUE=DATE:20250711\nEND:VTODO"
    calendar = f"BEGIN:VCALENDAR\n{task}\n" + "BEGIN:VEVENT\nSUMMARY:Again\nEND:VEVENT\n" * 30
    text = invitation_text(calendar.encode())
    assert text.startswith("[calendar entry (task)]\nTitle: Pay\nDue: Friday 2025-07-11 (all day)")
    assert text.count("Again") == 9
    assert text.endswith("[21 more events left out]")


def test_vcalendar_of_old() -> None:
    line = "SUMMARY;CHARSET=UTF-8;ENCODING=QUOTED-PRINTABLE:Gr=C3=B6=\n=C3=9Fe"
    assert "Title: Größe" in lines_of(event(line))


@pytest.mark.parametrize(
    "line",
    ['SUMMARY;X="no end:Budget', "SUMMARY;LANGUAGE:Budget", 'SUMMARY;CN=a "b" c:Budget'],
)
def test_parameters_that_cannot_be_read(line: str) -> None:
    assert "Title: Budget" in lines_of(event(line))


def test_what_cannot_be_read_is_said() -> None:
    assert "[cannot be read: DURATION]" in lines_of(event("SUMMARY:s", "DURATION:long"))
    assert lines_of(event()) == [
        "[invitation]", "[nothing in it can be read; its file is broken or empty]",
    ]  # fmt: skip
    assert lines_of(b"junk") == [
        "[invitation that cannot be read: it has no event; its file is broken or empty]"
    ]


@pytest.mark.parametrize(
    "content",
    [
        "BEGIN:VTIMEZONE\nTZID:T\nBEGIN:STANDARD\nDTSTART:16010101T000000\nTZOFFSETTO:+0100\n"
        "RRULE:FREQ=SECONDLY\nEND:STANDARD\nEND:VTIMEZONE\n"
        + event("DTSTART;TZID=T:20250711T140000"),
        event("RRULE:FREQ=WEEKLY;BYDAY=" + "MO," * 300_000),
        event(*(["RRULE:FREQ=WEEKLY;BYDAY=" + "MO," * 600] * 500)),
        event(*(["ATTENDEE" + ';A="' * 6_000 + ":x"] * 50)),
        event("DESCRIPTION:" + "a\\,\\" * 300_000),
        event("DESCRIPTION:" + "<p" * 500_000),
        event("SUMMARY:" + "\n " * 400_000),
        "BEGIN:VEVENT\n" * 70_000,
        "BEGIN:X\n" * 100_000,
    ],
    ids=range(9),
)  # fmt: skip
def test_hostile_calendar_is_short_in_the_end(content: str) -> None:
    assert len(invitation_text(content.encode())) < 3 * MAX_DESCRIPTION_CHARACTERS


_PIECES = st.sampled_from(
    ["BEGIN:VEVENT", "END:VEVENT", "BEGIN:VCALENDAR", "DTSTART", "DTEND;TZID=", "RRULE:FREQ=", ":",
     ";", "SUMMARY:", 'ATTENDEE;CN="', "ORGANIZER:", "20250711T140000", "Z", "\n", "\r\n ", "=",
     ",", "\ufeff", "DURATION:P", "\\", "ATTACH;ENCODING=BASE64:", "X-ALT-DESC:<p>", "99999999"]
)  # fmt: skip


@given(st.lists(_PIECES | st.text(max_size=5), max_size=40).map("".join))
def test_no_calendar_is_too_broken(text: str) -> None:
    text = "BEGIN:VEVENT\n" + text
    assert invitation_text(text.encode("utf-8", "replace")).startswith("[")


@given(st.binary(max_size=300))
def test_any_bytes(content: bytes) -> None:
    assert invitation_text(content).startswith("[")
