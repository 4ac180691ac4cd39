"""Names of attachments: whole, whatever their encoding, quotes and tricks."""

from __future__ import annotations

import pytest
from mails import multipart, read, text_part


def told(*headers: str | bytes, content: bytes = b"x") -> str:
    """What is said of an attachment with these headers, without brackets, type and size."""
    lines = [each.encode() if isinstance(each, str) else each for each in headers]
    part = b"".join(line + b"\r\n" for line in lines) + b"\r\n" + content
    body = read(multipart("mixed", text_part("See"), part)).body
    assert body.startswith("See\n\n[attachment: ")
    assert body.endswith(", 1 bytes]")
    return body[len("See\n\n[attachment: ") : -len(", 1 bytes]")].rpartition(", ")[0]


PDF = "Content-Type: application/pdf"


@pytest.mark.parametrize(
    ("disposition", "name"),
    [
        # quotes that lack, and quotes too many
        ("attachment; filename=bill 2025.exe", "bill 2025.exe"),
        ("attachment; filename=bill 2025.exe; size=5", "bill 2025.exe"),
        ("attachment; filename=bill 2025.exe size=5", "bill 2025.exe"),
        ("attachment; size=5; filename=bill (1).pdf", "bill (1).pdf"),
        ('attachment; filename="bill 2025.exe', "bill 2025.exe"),
        ('attachment; filename=bill.exe"', "bill.exe"),
        ("attachment; filename='bill 2025.exe'", "bill 2025.exe"),
        ('attachment; filename="the "big" bill.exe"', 'the "big" bill.exe'),
        ('attachment; filename="the \\"big\\" bill.exe"', 'the "big" bill.exe'),
        ('attachment; filename="bill;2025.exe"; size=5', "bill;2025.exe"),
        ("attachment; filename=bill;2025.exe", "bill;2025.exe"),
        ("attachment; filename=a=b.exe", "a=b.exe"),
        ("attachment; filename=O'Hara.pdf", "O'Hara.pdf"),
        ("attachment; filename=Ann, Bob.pdf", "Ann, Bob.pdf"),
        ("attachment filename=bill.exe", "bill.exe"),
        ("attachment: filename=bill.exe", "bill.exe"),
        ("attachment; FILENAME = bill.exe", "bill.exe"),
        ("attachment;\r\n\tfilename=\r\n\t\"bill.exe\"", "bill.exe"),
        ("attachment; filename=\"long\r\n name.exe\"", "long name.exe"),
        ("filename=bill.exe", "bill.exe"),
        ("inline; filename=bill.exe", "bill.exe"),
        # encodings
        ("attachment; filename*=UTF-8''gr%C3%BCn.pdf", "grün.pdf"),
        ("attachment; filename*=utf-8'de'gr%c3%bcn%20%E2%82%AC.pdf", "grün €.pdf"),
        ("attachment; filename*=''gr%C3%BCn.pdf", "grün.pdf"),
        ("attachment; filename*=gr%C3%BCn.pdf", "grün.pdf"),
        ("attachment; filename*=iso-8859-1''5%80.pdf", "5€.pdf"),
        ("attachment; filename*=gb2312''%D6%EC%E9F%BB%F9.pdf", "朱镕基.pdf"),
        ("attachment; filename*=\"UTF-8''gr%C3%BCn.pdf\"", "grün.pdf"),
        ("attachment; filename*0=bill; filename*1=\" of \"; filename*2=may.exe", "bill of may.exe"),
        ("attachment; filename*1=b.exe; filename*0=a", "ab.exe"),
        ("attachment; filename*0*=utf-8''gr%C3; filename*1*=%BCn; filename*2=.pdf", "grün.pdf"),
        ("attachment; filename*10=j; filename*2=c; filename*0=a.; filename*1=b", "a.bcj"),
        ("attachment; filename==?utf-8?Q?gr=C3=BCn.pdf?=", "grün.pdf"),
        ('attachment; filename="=?utf-8?B?Z3LDvG4=?= 1.pdf"', "grün 1.pdf"),
        ('attachment; filename="=?utf-8?Q?gr=C3?=\r\n =?utf-8?Q?=BCn.pdf?="', "grün.pdf"),
        ('attachment; filename="=?gb2312?B?1uzpRrv5?=.pdf"', "朱镕基.pdf"),
        ("attachment; filename*=utf-8''=?utf-8?Q?gr=C3=BCn.pdf?=", "grün.pdf"),
        ("attachment; filename=100%.pdf", "100%.pdf"),
        # tricks
        ('attachment; filename="bill.pdf' + " " * 200 + '.exe"', "bill.pdf .exe"),
        ('attachment; filename="bill\u202efdp.exe"', "billfdp.exe"),
        ("attachment; filename*=utf-8''bill%E2%80%AEfdp%00%0A.exe", "billfdp .exe"),
        ('attachment; filename="..\\..\\bill.exe"', "..\\..\\bill.exe"),
        ('attachment; filename="../../etc/bill.exe"', "../../etc/bill.exe"),
        ('attachment; filename="C:\\temp\\bill.exe"', "C:\\temp\\bill.exe"),
        ('attachment; filename="bill.pdf\tx.exe"', "bill.pdf x.exe"),
    ],
)  # fmt: skip
def test_name(disposition: str, name: str) -> None:
    assert told(PDF, f"Content-Disposition: {disposition}") == name
    if disposition.startswith("attachment;"):
        kind = disposition.replace("attachment", "application/pdf", 1).replace("filename", "name")
        assert told(f"Content-Type: {kind.replace('FILENAME', 'NAME')}") == name


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("Größe.pdf", "utf-8"),
        ("Größe.pdf", "latin-1"),
        ("附件.pdf", "gbk"),
        ("発票明細.xls", "cp932"),
        ("Счет.docx", "cp1251"),
        ("견적서.hwp", "cp949"),
        ("報價單.doc", "big5"),
        ("見積書.xlsx", "iso2022_jp"),
        ("附件 一.pdf", "utf-8"),
    ],
)
@pytest.mark.parametrize("quote", ['"', ""])
def test_raw_bytes_in_a_name(name: str, codec: str, quote: str) -> None:
    header = f"Content-Disposition: attachment; filename={quote}{name}{quote}".encode(codec)
    assert told(PDF, header) == name


