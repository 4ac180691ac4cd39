"""Headers of mails as they are: whom they name, encoded words, and lines that are none."""

from __future__ import annotations

import base64

import pytest
from mails import mail, read

from onecard_client._mailbox.mime import NotAMail


def sender(value: bytes | str) -> str:
    raw = value if isinstance(value, bytes) else value.encode()
    return read(b"From: " + raw + b"\r\nSubject: s\r\n\r\nhi").sender


def subject(value: bytes | str) -> str:
    raw = value if isinstance(value, bytes) else value.encode()
    return read(b"From: a@x\r\nSubject: " + raw + b"\r\n\r\nhi").subject


def word(charset: str, content: bytes) -> str:
    return f"=?{charset}?B?{base64.b64encode(content).decode()}?="


# people: everything that is written is told


@pytest.mark.parametrize(
    "written",
    [
        "service@bank.example <thief@x.example>",
        '"service@bank.example" <thief@x.example>',
        "[Help Desk] Ann <ann@x.example>",
        "ann@x.example via Readers <readers@list.example>",
        "Sales @ Acme <sales@acme.example>",
        "Ann <ann@x.example> <bob@y.example>",
        "<ann@x.example>, <bob@y.example>",
        "ann@x.example (Ann (who else) Smith)",
        '"Smith, Ann" <ann@x.example>',
        "Smith, Ann <ann@x.example>",
        "Ann: the best <ann@x.example>",
        "Ann; Bob <ann@x.example>",
        "Ann <ann@x.example",
        "ann@x.example>",
        "Ann <>",
        "Ann <ann at x.example>",
        "Ann <ann@[192.0.2.1]>",
        "Ann <ann@xn--bcher-kva.example>",
        "Ann <ann@bücher.example>",
        "<@relay.example:ann@x.example>",
        "Ann O'Hara <ann@x.example>",
        "ann@@x.example",
        "undisclosed-recipients:;",
        "Friends: ann@x.example, bob@y.example;",
    ],
)
def test_people_are_told_as_they_are_written(written: str) -> None:
    found = read(f"From: {written}\nTo: {written}\nCc: {written}\nReply-To: {written}\n\nhi")
    assert [found.sender, found.to, found.cc, found.reply_to] == [written] * 4


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("=?utf-8?Q?service=40bank.example?= <thief@x.example>",
         "service@bank.example <thief@x.example>"),
        ('"=?utf-8?B?SsO2cmc=?=" <joerg@x.example>', '"Jörg" <joerg@x.example>'),
        ("=?utf-8?q?Ann?=<ann@x.example>", "Ann<ann@x.example>"),
        ("Ann\u202e\u200b <ann@x.example>", "Ann <ann@x.example>"),
        ("Ann\r\n <ann@x.example>", "Ann <ann@x.example>"),
        ("=?utf-8?Q?Ann=0ABcc=3A_x?= <ann@x.example>", "Ann Bcc: x <ann@x.example>"),
    ],
)  # fmt: skip
def test_people_in_encoded_words(written: str, told: str) -> None:
    assert sender(written) == told


def test_an_address_behind_a_name_without_end_is_told() -> None:
    told = sender("Very " * 10_000 + "<thief@x.example>")
    assert told.startswith("Very Very")
    assert told.endswith("<thief@x.example>")
    assert len(told) < 3000


def test_every_recipient_and_every_sender() -> None:
    raw = "From: a@x\nFrom: b@x\nTo: c@x; d@x\nTo: e@x\nCc: f@x,\n\tg@x\nSubject: s\n\nhi"
    found = read(raw)
    assert (found.sender, found.to, found.cc) == ("a@x, b@x", "c@x; d@x, e@x", "f@x, g@x")


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ("Sender: list@x", "list@x"),
        ("Return-Path: <bounce@x>", "<bounce@x>"),
        ("From:\nSender: list@x", "list@x"),
        ("From: a@x\nSender: A <A@x>", "a@x"),
        ("From: Boss <a@x>\nSender: Bulk <list@x>", "Boss <a@x> (sent by Bulk <list@x>)"),
        ("From: a@x\nSender: list@x", "a@x (sent by list@x)"),
        ("From: a@x\nSender: no address", "a@x"),
    ],
)
def test_who_sent_a_mail_and_is_not_its_author(headers: str, told: str) -> None:
    assert read(f"{headers}\nSubject: s\n\nhi").sender == told


