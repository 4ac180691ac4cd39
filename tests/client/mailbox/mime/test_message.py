"""Emails from their bytes: headers, charsets, parts, and what is broken in the wild."""

from __future__ import annotations

import email.policy
import re
from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from onecard_client import Email
from onecard_client._mailbox.mime import (
    MAX_BODY_CHARACTERS,
    MAX_PARTS,
    NotAMail,
    email_from_bytes,
)


def read(raw: bytes | str) -> Email:
    return email_from_bytes(raw if isinstance(raw, bytes) else raw.encode(), "made-up")


def read_message(message: EmailMessage) -> Email:
    if "subject" not in message:
        message["Subject"] = "test"
    return read(message.as_bytes(policy=email.policy.SMTP))


def message_with_text(text: str = "Plain text.\n") -> EmailMessage:
    message = EmailMessage()
    message.set_content(text)
    return message


def test_plain_mail() -> None:
    raw = (
        "From: Ann <ann@example.com>\r\nTo: bob@example.com,\r\n  carl@example.com\r\n"
        "Date: Tue, 1 Jul 2025 10:00:00 +0200\r\nSubject: Lunch\r\nMessage-Id: <1@example.com>\r\n"
        "\r\nToday?  \r\n\r\n\r\n\r\n\r\nAnn\r\n"
    )
    assert read(raw) == Email(
        id="1@example.com",
        subject="Lunch",
        body="Today?\n\n\nAnn",
        sender="Ann <ann@example.com>",
        to="bob@example.com, carl@example.com",
        date="2025-07-01T10:00:00+02:00",
    )


# headers


@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("=?utf-8?b?w5xiZXI=?=", "Über"),
        ("=?iso-8859-1?q?J=FCrgen?= und =?utf-8?q?J=C3=B6rg?=", "Jürgen und Jörg"),
        ("=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"),
        ("Übergröße", "Übergröße"),  # raw UTF-8, which RFC 6532 allows
        ("=?no-such-charset?q?caf=E9?=", "caf"),
        ("=?utf-8?b?w5xi", "=?utf-8?b?w5xi"),
        ("a\tb\r\n c", "a b c"),
    ],
)
def test_subject(header: str, text: str) -> None:
    found = read(f"Subject: {header}\r\n\r\nbody").subject
    assert found.startswith(text)
    assert found.isprintable()


def test_raw_bytes_that_are_not_utf8_in_a_header() -> None:
    assert read(b"Subject: caf\xe9 au lait\n\nbody").subject == "café au lait"


@pytest.mark.parametrize("character", '([<"\\:;,@=')
def test_headers_that_the_email_package_trips_over(character: str) -> None:
    broken = character * 30_000
    found = read(f"From: {broken}\nTo: {broken}\nMessage-Id: <{broken}\nSubject: s\n\nbody")
    assert (found.subject, found.body) == ("s", "body")
    assert max(map(len, (found.sender, found.to, found.id))) < 5000


@pytest.mark.parametrize("date", ["yesterday", "Tue, 99 Foo 2025 10:00:00", "1 Jan 99999 1:1:1"])
def test_date_that_is_none_stays_as_it_is(date: str) -> None:
    assert read(f"Subject: s\nDate: {date}\n\nbody").date == date


@pytest.mark.parametrize("header", ["", "Message-Id: \n", "Message-Id: <>\n"])
def test_mail_without_an_id(header: str) -> None:
    assert read(f"{header}Subject: s\n\nbody").id == "made-up"


# charsets


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [
        ("utf-8", "schön €".encode(), "schön €"),
        ("iso-8859-1", "schön".encode("latin-1"), "schön"),
        ("iso-8859-1", b"5 \x80 \x93quoted\x94", "5 € “quoted”"),  # Windows-1252, as often
        ("us-ascii", "schön".encode(), "schön"),
        ("us-ascii", b"caf\xe9", "café"),
        ("windows-1251", "Привет".encode("cp1251"), "Привет"),
        ("koi8-r", "Привет".encode("koi8-r"), "Привет"),
        ("gb2312", "囧 你好".encode("gbk"), "囧 你好"),
        ("iso-2022-jp", "こんにちは".encode("iso-2022-jp"), "こんにちは"),
        ("no-such-charset", "schön".encode(), "schön"),
        ("no-such-charset", b"caf\xe9", "café"),
        ("utf-8", b"caf\xe9", "café"),
        ("hex", b"plain", "plain"),
        ("punycode", b"plain-1", "plain-1"),
        ('"utf-8', "schön".encode(), "schön"),
    ],
)
def test_charset(charset: str, content: bytes, text: str) -> None:
    head = f"Subject: s\nContent-Type: text/plain; charset={charset}\n"
    assert read(head.encode() + b"Content-Transfer-Encoding: 8bit\n\n" + content).body == text


@pytest.mark.parametrize("encoding", ["base64", "quoted-printable", "7bit", "x-unknown", ""])
def test_broken_encoding_is_read_as_far_as_it_goes(encoding: str) -> None:
    raw = f"Subject: s\nContent-Transfer-Encoding: {encoding}\n\n=ZZ !!! abc="
    assert isinstance(read(raw).body, str)


# parts