@pytest.mark.parametrize(
    ("headers", "name"),
    [
        ([f"{PDF}; name=a.pdf", "Content-Disposition: attachment"], "a.pdf"),
        ([f"{PDF}; name=a.pdf", "Content-Disposition: attachment; filename=a.pdf"], "a.pdf"),
        ([f"{PDF}; name=a.pdf", "Content-Disposition: attachment; filename=b.exe"],
         "b.exe, also named a.pdf"),
        ([PDF, "Content-Disposition: attachment; filename=a.pdf; filename*=utf-8''b.exe"],
         "b.exe, also named a.pdf"),
        ([PDF, "Content-Disposition: attachment; filename=a.pdf; filename=b.exe"],
         "a.pdf, also named b.exe"),
        ([PDF, "Content-Description: bill.pdf"], "bill.pdf"),
        ([PDF, "Content-Description: the bill"], ""),
        ([PDF], ""),
    ],
)  # fmt: skip
def test_every_name_is_told(headers: list[str], name: str) -> None:
    head = "".join(f"{header}\r\n" for header in headers) + "\r\nx"
    named = f"{name}, " if name else ""
    body = read(multipart("mixed", text_part("See"), head.encode())).body
    assert body == f"See\n\n[attachment: {named}application/pdf, 1 bytes]"


def test_a_long_name_keeps_its_ending() -> None:
    name = told(PDF, f'Content-Disposition: attachment; filename="{"a" * 3000}.exe"')
    assert name.endswith("a.exe")
    assert len(name) < 400


@pytest.mark.parametrize(
    "piece", ["a=", 'a="', ";", "; ", 'a="b" ', "a*0*=", "filename*9*=%ff;", "'", "=?"]
)
def test_hostile_parameters_are_bounded(piece: str) -> None:
    """A time with the square of their length would keep this from ending."""
    told(PDF, f"Content-Disposition: attachment; filename=x; {piece * 30_000}")


@pytest.mark.parametrize(
    ("kind", "told_as"),
    [
        ("application-x-gzip; name=a.gz", "a.gz, application/x-gzip"),
        ("application; name=a.gz", "a.gz, application/octet-stream"),
        ("image; name=a.png", "a.png, image/octet-stream"),
    ],
)
def test_a_type_in_one_word(kind: str, told_as: str) -> None:
    raw = f"From: a@x\nSubject: s\nContent-Type: {kind}\n\nx"
    assert read(raw).body == f"[attachment: {told_as}, 1 bytes]"
