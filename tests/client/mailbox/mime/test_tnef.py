"""winmail.dat: the texts, files and meetings that Outlook packs into one file."""

from __future__ import annotations

import struct
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outlook_files import Values, tnef, tnef_properties

from onecard_client import Email
from onecard_client._mailbox.mime import email_from_bytes
from onecard_client._mailbox.mime.outlook import mime_of_tnef

IMESSAGE = bytes.fromhex("0703020000000000c000000000000046")
CODEPAGE = (1, 0x00069007, struct.pack("<II", 1252, 0))
SUBJECT = (1, 0x00018004, b"Gr\xf6\xdfe\0")
CLASS = (1, 0x00078008, b"IPM.Microsoft Mail.Note\0")
TEXT = (1, 0x0002800C, b"Bitte sch\xf6n zahlen.\0")
NEW_FILE = (2, 0x00069002, bytes(14))


def message(values: Values, names: dict[int, int] | None = None) -> tuple[int, int, bytes]:
    return 1, 0x00069003, tnef_properties(values, names)


def file(values: Values) -> tuple[int, int, bytes]:
    return 2, 0x00069005, tnef_properties(values)


def read(content: bytes) -> Email:
    """Of a mail that has nothing else."""
    return email_from_bytes(b"From: ann@x.de\r\n" + mime_of_tnef(content), "made-up")


def test_old_text_and_file() -> None:
    content = tnef(
        CODEPAGE, SUBJECT, CLASS, TEXT, NEW_FILE, (2, 0x00018010, b"GR\xd6SSE~1.PDF\0"),
        (2, 0x0006800F, b"%PDF-" * 999), file({0x3707001F: "Größe und mehr.pdf"}),
        NEW_FILE, (2, 0x00018010, b"sch\xf6n.txt\0"), (2, 0x0006800F, b"a"),
    )  # fmt: skip
    assert read(content).body == (
        "Bitte schön zahlen.\n\n"
        "[attachment: Größe und mehr.pdf, application/octet-stream, 5 kB]\n\n"
        "[attachment: schön.txt, application/octet-stream, 1 bytes]"
    )


def test_html_and_what_it_hides() -> None:
    html = "<p>Pay <span style='display:none'>X9Q</span>now</p>"
    email = read(tnef(CODEPAGE, message({0x3FDE0003: 65001, 0x10130102: html.encode()})))
    assert (email.body, email.hidden_text) == ("Pay now", True)


def test_rtf() -> None:
    rtf = rb"{\rtf1\ansi Pay \'80 120\par}"
    packed = struct.pack("<II4sI", len(rtf) + 12, len(rtf), b"MELA", 0) + rtf
    assert read(tnef(CODEPAGE, message({0x10090102: packed}))).body == "Pay € 120"


def test_meeting() -> None:
    values: Values = {
        0x001A001F: "IPM.Schedule.Meeting.Canceled",
        0x0037001F: "Budget",
        0x82010040: datetime(2025, 7, 11, 12, tzinfo=timezone.utc),
        0x8202001F: "Room 4",
        0x0C1F001F: "boss@x.de",
    }
    assert read(tnef(message(values, {0x8201: 0x820D, 0x8202: 0x8208}))).body.split("\n") == [
        "[cancellation of an event]",
        "Title: Budget",
        "Start: Friday 2025-07-11 12:00 UTC",
        "Place: Room 4",
        "Organiser: boss@x.de",
    ]


def test_answer_of_old() -> None:
    content = tnef(
        CODEPAGE,
        (1, 0x00078008, b"IPM.Microsoft Schedule.MtgRespN\0"),
        (1, 0x00030006, struct.pack("<7H", 2025, 7, 11, 12, 0, 0, 5)),
        message({0x0C1F001F: "ann@x.de"}),
    )
    assert read(content).body.split("\n") == [
        "[answer to an invitation; ann@x.de declines]",
        "Start: Friday 2025-07-11 12:00 UTC",
    ]


