"""Mboxes as every program writes them: each mail once, and no byte that is in none."""

from __future__ import annotations

import gzip
import io
import mailbox
import os
import re
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecard_client import Email
from onecard_client._mailbox.sources import mbox, mbox_emails, read, single
from onecard_client._mailbox.sources.mbox import MMDF, Splitter
from onecard_client._mailbox.sources.window import Window
from tests.waiting import PATIENCE_S

FROM = b"From a@x.de Tue Jul  1 10:00:00 2025\n"
ONE = b"From: a@x.de\nSubject: One\n\n"
TWO = b"From: b@x.de\nSubject: Two\n\nhi\n"


def read_bytes(
    folder: Path, content: bytes, name: str = "box"
) -> tuple[list[Email], list[str], list[str]]:
    (folder / name).write_bytes(content)
    problems: list[str] = []
    notes: list[str] = []
    return list(read([str(folder / name)], problems.append, notes.append)), problems, notes


def subjects(emails: list[Email]) -> list[str]:
    return [email.subject for email in emails]


# what separates mails

SEPARATORS = {
    "asctime": b"From a@x.de Tue Jul  1 10:00:00 2025",
    "takeout": b"From 1834567890123456789@xxx Tue Jul 01 10:00:00 +0000 2025",
    "thunderbird": b"From - Tue Jul  1 10:00:00 2025",
    "thunderbird, comma": b"From - Tue, 01 Jul 2025 10:00:00 GMT",
    "eudora": b"From ???@??? Tue Jul 01 10:00:00 2025",
    "no seconds": b"From a@x.de Tue Jul  1 10:00 2025",
    "zone": b"From a@x.de Tue Jul  1 10:00:00 CEST 2025",
    "ISO": b"From a@x.de 2025-07-01T10:00:00",
    "name": b"From Ann Lee Tue Jul  1 10:00:00 2025",
    "uucp": b"From uucp Tue Jul  1 10:00:00 2025 remote from host",
    "git": b"From 0123456789abcdef0123456789abcdef01234567 Mon Sep 17 00:00:00 2001",
    "address alone": b"From a@x.de",
    "name alone": b"From MAILER-DAEMON",
    "nothing": b"From ",
    "dash": b"From -",
    "with a quoted one": b"From a@x.de Tue Jul  1 10:00:00 2025\n>From b Tue Jul 1 10:00:00 2025",
    "twice": b"From a@x.de Tue Jul  1 10:00:00 2025\nFrom b@x.de Tue Jul  1 10:00:00 2025",
    "empty line behind": b"From a@x.de Tue Jul  1 10:00:00 2025\n",
}
LINE_ENDS = {"LF": b"\n", "CRLF": b"\r\n", "CR": b"\r"}


@pytest.mark.parametrize("line_end", LINE_ENDS.values(), ids=LINE_ENDS)
@pytest.mark.parametrize("separator", SEPARATORS.values(), ids=SEPARATORS)
def test_separators(tmp_path: Path, separator: bytes, line_end: bytes) -> None:
    content = separator + b"\n" + ONE + b"text\n\n" + separator + b"\n" + TWO
    emails, problems, _ = read_bytes(tmp_path, content.replace(b"\n", line_end))
    assert (subjects(emails), problems) == (["One", "Two"], [])
    assert emails[0].body == "text"


@pytest.mark.parametrize(
    ("before", "separator"),
    [
        (b"text\n", FROM),
        (b"text", b"\n" + FROM),
        (b"text\n", b"From a@x.de\n"),
        (b"text\n--B--\n", b"From - \n"),
        (b"text\n\0\0\0\0", FROM),
        (b"text\r\n\r\n", FROM),
        (b"text\n \t\n", b"From a@x.de\n"),
        (b"", FROM),
    ],
)
def test_the_empty_line_may_be_missing(tmp_path: Path, before: bytes, separator: bytes) -> None:
    emails, problems, _ = read_bytes(tmp_path, FROM + ONE + before + separator + TWO)
    assert (subjects(emails), problems) == (["One", "Two"], [])


SENTENCES = {
    "header": b"From Monday the office is closed.\nReason: painting.",
    "address": b"From here you get it:\nhttps://example.com/x",
    "time": b"From 10:00 on 1 July 2025 we paint\nRooms: 4 and 5",
    "addressee": b"From me to you\nTo: the point",
    "person": b"From bob@x.de I hear\nthat it rains",
    "sign": b"From the desk of Bob\nSubject: painting\nDate: July",
    "one word": b"From Monday\nReason: x\nFrom: x",
    "no blank": b"text\nFrom bob\nSubject: painting",
    "asctime": b"From x Tue Jul  1 10:00:00 2025\nnothing that a mail has",
    "from header": b"From : Bob\nDate : July",
    "last line": b"From ",
}


