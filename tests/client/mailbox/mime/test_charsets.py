"""Charsets of bodies: by every name, by none, and by a wrong one."""

from __future__ import annotations

import codecs

import pytest
from mails import mail, read

from onecard_client._mailbox.mime.charsets import codec_of_label, decoded

GERMAN, RUSSIAN, CHINESE = "Größe 5 €", "Оплатите счёт до пятницы", "请付款给我们公司"
JAPANESE, KOREAN, THAI = "お支払いください", "금요일까지 결제해 주세요", "กรุณาชำระเงิน"
POLISH = "Proszę zapłacić fakturę do piątku, żółć"
CZECH = "Prosím, zaplaťte fakturu ještě dnes, děkuji"
FRENCH = "Veuillez régler la facture dès à présent, même très tôt, ça presse"


def body(content: bytes, charset: str = "", kind: str = "plain") -> str:
    named = f"; charset={charset}" if charset else ""
    kinds = [f"Content-Type: text/{kind}{named}".encode(), b"Content-Transfer-Encoding: 8bit"]
    return read(mail(content, *kinds)).body


@pytest.mark.parametrize(
    ("labels", "codec", "text"),
    [
        ("utf-8 UTF8 utf8mb4 utf-8-sig unicode-1-1-utf-8 x-utf-8 UTF_8 cp65001", "utf-8", GERMAN),
        (
            "iso-8859-1 latin1 l1 iso8859_1 ISO_8859-1:1987 8859-1 x-iso-8859-1 cp819",
            "cp1252",
            GERMAN,
        ),
        (
            "windows-1252 cp1252 cp-1252 win-1252 x-cp1252 1252 windows1252 ms-ansi",
            "cp1252",
            GERMAN,
        ),
        ("iso-8859-15 iso885915 latin9 l9 iso8859_15", "iso8859-15", GERMAN),
        ("iso-8859-2 latin2", "iso8859-2", "Zażółć gęślą"),
        ("windows-1250 cp1250 x-cp1250 win1250", "cp1250", "Zażółć gęślą"),
        ("windows-1251 x-cp1251 cp-1251 win-1251", "cp1251", RUSSIAN),
        ("koi8-r koi koi8_r cskoi8r koi8r", "koi8-r", RUSSIAN),
        ("ibm866 cp866 866", "cp866", "Привет"),
        ("x-mac-cyrillic", "mac-cyrillic", RUSSIAN),
        ("macintosh x-mac-roman mac", "mac-roman", "Größe"),
        ("x-mac-ce", "mac-latin2", "Zażółć"),
        ("iso-8859-8-i iso-8859-8 logical hebrew", "iso8859-8", "שלום"),
        ("windows-874 dos-874 tis-620 tis620 iso-8859-11 x-windows-874 cp874", "cp874", THAI),
        (
            "gb2312 gbk x-gbk gb18030 cp936 ms936 euc-cn chinese GB_2312-80",
            "gb18030",
            CHINESE + "镕",
        ),
        ("hz-gb-2312 hz", "hz", CHINESE),
        ("big5 x-x-big5 big5-hkscs cn-big5 cp950", "cp950", "請付款"),
        ("shift_jis x-sjis sjis windows-31j ms_kanji cp932 csshiftjis", "cp932", JAPANESE + "①"),
        ("euc-jp x-euc-jp cseucpkdfmtjapanese eucjp cp51932", "euc_jp", JAPANESE),
        (
            "iso-2022-jp csiso2022jp cp50220 cp50221 iso-2022-jp-1 iso-2022-jp-ms",
            "iso2022_jp",
            JAPANESE,
        ),
        ("euc-kr ks_c_5601-1987 cp949 windows-949 ksc5601 uhc x-windows-949", "cp949", KOREAN),
        ("iso-2022-kr", "iso2022_kr", KOREAN),
        ("utf-7 unicode-1-1-utf-7", "utf-7", GERMAN),
        ("utf-16le", "utf-16-le", GERMAN),
        ("utf-16be", "utf-16-be", GERMAN),
        ("utf-16", "utf-16", GERMAN),
        ("ibm850 cp850 850", "cp850", "Größe"),
        ("ibm437 cp437", "cp437", "Größe"),
    ],
)
def test_every_name_of_a_charset(labels: str, codec: str, text: str) -> None:
    spelt = [*labels.split(), labels.split()[0].upper()]
    read_as = {label: decoded(text.encode(codec), label) for label in spelt}
    assert read_as == dict.fromkeys(spelt, text)


@pytest.mark.parametrize(
    "label", ["hex", "rot13", "idna", "punycode", "base64", "", "x" * 5000, "\0"]
)
def test_what_is_no_charset(label: str) -> None:
    assert codec_of_label(label) == ""
    assert decoded(b"plain \xe9t\xe9", label) == "plain été"


