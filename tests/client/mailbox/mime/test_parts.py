"""Parts of mails: boundaries, and mails within mails."""

from __future__ import annotations

import base64
import quopri

import pytest
from mails import multipart, read, text_part

from tests.client.mailbox.mime.bodies import TEXT, body

# boundaries

PARTS = (
    b"--B\r\nContent-Type: text/html\r\n\r\n<p>Pay</p>\r\n"
    b"--B\r\nContent-Type: application/pdf; name=a.pdf\r\n\r\nx\r\n--B--"
)
READ = "Pay\n\n[attachment: a.pdf, application/pdf, 1 bytes]"


@pytest.mark.parametrize(
    "kind",
    [
        'multipart/mixed; boundary="B"',
        "multipart/mixed; boundary=B",
        "multipart/mixed boundary=B",
        "multipart/mixed; boundary='B'",
        "multipart/mixed; boundary = B",
        "multipart/mixed",
        'multipart/mixed; boundary="other"',
        "multipart/mixed; boundary=",
        "MULTIPART/MIXED; BOUNDARY=B",
        "multipart/x-anything; boundary=B",
        "multipart; boundary=B",
        'multipart/mixed;\r\n\tboundary="B"',
        "multipart/mixed; boundary*=us-ascii''B",
        "multipart/mixed; type=a; boundary=B; x",
    ],
)
def test_parts_are_found(kind: str) -> None:
    assert body(PARTS, f"Content-Type: {kind}") == READ


def test_parts_behind_one_that_has_the_boundary_of_the_whole() -> None:
    file = b"Content-Type: application/zip; name=%s\r\n\r\nx\r\n"
    raw = (
        b'From: a@x\r\nSubject: s\r\nContent-Type: multipart/mixed; boundary="B"\r\n\r\n--B\r\n'
        b'Content-Type: multipart/alternative; boundary="B"\r\n\r\n--B\r\n'
        + text_part(TEXT)
        + b"\r\n--B--\r\n\r\n--B\r\n"
        + file % b"bill.zip"
        + b"--B--\r\nepilogue\r\n--B\r\n"
        + file % b"b.zip"
    )
    told = [
        TEXT,
        *(f"[attachment: {name}, application/zip, 1 bytes]" for name in ("bill.zip", "b.zip")),
    ]
    assert read(raw).body.replace(", 3 bytes", ", 1 bytes") == "\n\n".join(told)


def test_parts_of_a_mail_whose_header_is_lost() -> None:
    assert body(b"This is a multi-part message in MIME format.\r\n\r\n" + PARTS) == READ


def test_dashes_in_a_text_begin_no_part() -> None:
    text = "Hi\n\n--Ann\nContent is king: yes\n--\nAnn"
    assert body(text.encode()) == text
    assert body(text.encode(), "Content-Type: text/plain") == text


@pytest.mark.parametrize("end", [2, 1, 20, 37, 60])
def test_what_is_cut_off_is_read_up_to_there(end: int) -> None:
    assert body(PARTS[:-end], "Content-Type: multipart/mixed; boundary=B").startswith("Pay")


def test_boundaries_within_boundaries() -> None:
    inner = b'Content-Type: multipart/mixed; boundary="BB"\r\n\r\n--BB\r\n\r\nOne\r\n--BB--\r\n'
    assert read(multipart("mixed", inner, text_part("Two"))).body == "One\n\nTwo"


# mails within mails

INNER = (
    b"From: boss@x.example\r\nSubject: =?utf-8?q?gr=C3=BCn?=\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n\r\n"
)
TOLD = f"[attached mail]\nFrom: boss@x.example\nDate:\nSubject: grün\n\n{TEXT}"


@pytest.mark.parametrize("encoding", ["7bit", "8bit", "base64", "quoted-printable", "Base64 "])
@pytest.mark.parametrize("kind", ["message/rfc822", "message/rfc822; name=a.eml", "message/global"])
def test_attached_mail(kind: str, encoding: str) -> None:
    content = INNER + TEXT.encode()
    if "64" in encoding:
        content = base64.encodebytes(content)
    elif encoding == "quoted-printable":
        content = quopri.encodestring(content)
    head = f"Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n"
    assert (
        read(multipart("mixed", text_part("See"), head.encode() + content)).body == f"See\n\n{TOLD}"
    )


def test_a_piece_of_a_mail_is_read_as_far_as_it_goes() -> None:
    piece = "Content-Type: message/partial; id=1; number={}; total=2"
    first = f"From: b@x\r\nSubject: S\r\nContent-Type: text/plain\r\n\r\n{TEXT}".encode()
    assert (
        body(first, piece.format(1)) == f"[attached mail]\nFrom: b@x\nDate:\nSubject: S\n\n{TEXT}"
    )
    assert body(b"the rest", piece.format(2)) == "the rest"


def test_mail_attached_as_a_file() -> None:
    head = b"Content-Type: application/octet-stream; name=old.eml\r\n"
    head += b"Content-Transfer-Encoding: base64\r\n\r\n"
    found = read(multipart("mixed", head + base64.encodebytes(INNER + TEXT.encode()))).body
    assert found.startswith("[attachment: old.eml, application/octet-stream, ")
    assert found.endswith(TOLD)


def test_digest() -> None:
    parts = [b"\r\nFrom: a@x\r\nSubject: One\r\n\r\n1", b"\r\nFrom: b@x\r\nSubject: Two\r\n\r\n2"]
    found = read(multipart("digest", *parts)).body
    assert [line for line in found.split("\n") if "Subject" in line] == [
        "Subject: One",
        "Subject: Two",
    ]


def test_headers_of_a_mail_that_came_back() -> None:
    part = (
        b"Content-Type: text/rfc822-headers\r\n\r\nFrom: a@x\r\nSubject: =?utf-8?q?gr=C3=BCn?=\r\n"
    )
    assert read(multipart("report", text_part("Failed"), part)).body == (
        "Failed\n\n[attached mail]\nFrom: a@x\nDate:\nSubject: grün"
    )
