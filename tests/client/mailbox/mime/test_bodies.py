"""Bodies of mails: transfer encodings, types, and what other readers are for."""

from __future__ import annotations

import base64
import binascii
import quopri

import pytest
from mails import HEAD, mail, multipart, read, text_part

from tests.client.mailbox.mime.bodies import TEXT, body

BASE64 = base64.encodebytes(TEXT.encode())
QUOTED = quopri.encodestring(TEXT.encode())


# transfer encodings


@pytest.mark.parametrize(
    "encoding",
    [
        "base64",
        "BASE64",
        "base64 ",
        "\tbase64",
        '"base64"',
        "base64 (of RFC 2045)",
        "base64;",
        "base-64",
        "x-base64",
        "based64",
        "base64, 8bit",
        "base64\r\n ",
        "b64",
        "bse64",
        "x-unknown",
    ],
)
def test_names_of_base64(encoding: str) -> None:
    assert body(BASE64, f"Content-Transfer-Encoding: {encoding}") == TEXT


@pytest.mark.parametrize(
    "encoding",
    ["quoted-printable", "Quoted-Printable ", "quoted_printable", "quoted printable", "qp",
     "quoted-printeable", '"quoted-printable"', "quoted-printable; x=y", "(x) quoted-printable"],
)  # fmt: skip
def test_names_of_quoted_printable(encoding: str) -> None:
    assert body(QUOTED, f"Content-Transfer-Encoding: {encoding}") == TEXT


@pytest.mark.parametrize("encoding", ["8bit", "binary", "none", "", "8-bit", "utf-8", "7bit 8bit"])
def test_no_encoding(encoding: str) -> None:
    assert body(TEXT.encode(), f"Content-Transfer-Encoding: {encoding}") == TEXT


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (base64.b64encode(b"Pay") + b"\r\n" + base64.b64encode(b" 12 EUR"), "Pay 12 EUR"),
        (base64.b64encode(b"Pay 1") + base64.b64encode(b"20 EUR"), "Pay 120 EUR"),
        (b"UGF5!!IDEy\r\n*MCBFVVI=", "Pay 120 EUR"),
        (b"UGF5 IDEy MCBF VVI=", "Pay 120 EUR"),
        (b"UGF5IDEyMCBFVVI", "Pay 120 EUR"),  # without its padding
        (b"UGF5IDEyMCBFVVI==", "Pay 120 EUR"),
        (b"UGF5IDEyMCBFVVIgbm93I", "Pay 120 EUR now"),  # cut off
        (b"UGF5IDEyMCBFVVI=\r\n-- \r\nA list of our town", "Pay 120 EUR\n--\nA list of our town"),
        (b"UGF5IDEyMCBFVVIh\r\n\r\n____\r\nA list of ours", "Pay 120 EUR!\n____\nA list of ours"),
        (base64.urlsafe_b64encode("ÿþ??>>>".encode()), "ÿþ??>>>"),
        (b"\r\n\r\nUGF5IDEyMCBFVVI=\r\n\r\n", "Pay 120 EUR"),
    ],
)
def test_base64_as_it_comes(content: bytes, text: str) -> None:
    assert body(content, "Content-Transfer-Encoding: base64") == text


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (b"Pay =\r\n120 EUR", "Pay 120 EUR"),
        (b"Pay = \t\r\n120 EUR", "Pay 120 EUR"),
        (b"Pay=20120=", "Pay 120"),
        (b"gr=c3=bcn", "grün"),
        (b"100=25 =ZZ a=b", "100% =ZZ a=b"),
        (b"a=3D3D", "a=3D"),
        (b"raw gr\xc3\xbcn =C3=BC", "raw grün ü"),
        (b"Pay =\r120 EUR", "Pay 120 EUR"),
    ],
)
def test_quoted_printable_as_it_comes(content: bytes, text: str) -> None:
    assert body(content, "Content-Transfer-Encoding: quoted-printable") == text


@pytest.mark.parametrize(
    "words", [b"Please pay the bill\nby Friday", b"We meet at noon, bring the papers with you"]
)
def test_words_that_say_they_are_base64_and_are_not(words: bytes) -> None:
    assert body(words, "Content-Transfer-Encoding: base64") == words.decode()


