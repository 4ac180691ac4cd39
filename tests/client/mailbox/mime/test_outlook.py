"""Outlook's .msg: the mail that it was, and what other OLE files are told."""

from __future__ import annotations

import struct
from contextlib import suppress
from datetime import datetime, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from outlook_files import Tree, Values, ole_file, properties

from onecard_client import Email
from onecard_client._mailbox.mime import NotAMail, email_from_bytes
from onecard_client._mailbox.mime.message import email_from_msg

ROOT, EMBEDDED, OTHER = 32, 24, 8
SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
MAIL: Values = {
    0x001A001F: "IPM.Note",
    0x0037001F: "Rechnung für 会",
    0x1000001F: "Please pay.\r\n",
    0x0042001F: "Ann, Bookkeeping",
    0x5D02001F: "ann@x.de",
    0x0065001F: "/O=X/OU=EXCHANGE/CN=RECIPIENTS/CN=ANN",
    0x00390040: datetime(2025, 7, 1, 8, tzinfo=timezone.utc),
    0x1035001F: "<1@x.de>",
}


def person(name: str, address: str, kind: int = 1, number: int = 0x39FE001F) -> Tree:
    return properties(OTHER, {0x3001001F: name, number: address, 0x0C150003: kind})


def msg(values: Values | None = None, *recipients: Tree, files: tuple[Tree, ...] = ()) -> bytes:
    root = properties(ROOT, MAIL if values is None else values)
    for number, recipient in enumerate(recipients):
        root[f"__recip_version1.0_#{number:08X}"] = recipient
    for number, file in enumerate(files):
        root[f"__attach_version1.0_#{number:08X}"] = file
    return ole_file(root)


def read(content: bytes) -> Email:
    return email_from_msg(content, "made-up")


def with_text(values: Values) -> Email:
    return read(msg({0x0037001F: "s", **values}))


def test_mail() -> None:
    pdf = properties(OTHER, {0x3707001F: "Größe.pdf", 0x37010102: b"%PDF-" * 999})
    content = msg(None, person("Bob", "bob@x.de"), person("Cid", "cid@x.de", 2), files=(pdf,))
    assert read(content) == Email(
        id="1@x.de",
        subject="Rechnung für 会",
        body="Please pay.\n\n[attachment: Größe.pdf, application/octet-stream, 5 kB]",
        sender='"Ann, Bookkeeping" <ann@x.de>',
        to='"Bob" <bob@x.de>',
        cc='"Cid" <cid@x.de>',
        date="2025-07-01T08:00:00+00:00",
    )


def test_any_file_is_read_by_what_it_begins_with() -> None:
    assert email_from_bytes(msg(), "made-up").subject == "Rechnung für 会"


def test_mail_without_a_name_for_itself() -> None:
    assert read(msg({0x1000001F: "Hi"})).id == "made-up"
    assert read(msg({})).body == "[empty mail]"


def test_headers_that_came_with_the_mail() -> None:
    headers = (
        "Microsoft Mail Internet Headers Version 2.0\r\n"
        "Authentication-Results: mx.x.de; spf=fail\r\n smtp.mailfrom=evil.ru; dkim=none\r\n"
        "From: =?utf-8?q?J=C3=B6rg?= <joerg@evil.ru>\r\nReply-To: other@evil.ru\r\n"
        "Content-Type: multipart/mixed; boundary=gone\r\n\ttype=x\r\nMIME-Version: 1.0\r\n"
        "To: bob@x.de\r\n\r\n--gone\r\nSubject: no header\r\n"
    )
    email = read(msg({**MAIL, 0x007D001F: headers}))
    assert email.sender == "Jörg <joerg@evil.ru>"
    assert email.reply_to == "other@evil.ru"
    assert "spf=fail" in email.authentication
    assert (email.subject, email.to, email.body) == ("Rechnung für 会", "bob@x.de", "Please pay.")


def test_sender_with_no_address_but_exchange_s() -> None:
    values: Values = {0x0C1A001F: "Ann", 0x0C1F001F: "/O=X/CN=ANN", 0x0037001F: "s"}
    assert read(msg(values)).sender == '"Ann" </O=X/CN=ANN>'


def test_sender_whose_smtp_address_stands_with_the_sender_only() -> None:
    values: Values = {
        0x0042001F: "Ann", 0x0065001F: "/O=X/CN=ANN", 0x0C1A001F: "Ann", 0x5D01001F: "ann@x.de",
    }  # fmt: skip
    assert read(msg(values)).sender == '"Ann" <ann@x.de>'


def test_recipients_as_they_are_shown_if_there_are_no_others() -> None:
    assert read(msg({**MAIL, 0x0E04001F: "Bob; Cid"})).to == "Bob; Cid"


def test_reply_to() -> None:
    entry = bytes(24) + "Helpdesk\0SMTP\0help@evil.ru\0".encode("utf-16-le")
    values: Values = {**MAIL, 0x0050001F: "Helpdesk", 0x004F0102: entry}
    assert read(msg(values)).reply_to == '"Helpdesk" <help@evil.ru>'