def test_the_first_id_counts() -> None:
    raw = "Message-Id: <1@x>\nMessage-Id: <2@x>\nSubject: s\nSubject: t\n\nhi"
    assert (read(raw).id, read(raw).subject) == ("1@x", "s, t")


# encoded words


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("=?utf-8?Q?gr=C3?= =?utf-8?Q?=BCn?=", "grün"),
        ("=?utf-8?Q?gr=C3?=\r\n\t=?UTF-8?Q?=BCn?=", "grün"),
        ("=?utf-8?Q?gr=C3?==?utf-8?Q?=BCn?=", "grün"),
        ("=?utf-8?Q?gr=C3?= =?utf-8?B?vG4=?=", "grün"),
        ("=?utf-8?B?Z3LD?= =?utf-8?B?vG4?=", "grün"),  # the padding is lost
        ("=?utf-8?B?Z3LDvG?= =?utf-8?B?4gaGF1cw==?=", "grün haus"),  # cut within four letters
        ("=?utf-8?B?Z3LD\r\n vG4=?=", "grün"),  # folded within a word
        ("=?utf-8?Q?=F0=9F=98?= =?utf-8?Q?=80?=", "😀"),
        ("=?utf-8*en?Q?gr=C3=BCn?=", "grün"),  # RFC 2231 has a language
        ("=?utf-8?q?a_b c?=", "a b c"),
        ("=?utf-8?q?100=25=?=", "100%="),
        ("=?utf-8?q?what??=", "what?"),
        ("x=?utf-8?q?=C3=BC?=y", "xüy"),
        ("(=?utf-8?q?=C3=BC?=)", "(ü)"),
        ("=?utf-8?q?a?= =?iso-8859-1?q?=FC?=", "aü"),
        ("=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
        ("=?iso-8859-1?q?=80_5?=", "€ 5"),
        ("=?us-ascii?q?gr=C3=BCn?=", "grün"),
        ("=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
        ("=?utf-8?Q?never ends", "=?utf-8?Q?never ends"),
        ("=?no-such?Q?gr=FCn?=", "grün"),
        ("=?utf-8?Q?=3D=3Futf-8=3FQ=3Fx=3F=3D?=", "=?utf-8?Q?x?="),  # decoded once
        ("=?utf-8?Q?gr=FCn?=", "grün"),  # says UTF-8 and is Latin-1
        (word("gb2312", "朱镕基".encode("gb18030")), "朱镕基"),
        (word("windows-874", "ชำระเงิน".encode("cp874")), "ชำระเงิน"),
        (word("iso-2022-jp", "金曜日".encode("iso2022_jp")) + "\r\n "
         + word("iso-2022-jp", "までに".encode("iso2022_jp")), "金曜日までに"),
        (word("gbk", "支付".encode("gbk")[:3]) + " " + word("gbk", "支付发票".encode("gbk")[3:]),
         "支付发票"),
        (word("shift_jis", "①㈱".encode("cp932")), "①㈱"),
        (word("iso-2022-kr", "결제".encode("iso2022_kr")), "결제"),
        (word("utf-7", b"gr+APw-n"), "grün"),
        (word("unicode-1-1-utf-7", b"gr+APw-n"), "grün"),
    ],
)  # fmt: skip
def test_encoded_words(written: str, told: str) -> None:
    assert subject(written) == told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("Größe".encode(), "Größe"),
        ("Größe".encode("latin-1"), "Größe"),
        ("5 € „jetzt“".encode("cp1252"), "5 € „jetzt“"),
        ("Счёт на оплату".encode("cp1251"), "Счёт на оплату"),
        ("Счёт на оплату".encode("koi8-r"), "Счёт на оплату"),
        ("发票明细".encode("gbk"), "发票明细"),
        ("請付款".encode("big5"), "請付款"),
        ("お支払いください".encode("cp932"), "お支払いください"),
        ("お支払いください".encode("euc_jp"), "お支払いください"),
        ("お支払いください".encode("iso2022_jp"), "お支払いください"),
        ("결제해 주세요".encode("cp949"), "결제해 주세요"),
        ("ใบแจ้งหนี้".encode("cp874"), "ใบแจ้งหนี้"),
        ("Τιμολόγιο".encode("cp1253"), "Τιμολόγιο"),
    ],
)
def test_raw_bytes_in_a_header(content: bytes, told: str) -> None:
    assert subject(content) == told