@pytest.mark.parametrize("sentence", SENTENCES.values(), ids=SENTENCES)
def test_sentences_stay_in_their_mail(tmp_path: Path, sentence: bytes) -> None:
    content = FROM + ONE + b"Dear all,\n\n" + sentence + b"\n\nRegards\n\n" + FROM + TWO
    emails, problems, _ = read_bytes(tmp_path, content)
    assert (subjects(emails), problems) == (["One", "Two"], [])
    assert sentence.decode().split("\n")[-1].strip() in emails[0].body
    assert emails[0].body.endswith("Regards")


def test_a_separator_without_a_mail_is_told(tmp_path: Path) -> None:
    content = FROM + ONE + b"hi\n\n" + FROM + b"no headers at all\n\n" + FROM + TWO
    emails, problems, notes = read_bytes(tmp_path, content)
    assert (subjects(emails), problems) == (["One", "Two"], [])
    assert "no headers at all" in emails[0].body
    assert "1 `From ` lines with a date have no mail behind them" in notes[0]


def test_an_attached_mail_keeps_its_from_line(tmp_path: Path) -> None:
    outer = (
        b"From: a@x.de\nSubject: One\nContent-Type: multipart/mixed; boundary=b\n\n--b\n"
        b"Content-Type: message/rfc822;\n name=x.eml\nContent-Disposition: inline\n\n"
    )
    emails, problems, _ = read_bytes(
        tmp_path, FROM + outer + FROM + TWO + b"--b--\n\n" + FROM + TWO
    )
    assert (subjects(emails), problems) == (["One", "Two"], [])
    empty = b"Subject: One\nContent-Type: message/rfc822\n\n"  # a mail without a body
    emails, _, _ = read_bytes(tmp_path, FROM + empty + FROM + TWO)
    assert subjects(emails)[-1] == "Two"
    assert len(emails) == 2


# what stands before the first one


def test_a_mail_before_the_first_separator(tmp_path: Path) -> None:
    emails, problems, _ = read_bytes(tmp_path, ONE + b"hi\n\n" + FROM + TWO)
    assert (subjects(emails), problems) == (["One", "Two"], [])


@pytest.mark.parametrize(
    "before", [b"\n\n", b"\xef\xbb\xbf", b"\0\0\0", b" \r\n", b"\xef\xbb\xbf\n"]
)
def test_blanks_before_the_first_separator(tmp_path: Path, before: bytes) -> None:
    emails, problems, _ = read_bytes(tmp_path, before + FROM + ONE + b"hi\n\n" + FROM + TWO)
    assert (subjects(emails), problems) == (["One", "Two"], [])


@pytest.mark.parametrize("before", [b"a line\n", b"x" * 300 + b"\n\nmore\n"])
def test_lines_right_before_the_first_separator_are_told(tmp_path: Path, before: bytes) -> None:
    emails, problems, _ = read_bytes(tmp_path, before + FROM + ONE + b"hi\n")
    assert subjects(emails) == ["One"]
    assert len(problems) == 1
    assert "byte 0" in problems[0]


def test_what_is_no_mail_before_the_first_separator_is_told(tmp_path: Path) -> None:
    emails, problems, _ = read_bytes(tmp_path, b"a heading\n\n" + FROM + TWO)
    assert subjects(emails) == ["Two"]
    assert len(problems) == 1
    assert "at byte 0: has no header of a mail" in problems[0]


# dialects


@pytest.mark.parametrize("gap", [b"", b"\n", b"\n\n"])
def test_content_length_that_holds(tmp_path: Path, gap: bytes) -> None:
    """mboxcl2 quotes nothing: an mbox that somebody forwards is no mail of this one."""
    body = b"I forward:\n\n" + FROM + TWO + b"\n>From is not quoted\n"
    header = b"From: a@x.de\nSubject: One\nContent-Length: %d\n\n" % len(body)
    emails, problems, _ = read_bytes(tmp_path, (FROM + header + body + gap) * 2)
    assert (subjects(emails), problems) == (["One", "One"], [])
    assert ">From is not quoted" in emails[0].body


def test_mboxcl_quotes_as_well(tmp_path: Path) -> None:
    body = b">From me\n"
    header = b"From: a@x.de\nSubject: One\nContent-Length: %d\n\n" % len(body)
    emails, _, _ = read_bytes(tmp_path, FROM + header + body + b"\n" + FROM + TWO)
    assert [email.body for email in emails] == ["From me", "hi"]