def test_texts_of_a_code_page() -> None:
    values: Values = {0x0037001E: "請求書".encode("cp932"), 0x3FFD0003: 932}
    assert read(msg(values)).subject == "請求書"


@pytest.mark.parametrize(
    ("codepage", "charset"), [(1251, "cp1251"), (65001, "utf-8"), (20866, "koi8-r")]
)
def test_html_of_a_code_page(codepage: int, charset: str) -> None:
    html = "<p>Оплатить <span style='display:none'>X9Q</span>сейчас</p>".encode(charset)
    email = with_text({0x10130102: html, 0x3FDE0003: codepage})
    assert email.body == "Оплатить сейчас"
    assert email.hidden_text


def test_html_that_says_something_else_than_the_text() -> None:
    html = b"<p>Your account is closed, sign in at once</p>"
    email = with_text({0x1000001F: "Lunch on Friday?", 0x10130102: html})
    assert "sign in at once" in email.body
    assert "Lunch on Friday?" in email.body


# RTF

RTF = (
    rb"{\rtf1\ansi\ansicpg1252\fromhtml1 {\fonttbl{\f0 Arial;}{\f1\fcharset204 Arial;}}"
    rb"{\*\htmltag18 <html>}{\*\htmltag64 <p>}\htmlrtf \par \htmlrtf0 Pay "
    rb"{\*\htmltag84 <b>}\htmlrtf {\b \htmlrtf0 120 \u8364? \htmlrtf }\htmlrtf0 {\*\htmltag92 </b>}"
    rb"Gr\'f6\'dfe {\f1 \'cf\'f0}{\*\htmltag84 <i hidden>}X9Q{\*\htmltag92 </i>}"
    rb"{\*\mhtmltag84 junk}{\*\htmltag72 </p>}}"
)
PLAIN_RTF = rb"{\rtf1\ansi{\*\generator X;}{\info{\author Z}}\pard Hello\par Pay {\v X9Q}\u-10179?\u-8704?\par}"  # noqa: E501


def compressed(rtf: bytes) -> bytes:
    """Without references back, as the format allows (MS-OXRTFCP, section 2.1.3.2)."""
    groups = b"".join(b"\0" + rtf[at : at + 8] for at in range(0, len(rtf), 8))
    return struct.pack("<II4sI", len(groups) + 12, len(rtf), b"LZFu", 0) + groups


def uncompressed(rtf: bytes) -> bytes:
    return struct.pack("<II4sI", len(rtf) + 12, len(rtf), b"MELA", 0) + rtf


@pytest.mark.parametrize("packed", [compressed(RTF), uncompressed(RTF)])
def test_html_within_rtf(packed: bytes) -> None:
    email = with_text({0x10090102: packed})
    assert email.body == "Pay 120 € Größe Пр"
    assert email.hidden_text


def test_rtf() -> None:
    email = with_text({0x10090102: compressed(PLAIN_RTF)})
    assert email.body == "Hello\nPay \N{GRINNING FACE}"
    assert email.hidden_text


def test_references_back() -> None:
    # Eleven bytes of what the window begins with, ` ab`, `ab` again, six times the `b` that was
    # written last, `}`, and a reference to where one is, which is the end.
    references = [0 << 4 | 9, 219 << 4 | 0, 222 << 4 | 4, 230 << 4]
    first, second, third, end = (struct.pack(">H", number) for number in references)
    packed = b"\xb1" + first + b" ab" + second + third + b"}" + end + b"not read"
    email = with_text({0x10090102: struct.pack("<II4sI", 0, 0, b"LZFu", 0) + packed})
    assert email.body == "ababbbbbbb"


def test_rtf_that_cannot_be_read_is_said() -> None:
    assert with_text({0x10090102: b"junk"}).body == (
        "[the text is in a form of RTF that cannot be read]"
    )


# attachments


def test_attached_mail() -> None:
    inner: Tree = properties(EMBEDDED, {**MAIL, 0x0037001F: "Inner"})
    file = properties(OTHER, {0x37050003: 5, 0x3001001F: "Inner"})
    file["__substg1.0_3701000D"] = inner
    body = read(msg({0x1000001F: "See below."}, files=(file,))).body
    assert body == (
        'See below.\n\n[attached mail]\nFrom: "Ann, Bookkeeping" <ann@x.de>\n'
        "Date: Tue, 01 Jul 2025 08:00:00 +0000\nSubject: Inner\n\nPlease pay."
    )


def test_signed_mail_is_read_from_its_file() -> None:
    signed = (
        b"Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
        b"Please pay.\r\n--b--\r\n"
    )
    file = properties(
        OTHER, {0x3707001F: "smime.p7m", 0x370E001F: "multipart/signed", 0x37010102: signed}
    )
    assert "Please pay." in read(msg({0x0037001F: "s"}, files=(file,))).body