def test_plain_is_preferred_to_html() -> None:
    message = message_with_text()
    message.add_alternative("<p>Plain <b>text</b>.</p>", subtype="html")
    assert read_message(message).body == "Plain text."


@pytest.mark.parametrize("plain", ["", " \n\n"])
def test_html_where_plain_says_nothing(plain: str) -> None:
    message = message_with_text(plain)
    message.add_alternative("<p>HTML <b>text</b>.</p>", subtype="html")
    assert read_message(message).body == "HTML text."


def test_attachments_are_named_where_they_stand() -> None:
    message = message_with_text()
    message.add_attachment(b"x" * 12_345, "application", "pdf", filename="offer.pdf")
    message.add_attachment(b"x", "image", "png", filename="größe.png")
    message.add_attachment(b"x" * 2_500_000, "application", "zip")
    message.add_attachment("notes\n", filename="a\tb.txt")
    assert read_message(message).body.split("\n\n") == [
        "Plain text.",
        "[attachment: offer.pdf, application/pdf, 12 kB]",
        "[attachment: größe.png, image/png, 1 bytes]",
        "[attachment: application/zip, 2.5 MB]",
        "[attachment: a b.txt, text/plain, 7 bytes]",
    ]


def test_attachments_beside_the_branch_not_taken_are_named() -> None:
    """Apple's mail program puts attachments into the HTML branch."""
    html = EmailMessage()
    html.set_content("<p>Plain text.</p>", subtype="html")
    html.make_mixed()
    html.add_attachment(b"x" * 100, "application", "pdf", filename="offer.pdf")
    message = message_with_text()
    message.make_alternative()
    message.attach(html)
    message["Subject"] = "s"
    body = read_message(message).body
    assert body == "Plain text.\n\n[attachment: offer.pdf, application/pdf, 100 bytes]"


def test_text_parts_follow_each_other() -> None:
    message = message_with_text("First.\n")
    message.make_mixed()
    footer = message_with_text("Footer of a list.\n")
    message.attach(footer)
    assert read_message(message).body == "First.\n\nFooter of a list."


def test_forwarded_mail_is_read() -> None:
    inner = message_with_text("Inner text.\n")
    inner["From"], inner["Subject"] = "ann@example.com", "Inner"
    message = message_with_text("See below.\n")
    message.add_attachment(inner)
    assert read_message(message).body.split("\n\n") == [
        "See below.",
        "[attached mail]\nFrom: ann@example.com\nDate:\nSubject: Inner",
        "Inner text.",
    ]


def test_boundary_that_never_comes() -> None:
    head = "Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n"
    assert read(head + "Text without parts.").body == "Text without parts."
    assert read(head.replace("; boundary=b", "") + "Text.").body == "Text."
    assert read(head + "--b\n\nText of a part that is cut off").body.startswith("Text of a part")


def test_mail_that_says_nothing() -> None:
    assert read("From: a@b.c\n\n").body == "[empty mail]"
    assert read("Subject: s\n\n").body == ""


# bounds


def test_long_body_keeps_both_ends() -> None:
    body = read("Subject: s\n\nHEAD " + "word " * MAX_BODY_CHARACTERS + "TAIL").body
    assert body.startswith("HEAD")
    assert body.endswith("TAIL")
    assert "characters left out ...]" in body
    assert len(body) < MAX_BODY_CHARACTERS + 100


def test_many_parts_and_deep_parts_are_bounded() -> None:
    head = b"Subject: s\nContent-Type: multipart/mixed; boundary=b\n\n"
    part = b"--b\nContent-Type: image/png\n\n"
    assert read(head + part * 5 * MAX_PARTS).body.count("[attachment") <= MAX_PARTS
    nested = b"Subject: s\n"
    for depth in range(100):
        nested += b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n" % (depth, depth)
    assert read(nested + b"\ntext").body == "[parts nested too deeply to be read]"


# what is none


@pytest.mark.parametrize(
    "raw", [b"", b"\n\n", b"\x89PNG\r\n\x1a\n" * 100, b"Note: buy milk\n\nand bread", b"{}"]
)
def test_not_a_mail(raw: bytes) -> None:
    with pytest.raises(NotAMail, match="must begin with them"):
        read(raw)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_mail_or_not_one(content: bytes) -> None:
    try:
        found = read(b"Subject: s\n" + content)
    except NotAMail:
        return
    assert found.body or found.subject
    for text in (found.id, found.subject, found.body, found.sender, found.to, found.date):
        text.encode()  # no lone surrogates, which the server could not read


HEADS = """\
Content-Type: |multipart/mixed; |multipart/alternative; |boundary=b|text/html|message/rfc822|--b|--
text/plain|; charset=|utf-7|Content-Transfer-Encoding: base64|Content-Disposition: attachment
; filename=|*=utf-8''%ff|"|"""
PIECES = st.sampled_from([*re.split(r"[|\n]", HEADS), "\n", "\n\n"])


@settings(max_examples=300, deadline=None)
@given(st.lists(PIECES | st.text(max_size=4), max_size=30).map("".join))
def test_any_parts_are_a_mail_or_not_one(content: str) -> None:
    try:
        read("Subject: s\n" + content)
    except NotAMail as error:
        assert "must be" in str(error)  # noqa: PT017 - either end is good, only a crash is not