def test_raw_bytes_are_of_the_charset_that_the_mail_names() -> None:
    raw = mail(b"x", b"Content-Type: text/plain; charset=iso-8859-2")
    assert read(raw.replace(b"Subject: s", "Subject: Łódź".encode("iso8859-2"))).subject == "Łódź"


# lines that are no headers


@pytest.mark.parametrize(
    "raw",
    [
        "From: a@x\nSubject : pay\nContent-Type: text/html\n\n<p>hi</p>",
        "From : a@x\nSubject\t: pay\nContent-Type : text/html\n\n<p>hi</p>",
        "From: a@x\nno header at all\nSubject: pay\nContent-Type: text/html\n\n<p>hi</p>",
        "From: a@x\n>From b@x Tue Jul  1\nSubject: pay\nContent-Type: text/html\n\n<p>hi</p>",
        ">From a@x Tue Jul  1 10:00:00\nFrom: a@x\nSubject: pay\nContent-Type: text/html\n\n<p>hi",
        "From a@x Tue Jul  1 10:00:00\nFrom: a@x\nSubject: pay\nContent-Type: text/html\n\n<p>hi",
        "+OK 1234 octets\nFrom: a@x\nSubject: pay\nContent-Type: text/html\n\n<p>hi</p>",
        "\ufeffFrom: a@x\nSubject: pay\nContent-Type: text/html\n\n<p>hi</p>",
        "\n \n\nFrom: a@x\nSubject: pay\nContent-Type: text/html\n\n<p>hi</p>",
        "From: a@x\nSubject:\n pay\nContent-Type:\n\ttext/html\n\n<p>hi</p>",
        "From: a@x\nSubject:pay\nContent-Type:text/html;\ncharset=utf-8\n\n<p>hi</p>",
        "From: a@x\nSubject: =?utf-8?q?p?=\n=?utf-8?q?ay?=\nContent-Type: text/html\n\n<p>hi</p>",
        "From: a@x\nSubject: pay\nContent Type: text/html\n\n<p>hi</p>",
        "FROM: a@x\nSUBJECT: pay\ncontent-TYPE: TEXT/HTML\n\n<p>hi</p>",
        "From: a@x\nSubject: pay\0\nContent-Type: text/html\n\n<p>hi</p>\0",
        "  From: a@x\nSubject: pay\nContent-Type: text/html\n\n<p>hi</p>",
    ],
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r", "\r\r\n"])
def test_headers_go_on_behind_a_line_that_is_none(raw: str, line_end: str) -> None:
    found = read(raw.replace("\n", line_end))
    assert (found.sender, found.subject, found.body) == ("a@x", "pay", "hi")


def test_a_mail_that_was_saved_as_utf_16() -> None:
    text = "From: a@x\r\nSubject: pay\r\n\r\nGröße"
    for content in (text.encode("utf-16"), b"\xfe\xff" + text.encode("utf-16-be")):
        assert (read(content).subject, read(content).body) == ("pay", "Größe")


@pytest.mark.parametrize(
    ("raw", "body"),
    [
        ("Subject: s\nDear all,\nplease pay: 5\n\nAnn", "Dear all,\nplease pay: 5\n\nAnn"),
        ("Subject: s\n\nSubject : x\nno header\nDate: y", "Subject : x\nno header\nDate: y"),
        ("Subject: s\nDear all,\nthis is what he wrote\nabout the bill\nFrom: me\n\nx",
         "Dear all,\nthis is what he wrote\nabout the bill\nFrom: me\n\nx"),
        ("Subject: s", ""),
    ],
)  # fmt: skip
def test_a_text_is_not_taken_for_headers(raw: str, body: str) -> None:
    assert read(raw).body == body


def test_parts_have_broken_headers_too() -> None:
    part = b"Content-Type : text/html\r\njunk\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    raw = mail(
        b"--B\r\n" + part + base64.b64encode(b"<p>Pay</p>") + b"\r\n--B\r\n"
        b"Content-Type: message/rfc822\r\n\r\n"
        b"Subject : Inner\r\njunk\r\nFrom: b@x\r\n\r\nA : b\r\n--B--",
        b"Content-Type: multipart/mixed; boundary=B",
    )
    body = read(raw).body
    assert body == "Pay\n\n[attached mail]\nFrom: b@x\nDate:\nSubject: Inner\n\nA : b"