def test_attached_mail() -> None:
    inner = tnef(message({0x0037001F: "Inner", 0x1000001F: "Please pay.", 0x0C1A001F: "Ann"}))
    body = read(tnef(TEXT, NEW_FILE, file({0x3701000D: IMESSAGE + inner}))).body
    assert 'From: "Ann"' in body or "From: Ann" in body
    assert "Subject: Inner\n\nPlease pay." in body


def test_values_that_are_several_or_of_other_kinds() -> None:
    several = struct.pack("<HHI", 0x101F, 0x6001, 2) + (struct.pack("<I", 4) + b"a\0\0\0") * 2
    several += struct.pack("<HHI", 0x1002, 0x6002, 3) + bytes(8)
    several += struct.pack("<HH", 0x0048, 0x6003) + bytes(16)
    several += struct.pack("<HH", 0x000B, 0x6004) + b"\1\0\0\0"
    named = (
        struct.pack("<HH", 0x0003, 0x8005)
        + bytes(16)
        + struct.pack("<II", 1, 6)
        + b"a\0b\0\0\0\0\0"
    )
    named += bytes(4)
    text = tnef_properties({0x1000001F: "Pay"})[4:]
    content = struct.pack("<I", 6) + several + named + text
    assert read(tnef((1, 0x00069003, content))).body == "Pay"


@pytest.mark.parametrize("cut", [1, 3, 20])
def test_what_is_cut_off_is_said(cut: int) -> None:
    body = read(tnef(CODEPAGE, TEXT, NEW_FILE, (2, 0x0006800F, b"a" * 100))[:-cut]).body
    assert body.startswith("Bitte schön zahlen.")
    assert "winmail.dat cannot be read to its end: it is damaged or cut off" in body


def test_what_is_none_is_said() -> None:
    assert read(b"junk").body == (
        "[Outlook's winmail.dat cannot be read to its end: it does not begin as TNEF]"
    )


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<I", 0xFFFFFFFF),  # properties
        struct.pack("<IHHI", 1, 0x001F, 0x6001, 0xFFFFFFFF),  # values
        struct.pack("<IHHI", 1, 0x1003, 0x6001, 0xFFFFFFFF),
        struct.pack("<IHHII", 1, 0x001F, 0x6001, 1, 0xFFFFFFFF),  # bytes
        struct.pack("<IHHI", 1, 0x1001, 0x6001, 0xFFFFFFFF) + bytes(9),
        struct.pack("<IHH16xII", 1, 0x0003, 0x8001, 1, 0xFFFFFFFF),  # letters of a name
        struct.pack("<IHH", 1, 0x7777, 0x6001) + bytes(9),  # no such kind
    ],
    ids=range(7),
)
def test_numbers_that_are_too_large(content: bytes) -> None:
    assert read(tnef(CODEPAGE, TEXT, (1, 0x00069003, content))).body == "Bitte schön zahlen."


def test_many_pieces() -> None:
    body = read(tnef(*[NEW_FILE] * 30_000)).body
    assert "winmail.dat cannot be read to its end" in body


def test_mails_within_mails() -> None:
    inner = tnef(message({0x1000001F: "Please pay."}))
    for _ in range(20):
        attached = file({0x3701000D: IMESSAGE + inner})
        inner = tnef(message({0x1000001F: "Please pay."}), NEW_FILE, attached)
    assert 0 < read(inner).body.count("Please pay.") < 10


WHOLE = tnef(
    CODEPAGE, TEXT, message({0x10130102: b"<p>Pay</p>", 0x3FDE0003: 1252}), NEW_FILE,
    (2, 0x00018010, b"a.pdf\0"), file({0x3707001F: "a.pdf", 0x3701000D: IMESSAGE + tnef(TEXT)}),
)  # fmt: skip


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(4, len(WHOLE) - 4), st.integers(0, 0xFFFFFFFF)), max_size=4),
    st.integers(0, len(WHOLE)),
)
def test_any_damage(changes: list[tuple[int, int]], end: int) -> None:
    content = WHOLE
    for at, value in changes:
        content = content[:at] + struct.pack("<I", value) + content[at + 4 :]
    assert read(content[:end]).sender == "ann@x.de"