@pytest.mark.parametrize("length", [b"0", b"1", b"3", b"999999", b"99999999999", b"-5", b"x", b""])
def test_content_length_that_does_not_hold(tmp_path: Path, length: bytes) -> None:
    header = b"From: a@x.de\nSubject: One\nContent-Length: " + length + b"\n\n"
    emails, problems, _ = read_bytes(tmp_path, FROM + header + b"some text\n\n" + FROM + TWO)
    assert (subjects(emails), problems) == (["One", "Two"], [])
    assert [email.body for email in emails] == ["some text", "hi"]


def test_mboxrd(tmp_path: Path) -> None:
    emails, _, _ = read_bytes(tmp_path, FROM + ONE + b">From me\n>>From you\n> From\n")
    assert emails[0].body == "From me\n>From you\n> From"


@pytest.mark.parametrize("line", [b"", FROM])
def test_mmdf(tmp_path: Path, line: bytes) -> None:
    mark = MMDF + b"\n"
    content = b"".join(mark + line + mail + mark for mail in (ONE + b"From me\n", TWO))
    emails, problems, _ = read_bytes(tmp_path, content)
    assert (subjects(emails), problems) == (["One", "Two"], [])
    assert emails[0].body == "From me"


def test_utf_16(tmp_path: Path) -> None:
    text = (FROM + ONE).decode() + "Grüße\n\n" + (FROM + TWO).decode()
    for encoding in ("utf-16", "utf-16-le", "utf-16-be"):
        emails, problems, _ = read_bytes(tmp_path, text.encode(encoding))
        assert (subjects(emails), problems) == (["One", "Two"], [])
        assert emails[0].body == "Grüße"


def test_gzip(tmp_path: Path) -> None:
    packed = gzip.compress(FROM + ONE + b"hi\n\n") + gzip.compress(FROM + TWO)
    emails, problems, _ = read_bytes(tmp_path, packed, "box.gz")
    assert (subjects(emails), problems) == (["One", "Two"], [])
    emails, problems, _ = read_bytes(tmp_path, packed[:-12], "box.gz")
    assert subjects(emails)[0] == "One"
    assert "ends early" in problems[0]
    bomb = gzip.compress(gzip.compress(FROM + ONE))
    _, problems, _ = read_bytes(tmp_path, bomb, "box.gz")
    assert "packed by gzip twice" in problems[0]


def test_a_pack_that_grows_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("onecard_client._mailbox.sources.window.MIN_GROWN_BYTES", 1_000_000)
    content = FROM + ONE + b"hi\n\n" + FROM + TWO + b"\n" * 5_000_000
    emails, problems, _ = read_bytes(tmp_path, gzip.compress(content))
    assert subjects(emails) == ["One", "Two"]
    assert "grows more than 200-fold" in problems[0]


# what a mail program has done with


def test_what_thunderbird_has_deleted(tmp_path: Path) -> None:
    gone = b"X-Account-Key: account1\nX-Mozilla-Status: 0009\nX-Mozilla-Status2: 00000000\n"
    kept = gone.replace(b"0009", b"0001")
    forged = b"Received: x\nX-Mozilla-Status: 0009\n"  # below what the server wrote
    boxes = [kept + ONE, gone + ONE, forged + TWO]
    content = b"\n".join(FROM + box for box in boxes)
    emails, problems, notes = read_bytes(tmp_path, content)
    assert (subjects(emails), problems) == (["One", "Two"], [])
    assert "1 deleted in Thunderbird" in notes[0]


def test_the_mailbox_s_own_data(tmp_path: Path) -> None:
    own = (
        b"From: Mail System <m@x>\nSubject: DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA\n"
        b"X-IMAP: 1 2\n\nThis text is part of the internal format of your mail folder.\n\n"
    )
    emails, problems, notes = read_bytes(tmp_path, FROM + own + FROM + TWO)
    assert (subjects(emails), problems, len(notes)) == (["Two"], [], 1)


# bounds


def test_a_mail_over_the_bound_is_cut_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (mbox, mbox_emails, single):
        monkeypatch.setattr(module, "MAX_MAIL_BYTES", 1_000_000)
    large = ONE + b"word\n" * 1_000_000
    emails, problems, _ = read_bytes(tmp_path, FROM + large + b"\n" + FROM + TWO)
    assert subjects(emails) == ["One", "Two"]
    assert f"byte 0 has {len(FROM + large) + 1} bytes, at most 1000000 are read" in problems[0]
    emails, problems, _ = read_bytes(tmp_path, large, "large.eml")
    assert subjects(emails) == ["One"]
    assert f"its last {len(large) - 1_000_000} are left out" in problems[0]