@pytest.mark.parametrize(
    ("charset", "content", "text"),
    [
        # none named
        ("", GERMAN.encode(), GERMAN),
        ("", GERMAN.encode("cp1252"), GERMAN),
        ("", RUSSIAN.encode("cp1251"), RUSSIAN),
        ("", RUSSIAN.encode("koi8-r"), RUSSIAN),
        ("", CHINESE.encode("gbk"), CHINESE),
        ("", "請付款給我們公司".encode("big5"), "請付款給我們公司"),
        ("", JAPANESE.encode("cp932"), JAPANESE),
        ("", JAPANESE.encode("euc_jp"), JAPANESE),
        ("", JAPANESE.encode("iso2022_jp"), JAPANESE),
        ("", KOREAN.encode("cp949"), KOREAN),
        ("", KOREAN.encode("iso2022_kr"), KOREAN),
        ("", THAI.encode("cp874"), THAI),
        ("", POLISH.encode("iso-8859-2"), POLISH),
        ("", POLISH.encode("cp1250"), POLISH),
        ("", CZECH.encode("iso-8859-2"), CZECH),
        ("", FRENCH.encode("cp1252"), FRENCH),
        ("", GERMAN.encode("utf-16"), GERMAN),
        ("", b"one\xa0two", "one\xa0two"),
        ("", codecs.BOM_UTF8 + GERMAN.encode(), GERMAN),
        # one that says nothing, or is wrong
        ("us-ascii", RUSSIAN.encode("cp1251"), RUSSIAN),
        ("x-unknown", CHINESE.encode("gbk"), CHINESE),
        ("unknown-8bit", GERMAN.encode(), GERMAN),
        ("us-ascii", JAPANESE.encode("iso2022_jp"), JAPANESE),
        ("utf-8", JAPANESE.encode("iso2022_jp"), JAPANESE),
        ("utf-8", GERMAN.encode("cp1252"), GERMAN),
        ("utf-8", RUSSIAN.encode("cp1251"), RUSSIAN),
        ("gb2312", GERMAN.encode(), GERMAN),
        ("iso-8859-1", GERMAN.encode(), GERMAN),
        ("iso-2022-jp", JAPANESE.encode("cp932"), JAPANESE),
        ("iso-2022-jp", JAPANESE.encode(), JAPANESE),
        ("utf-16", b"plain text", "plain text"),
        ("iso-8859-1", codecs.BOM_UTF8 + GERMAN.encode(), GERMAN),
        # right but for a letter
        ("utf-8", GERMAN.encode() * 9 + b"\xc3", GERMAN * 9 + "\ufffd"),
        ("gb2312", CHINESE.encode("gbk") * 9 + b"\xff", CHINESE * 9 + "\ufffd"),
        ("windows-1252", b"5 \x80 \x81", "5 € \ufffd"),
        # written in its own way
        ('"utf-8', GERMAN.encode(), GERMAN),
        ("'iso-8859-1'", GERMAN.encode("cp1252"), GERMAN),
        ("utf-8 (Unicode)", GERMAN.encode(), GERMAN),
        ("windows-1251; format=flowed", RUSSIAN.encode("cp1251"), RUSSIAN),
        ("charset=koi8-r", RUSSIAN.encode("koi8-r"), RUSSIAN),
    ],
)  # fmt: skip
def test_body(charset: str, content: bytes, text: str) -> None:
    assert body(content, charset) == text


def test_japanese_letters_that_its_standard_lacks() -> None:
    circled = b"\x1b$B-!-j\x1b(B and \x1b(I6E\x1b(B, \x1b$BF|K\\\x1b(J."
    assert body(circled, "iso-2022-jp") == "①㈱ and ｶﾅ, 日本."
    assert body(b"\x1b$B-!\r\nplain again", "iso-2022-jp") == "①\nplain again"


@pytest.mark.parametrize(
    ("charset", "html", "codec"),
    [
        ("", '<meta charset="koi8-r">', "koi8-r"),
        ("", "<META HTTP-EQUIV=Content-Type CONTENT='text/html; charset=windows-1251'>", "cp1251"),
        ("us-ascii", "<meta charset=koi8-r>", "koi8-r"),
        ("no-such", "<meta charset=koi8-r>", "koi8-r"),
        ("utf-8", "<meta charset=windows-1251>", "cp1251"),  # the header's cannot be
        ("windows-1251", "<meta charset=utf-8>", "cp1251"),  # the header's can
        ("", "<meta charset=utf-16>", "utf-8"),
    ],
)
def test_charset_within_html(charset: str, html: str, codec: str) -> None:
    content = f"<html><head>{html}</head><body>{RUSSIAN}</body></html>".encode(codec)
    assert body(content, charset, "html") == RUSSIAN


def test_every_byte_is_some_text_in_every_charset() -> None:
    content = bytes(range(256)) * 3
    for label in ("utf-8", "iso-2022-jp", "gb2312", "utf-7", "utf-16", "hz", "x-none", "big5"):
        decoded(content, label).encode()