@pytest.mark.parametrize(
    "name", ["a\r\nSubject: other", 'a";b', "x" * 300, "..\\..\\a.exe", "\U0001f600.pdf", ""]
)
def test_names_of_files(name: str) -> None:
    file = properties(OTHER, {0x3707001F: name, 0x370E001F: "no type", 0x37010102: b"a"})
    email = read(msg({0x0037001F: "s"}, files=(file,)))
    assert email.subject == "s"
    assert " ".join(name.split()) in email.body


def test_meeting() -> None:
    values: Values = {
        0x001A001F: "IPM.Schedule.Meeting.Request",
        0x0037001F: "Budget",
        0x5D02001F: "boss@x.de",
        0x80010040: datetime(2025, 7, 11, 12, tzinfo=timezone.utc),
        0x00610040: datetime(2025, 7, 11, 13, tzinfo=timezone.utc),
        0x8002001F: "Room 4; left",
    }
    root = properties(ROOT, values)
    # numbers of names: 0x8000 is for one of letters, then the start and the place
    entries = struct.pack("<IHHIHHIHH", 0, 1, 0, 0x820D, 6, 1, 0x8208, 6, 2)
    root["__nameid_version1.0"] = {"__substg1.0_00030102": entries}
    assert read(ole_file(root)).body.split("\n") == [
        "[invitation]",
        "Title: Budget",
        "Start: Friday 2025-07-11 12:00 UTC",
        "End: Friday 2025-07-11 13:00 UTC",
        "Place: Room 4; left",
        "Organiser: boss@x.de",
    ]


# what is no mail, and what is broken


def refusal(content: bytes) -> str:
    with pytest.raises(NotAMail) as caught:
        read(content)
    return str(caught.value)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (SIGNATURE + bytes(500), "less than its header has"),
        (SIGNATURE + bytes(5_000), "sectors of a size that no such file has"),
        (SIGNATURE, "8 bytes"),
        (msg()[:1_000], "cannot be read"),
        (ole_file({"WordDocument": b"a" * 5_000}), "a Word document"),
        (ole_file({"Workbook": b"a"}), "an Excel workbook"),
        (ole_file({}), "an OLE file of no known kind"),
    ],
)
def test_refusal(content: bytes, found: str) -> None:
    text = refusal(content)
    assert found in text
    assert "Outlook" in text
    assert "must be" in text
    assert "save" in text.lower()


def patched(content: bytes, at: int, value: int) -> bytes:
    return content[:at] + struct.pack("<I", value) + content[at + 4 :]


@pytest.mark.parametrize("at", [44, 64, 72])  # the numbers of sectors of each table
def test_header_that_says_too_much(at: int) -> None:
    assert "Outlook" in refusal(patched(msg(), at, 0xFFFFFF00))


def test_stream_that_says_too_much_and_goes_round() -> None:
    content = msg({**MAIL, 0x1000001F: "a" * 5_000})
    entry = content.index("__substg1.0_1000001F".encode("utf-16-le"))
    size, start = entry + 120, struct.unpack_from("<I", content, entry + 116)[0]
    (table,) = struct.unpack_from("<I", content, 76)
    loop = patched(content, 512 + table * 512 + start * 4, start)
    text = refusal(patched(loop, size, 0xFFFFFFF0))
    assert "larger than the file" in text


def test_storages_within_storages() -> None:
    inner: Tree = {}
    for _ in range(200):
        inner = {"a": inner}
    assert "nested" in refusal(ole_file({**properties(ROOT, MAIL), "a": inner}))


def test_mails_within_mails() -> None:
    inner = properties(EMBEDDED, MAIL)
    for _ in range(12):
        file = properties(OTHER, {0x3001001F: "deep"})
        file["__substg1.0_3701000D"] = inner
        inner = {**properties(EMBEDDED, MAIL), "__attach_version1.0_#00000000": file}
    root = {**properties(ROOT, MAIL), "__attach_version1.0_#00000000": file}
    assert read(ole_file(root)).body.count("Please pay.") == 5


WHOLE = msg(
    {**MAIL, 0x10090102: compressed(RTF)},
    person("Bob", "bob@x.de"),
    files=(properties(OTHER, {0x3707001F: "a.pdf", 0x37010102: b"a"}),),
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.one_of(st.integers(0, 512), st.integers(0, len(WHOLE) - 4)),
            st.sampled_from([0, 1, 2, 5, 0xFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF]),
        ),
        max_size=6,
    )
)
def test_any_damage(changes: list[tuple[int, int]]) -> None:
    content = WHOLE
    for at, value in changes:
        content = patched(content, at, value)[: len(WHOLE)]
    with suppress(NotAMail):
        assert read(SIGNATURE + content[8:]).id


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_rtf(content: bytes) -> None:
    assert with_text({0x10090102: uncompressed(b"{\\rtf1" + content)}).subject == "s"
    assert with_text({0x10090102: b"\0" * 8 + b"LZFu\0\0\0\0" + content}).subject == "s"