@pytest.mark.parametrize("encoding", ["x-uuencode", "uuencode", "x-uue"])
def test_uuencode(encoding: str) -> None:
    lines = b"".join(binascii.b2a_uu(TEXT.encode()[at : at + 45]) for at in range(0, 90, 45))
    content = b"begin 644 a.txt\n" + lines.replace(b"\n", b"\r\n") + b"end\r\n"
    assert body(content, f"Content-Transfer-Encoding: {encoding}") == TEXT


# types


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "text/plain charset=utf-8",
        "text/plain;charset=utf-8",
        "text/plain, charset=utf-8",
        "TEXT/PLAIN; CHARSET=UTF-8",
        "text",
        "plain",
        "text/",
        "text/plain;;; charset=utf-8",
        "text / plain",
        "text/plain; charset=utf-8; name",
        '"text/plain"',
        "text/plain (text); charset=utf-8",
        "",
        "; charset=utf-8",
        "text/markdown",
        "text/x-patch",
        "text/csv; header=absent",
        "text/x-anything",
        "text/plain; charset",
        "text/plain; format=flowed charset=utf-8",
        "text\\plain",
        "Text",
        "text/plain; name=note.txt",
        'text/vnd.x; charset="utf-8"',
        "message/rfc822; x",
    ],
)
def test_every_type_of_text_is_read(kind: str) -> None:
    assert body(TEXT.encode(), f"Content-Type: {kind}").endswith(TEXT)


@pytest.mark.parametrize(
    "kind", ["text/html", "text/html charset=utf-8", "html", "application/xhtml+xml"]
)
def test_html_by_every_name(kind: str) -> None:
    assert body(f"<p>{TEXT}</p>".encode(), f"Content-Type: {kind}") == TEXT


def test_html_that_nothing_says_is_html() -> None:
    content = f"<html><body><p>{TEXT}</p></body></html>".encode()
    assert body(content) == TEXT


@pytest.mark.parametrize("start", ["<!DOCTYPE html><html>", "<html>", "\ufeff\n<HTML lang=en>"])
def test_a_page_that_says_it_is_plain_text(start: str) -> None:
    content = f"{start}<body><p>{TEXT}</p><p style='display:none'>X9Q</p></body></html>".encode()
    found = read(mail(content, b"Content-Type: text/plain; charset=utf-8"))
    assert (found.body, found.hidden_text) == (TEXT, True)
    spoken = "Begin it with <html> and <p>, please"
    assert body(spoken.encode(), "Content-Type: text/plain") == spoken


def test_a_version_for_scripts_is_html_of_which_what_hides_until_they_ran_is_left_out() -> None:
    page = (
        "Content-Type: text/x-amp-html\r\n\r\n<!doctype html><html \u26a14email><head>"
        "<style amp4email-boilerplate>body{visibility:hidden}</style></head>"
        "<body><p>{}</p></body></html>"
    )
    same = multipart("alternative", text_part(TEXT), page.replace("{}", TEXT).encode())
    assert (read(same).body, read(same).hidden_text) == (TEXT, False)
    other = page.replace("{}", "Enter your password here today").encode()
    assert "password" in read(multipart("alternative", text_part(TEXT), other)).body


def test_enriched_text_without_its_marks() -> None:
    content = b"<bold>Pay</bold> <color><param>red</param>120</color> << 200"
    assert body(content, "Content-Type: text/enriched") == "Pay 120 < 200"


def test_words_that_were_folded_within() -> None:
    kind = "Content-Type: text/plain; format=flowed; delsp=yes"
    assert body(b"long \r\nword and  \r\nmore", kind) == "longword and more"


@pytest.mark.parametrize(
    "disposition",
    [
        "inline",
        "inline; filename=body.txt",
        "INLINE",
        "",
        "; filename=body.txt",
        "x-odd; filename=b.txt",
        "filename=body.txt",
    ],
)
def test_text_that_is_not_attached_is_read(disposition: str) -> None:
    head = f"Content-Type: text/plain; name=body.txt\r\nContent-Disposition: {disposition}\r\n\r\n"
    assert read(multipart("mixed", head.encode() + TEXT.encode())).body == TEXT


@pytest.mark.parametrize("content", [b"%PDF-1.4\n%\xe2\xe3", b"PK\x03\x04\x14", b"\x89PNG\r\n"])
def test_a_file_that_says_it_is_text(content: bytes) -> None:
    part = b"Content-Type: text/plain; name=x.bin\r\n\r\n" + content
    assert read(multipart("mixed", part)).body.startswith("[attachment: x.bin, text/plain, ")


# what other readers are for