# facts beside the text


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (
            "Authentication-Results: mx.x; spf=fail smtp.mailfrom=a@y; dkim=none; dmarc=fail (x)",
            "spf=fail dkim=none dmarc=fail",
        ),
        (
            "Authentication-Results: mx.x;\n spf=pass (it says dkim=pass) x.y=z;\n\tdkim=fail",
            "spf=pass dkim=fail",
        ),
        ("Authentication-Results: mx.x 1; SPF=Pass; DKIM = fail", "spf=pass dkim=fail"),
        (
            "Authentication-Results: spf=softfail (IP is 192.0.2.1); compauth=fail reason=001",
            "spf=softfail compauth=fail",
        ),
        (
            "Authentication-Results: mx.x; dkim=pass\nAuthentication-Results: mx.x; dmarc=fail",
            "dkim=pass dmarc=fail",
        ),
        (
            "Authentication-Results: mx.x; dmarc=fail\nReceived: by mx.x\n"
            "Authentication-Results: mx.x; dmarc=pass",
            "dmarc=fail",
        ),
        (
            "Authentication-Results: mx.x; dmarc=fail\nAuthentication-Results: evil.x; spf=pass",
            "dmarc=fail",
        ),
        ("ARC-Authentication-Results: i=1; mx.x; spf=pass; dkim=pass", "spf=pass dkim=pass"),
        (
            "Authentication-Results: x; spf=fail\nARC-Authentication-Results: i=1; x; spf=pass",
            "spf=fail",
        ),
        ("Received-SPF: SoftFail (mx.x: domain of y does not designate)", "spf=softfail"),
        ("Authentication-Results: mx.x; none", ""),
        (
            "Authentication-Results: mx.x; dkim=pass header.d=y; dkim=fail header.d=z",
            "dkim=pass dkim=fail",
        ),
        (
            'Authentication-Results: mx.x; dkim=fail reason="x; dkim=pass"; spf=pass',
            "dkim=fail spf=pass",
        ),
        ('Authentication-Results: mx.x; spf=fail smtp.mailfrom="a; dmarc=pass"@y', "spf=fail"),
        ("Authentication-Results: mx.x; dkim=perm_fail header.i=@y", "dkim=perm_fail"),
        ("X-Other: spf=pass", ""),
        ("Authentication-Results: mx.x; (" + "(" * 5000 + "spf=pass", ""),
    ],
)
def test_what_the_receiving_server_says_of_the_sender(headers: str, told: str) -> None:
    assert read(f"{headers}\nSubject: s\n\nx").authentication == told


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ("X-Gmail-Labels: Inbox,Important,Opened", "Inbox, Important, Opened"),
        ("X-Gmail-Labels: =?UTF-8?Q?Posteingang,Gel=C3=B6scht?=", "Posteingang, Gelöscht"),
        ("X-Gmail-Labels: =?UTF-8?Q?Gel=C3?=\r\n =?UTF-8?Q?=B6scht,Rechnungen?=",
         "Gelöscht, Rechnungen"),
        ("Keywords: bill, urgent", "bill, urgent"),
        ("X-Keywords: bill\nX-Gmail-Labels: Inbox,bill", "Inbox, bill"),
        ('X-Gmail-Labels: "Inbox",Work', "Inbox, Work"),
        ("X-Other: y", ""),
    ],
)  # fmt: skip
def test_labels(headers: str, told: str) -> None:
    assert read(f"{headers}\nSubject: s\n\nx").labels == told


def test_date_of_a_mail_that_has_none_is_when_it_was_received() -> None:
    raw = "Received: from a by b; Tue, 1 Jul 2025 10:00:00 +0000\nReceived: x\nSubject: s\n\nhi"
    assert read(raw).date == "2025-07-01T10:00:00+00:00"
    assert read(f"Date: =?utf-8?q?yesterday?=\n{raw}").date == "yesterday"


@pytest.mark.parametrize("raw", [b"MIME-Version: 1.0\n\nx", b"\xff\xfe", b"From a@x Tue\n\nhi"])
def test_what_has_no_header_of_a_mail_is_none(raw: bytes) -> None:
    with pytest.raises(NotAMail):
        read(raw)