def test_the_first_mail_comes_before_the_rest_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Over a pipe, from which nothing else comes until the first is there."""
    reader, writer = os.pipe()
    os.write(writer, FROM + ONE + b"hi\n\n" + FROM + TWO)
    with os.fdopen(reader) as stream:
        monkeypatch.setattr(sys, "stdin", stream)
        emails = read(["-"], pytest.fail)
        first: list[Email] = []
        thread = threading.Thread(target=lambda: first.append(next(emails)), daemon=True)
        thread.start()
        thread.join(timeout=PATIENCE_S)
        assert subjects(first) == ["One"]
        os.close(writer)
        assert subjects(list(emails)) == ["Two"]


def test_memory_does_not_grow_with_the_mailbox(tmp_path: Path) -> None:
    (tmp_path / "box").write_bytes((FROM + ONE + b"word\n" * 20_000 + b"\n") * 300)
    tracemalloc.start()
    try:
        with (tmp_path / "box").open("rb") as file:
            num_pieces = sum(1 for _ in Splitter(Window(file), is_strict=False).pieces())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert num_pieces == 300
    assert peak < 3_000_000


# every byte is in a piece

LINES = st.sampled_from([
    FROM, b"From a@x\n", b"From \n", b"\n", b"\r\n", b"\r", b"text\n", b"Subject: s\n",
    b">From x\n", b"Content-Length: 7\n", b"From: a@x\r\n", b"From - 10:00\r", b"\0\n", b"From",
    MMDF + b"\n",
    b"x" * 300 + b"\n", b"X-Mozilla-Status: 0009\n",
])  # fmt: skip


class Dribble(io.RawIOBase):
    """A stream that gives a few bytes at a time."""

    def __init__(self, content: bytes, num_bytes: int) -> None:
        self._content = io.BytesIO(content)
        self._num_bytes = num_bytes

    def read(self, size: int = -1) -> bytes:
        return self._content.read(self._num_bytes)


@settings(max_examples=100, deadline=None)
@given(st.lists(LINES, max_size=40).map(b"".join), st.booleans(), st.sampled_from([1, 7, 9_999]))
def test_pieces_are_all_of_a_file(content: bytes, is_strict: bool, num_bytes: int) -> None:
    for separator in (mbox.FROM, MMDF):
        window = Window(Dribble(content, num_bytes))
        end = 0
        for piece in Splitter(window, is_strict=is_strict, separator=separator).pieces():
            assert piece.start == end
            assert piece.content == content[piece.start : piece.start + piece.num_bytes]
            end += piece.num_bytes
        assert end == len(content)


BODY = st.lists(
    st.sampled_from(["From ", ">From ", "From: x", "From Monday\nReason: x", "text", ""])
    | st.text("ab >:\n", max_size=9),
    max_size=8,
).map("\n".join)
DIALECTS = ["mboxrd", "mboxcl2", "none"]


def _written(bodies: list[str], dialect: str) -> Iterator[bytes]:
    for number, body in enumerate(bodies):
        message = EmailMessage()
        message["Subject"] = f"mail {number}"
        message.set_content(body)
        raw = message.as_bytes()
        header, _, text = raw.partition(b"\n\n")
        if dialect == "mboxrd":
            text = re.sub(rb"^(?=>*From )", b">", text, flags=re.MULTILINE)
        if dialect == "mboxcl2":
            header += b"\nContent-Length: %d" % len(text)
        yield FROM + header + b"\n\n" + text + b"\n"


@settings(max_examples=50, deadline=None)
@given(st.lists(BODY, min_size=1, max_size=6), st.sampled_from(DIALECTS), st.booleans())
def test_every_dialect_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, bodies: list[str], dialect: str, has_crlf: bool
) -> None:
    content = b"".join(_written(bodies, dialect))
    if has_crlf and dialect != "mboxcl2":
        content = content.replace(b"\n", b"\r\n")
    emails, problems, _ = read_bytes(tmp_path_factory.mktemp("box"), content)
    assert problems == []
    assert subjects(emails) == [f"mail {number}" for number in range(len(bodies))]
    for email, body in zip(emails, bodies, strict=True):
        if dialect == "mboxrd" or ">From " not in body:
            assert email.body.split() == body.split()


def test_as_python_writes_them(tmp_path: Path) -> None:
    for kind in (mailbox.mbox, mailbox.MMDF):
        path = tmp_path / kind.__name__
        box = kind(path)
        for number in range(5):
            box.add(b"Subject: mail %d\n\nFrom the beginning\n\nFrom: x\n" % number)
        box.close()
        problems: list[str] = []
        emails = list(read([str(path)], problems.append))
        assert problems == []
        assert subjects(emails) == [f"mail {number}" for number in range(5)]
        assert {email.body for email in emails} == {"From the beginning\n\nFrom: x"}