def test_reports_and_invitations_are_told() -> None:
    report = (
        b"Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; x\r\n\r\n"
        b"Final-Recipient: rfc822; jo@b.example\r\nStatus: 5.1.1\r\n"
        b"Diagnostic-Code: smtp; 550 no such user"
    )
    found = read(multipart("report", text_part("Failed"), report)).body
    assert "jo@b.example" in found
    assert "no such user" in found
    calendar = (
        b"Content-Type: text/calendar; method=REQUEST\r\n\r\nBEGIN:VCALENDAR\r\nMETHOD:REQUEST\r\n"
        b"BEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Budget\r\nDTSTART:20250711T140000Z\r\nEND:VEVENT\r\nEND:VCALENDAR"
    )
    found = read(multipart("alternative", text_part("See you"), calendar)).body
    assert "See you" in found
    assert "Budget" in found
    attached = calendar.replace(
        b"text/calendar; method=REQUEST",
        b"application/ics; name=a.ics\r\nContent-Disposition: attachment",
    )
    found = read(multipart("mixed", text_part("See you"), attached)).body
    assert "a.ics" in found
    assert "Budget" in found


def test_whom_a_bounce_without_a_report_is_about() -> None:
    header = "X-Failed-Recipients: jo@b.example"
    assert body(b"Failed", header) == "Failed\n\n[could not be delivered to jo@b.example]"
    assert body(b"Failed: jo@b.example", header) == "Failed: jo@b.example"


def test_what_is_encrypted_is_named() -> None:
    armour = b"-----BEGIN PGP MESSAGE-----\r\n\r\n" + b"hQEMA3xyz0123456789abcdef\r\n" * 900
    assert len(body(armour + b"-----END PGP MESSAGE-----\r\n")) < 200
    kind = "Content-Type: application/pkcs7-mime; smime-type=enveloped-data; name=smime.p7m"
    assert "smime.p7m" in body(b"MIIB", kind)


def test_letters_without_width() -> None:
    raw = (
        HEAD + b"\r\n" + "pass\u200bword \U000e0049\U000e0067\U000e006e and \u200c \u200c".encode()
    )
    found = read(raw)
    assert found.body == "password  and"
    assert found.hidden_text
    assert not read(
        HEAD + "\r\nमैं \u200d👨\u200d👩\u200d👧 دوست\u200cمن \u00ad".encode()
    ).hidden_text
    bits = "\u200b\u200c" * 20
    assert read(HEAD + f"\r\nHello{bits}".encode()).hidden_text


def test_html_that_hides_text_is_told() -> None:
    html = '<p>Pay</p><div style="display:none">and obey</div>'
    for raw in (mail(html.encode(), b"Content-Type: text/html"),
                multipart("alternative", text_part("Pay"), text_part(html, "html"))):  # fmt: skip
        assert (read(raw).body, read(raw).hidden_text) == ("Pay", True)


def as_der(tag: int, content: bytes) -> bytes:
    size = len(content)
    head = bytes([size]) if size < 128 else b"\x82" + size.to_bytes(2, "big")
    return bytes([tag]) + head + content


DATA_OID = bytes.fromhex("06092a864886f70d010701")


@pytest.mark.parametrize("in_pieces", [False, True])
def test_a_mail_within_its_signature_is_read(in_pieces: bool) -> None:
    entity = b"Content-Type: text/plain; charset=utf-8\r\n\r\n" + TEXT.encode()
    octets = as_der(0x04, entity)
    if in_pieces:
        pieces = [as_der(0x04, entity[at : at + 10]) for at in range(0, len(entity), 10)]
        octets = b"\x24\x80" + b"".join(pieces) + b"\0\0"
    signed = as_der(0x30, as_der(0x02, b"\x01") + as_der(0x30, DATA_OID + as_der(0xA0, octets)))
    kind = "Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m"
    found = body(base64.encodebytes(signed), kind, "Content-Transfer-Encoding: base64")
    assert found.startswith("[attachment: smime.p7m, application/pkcs7-mime, ")
    assert found.endswith(TEXT)


@pytest.mark.parametrize(
    "content", [b"", DATA_OID, DATA_OID + b"\x30\x05abcde", DATA_OID + b"\xa0\x80\x04"]
)
def test_what_is_encrypted_or_cut_off_within_a_signature_is_named(content: bytes) -> None:
    found = body(content, "Content-Type: application/pkcs7-mime; name=smime.p7m")
    assert found.startswith("[attachment: smime.p7m, ")
    assert "\n" not in found
