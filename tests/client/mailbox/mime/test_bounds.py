"""Any bytes are a mail or none, in a time that their length bounds."""

from __future__ import annotations

import base64
import contextlib
import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mails import HEAD, mail, multipart, read, text_part

from onecard_client import Email
from onecard_client._mailbox.mime import MAX_BODY_CHARACTERS, NotAMail
from onecard_client._mailbox.mime.bounds import MAX_DEPTH

NUM_BYTES = 400_000


def verify(email: Email) -> None:
    assert email.body or email.subject
    assert len(email.body) < MAX_BODY_CHARACTERS + 100
    for value in dataclasses.asdict(email).values():
        if isinstance(value, str):
            value.encode()  # no lone surrogates
            assert "\0" not in value


PIECES = st.sampled_from(
    [
        "\n",
        "\n\n",
        "\r",
        "\r\n",
        "\0",
        " ",
        "--b",
        "--b--",
        "--b\n",
        "\x1b$B",
        "\ufeff",
        "\U000e0041",
        "From a@b Tue Jul  1 10:00:00 2025\n",
        "From: ",
        "Subject : ",
        "To: a@b;",
        "no header\n",
        "Content-Type: ",
        "multipart/mixed",
        "multipart/alternative",
        "; boundary=b",
        '; boundary="',
        "text/html",
        "text/plain",
        "text/calendar",
        "message/rfc822\n\n",
        "message/delivery-status\n\n",
        "application/ms-tnef",
        "; charset=",
        "utf-7",
        "utf-16",
        "iso-2022-jp",
        "gb2312",
        "hz",
        "x-none",
        "Content-Transfer-Encoding: ",
        "base64\n",
        "quoted-printable\n",
        "x-uuencode\n",
        "bse64\n",
        "Content-Disposition: attachment",
        "; filename",
        "*",
        "*0*",
        "*1",
        "=",
        "''%ff",
        '"',
        "'",
        "\\",
        "=?utf-8?q?",
        "=?gb2312?b?",
        "?=",
        "=C3",
        "w5x",
        "Authentication-Results: x; spf=",
        "(",
        ")",
        "<p>",
        "<div style=display:none>",
        "</p>",
        "BEGIN:VCALENDAR\n",
        "begin 644 x\n",
        "-----BEGIN PGP MESSAGE-----\n",
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(max_size=4), max_size=40).map("".join))
def test_any_pieces_of_mails(text: str) -> None:
    verify(read("Subject: s\n" + text))
    try:
        verify(read(text.encode("utf-8", "replace")))
    except NotAMail as error:
        assert "must begin with" in str(error)  # noqa: PT017 - either end is good


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.binary(max_size=60))
def test_any_bytes(content: bytes, header: bytes) -> None:
    for raw in (HEAD + b"X: " + header + b"\n\n" + content, HEAD + content, mail(content, header)):
        verify(read(raw))
    with contextlib.suppress(NotAMail):
        verify(read(content))


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_any_mail_that_is_damaged(data: st.DataObject) -> None:
    inner = b"Content-Type: message/rfc822\r\n\r\n" + multipart("mixed", text_part("Inner"))
    raw = bytearray(
        multipart("alternative", text_part("Grüße"), text_part("<p>Grüße", "html"), inner)
    )
    for _ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(raw) - 1))
        raw[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    with contextlib.suppress(NotAMail):
        verify(read(bytes(raw)))


@pytest.mark.parametrize(
    "piece",
    [
        b"a",
        b"=",
        b"=?",
        b"=?utf-8?q?",
        b"=?utf-8?b?a?= ",
        b"\xff",
        b"(",
        b"<",
        b'"',
        b"a@b, ",
        b"\t",
        b",",
        b"\x1b$B",
        b"\r",
        b"=\n ",
        b"\n x:",
    ],
)
@pytest.mark.parametrize(
    "name", [b"From", b"Content-Type", b"Authentication-Results", b"Content-Transfer-Encoding"]
)
def test_hostile_headers(name: bytes, piece: bytes) -> None:
    """A time with the square of their length would keep this from ending."""
    verify(read(b"Subject: s\n" + name + b": " + piece * (NUM_BYTES // len(piece)) + b"\n\nx"))


@pytest.mark.parametrize(
    "encoding", [b"base64", b"quoted-printable", b"x-uuencode", b"8bit", b"bse64"]
)
@pytest.mark.parametrize(
    "piece",
    [
        b"=\n",
        b"=",
        b"\n",
        b"A=\n\n",
        b"a b\n",
        b"M\n",
        b"-_",
        b"\xff",
        b"\x1b$B!",
        b"\n--b",
        b"=?",
        b"\r",
    ],
)
def test_hostile_bodies(encoding: bytes, piece: bytes) -> None:
    content = piece * (NUM_BYTES // len(piece))
    verify(read(mail(content, b"Content-Transfer-Encoding: " + encoding)))


@pytest.mark.parametrize(
    "piece",
    [
        b"--b\n",
        b"--b\n\n",
        b"--b\nContent-Type: multipart/mixed; boundary=b\n\n",
        b"--b\nSubject : x\n",
        b"--b\nContent-Type: message/rfc822\n\n",
        b"--b--\n",
        b"--c\n",
        b"\n--b\ncontent-type: multipart/mixed\n\n",
    ],
)
def test_hostile_parts(piece: bytes) -> None:
    content = piece * (NUM_BYTES // len(piece))
    for kind in (
        b"multipart/mixed; boundary=b",
        b"multipart/alternative; boundary=b",
        b"multipart/mixed",
    ):
        verify(read(mail(content, b"Content-Type: " + kind)))


def test_parts_and_mails_within_each_other_are_bounded() -> None:
    nested = HEAD
    for depth in range(3000):
        nested += b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth)
    assert read(nested + b"\ntext").body == "[parts nested too deeply to be read]"
    mails = HEAD + b"Content-Type: message/rfc822\n\n"
    found = read(mails * 3000 + b"x").body
    assert "[parts nested too deeply to be read]" in found
    assert found.count("[attached mail]") <= MAX_DEPTH + 1
    encoded = HEAD + b"\nPay"
    for _ in range(6):
        encoded = mail(
            base64.encodebytes(encoded),
            b"Content-Type: message/rfc822",
            b"Content-Transfer-Encoding: base64",
        )
    assert read(encoded).body.endswith("Pay")


def test_a_body_that_is_cut_says_so() -> None:
    parts = [b"Content-Type: image/png\r\n\r\nx"] * 2500
    assert read(multipart("mixed", text_part("Hi"), *parts)).body.endswith(
        "of this mail are not read]"
    )
