"""What only programs read becomes a short mark; what people wrote stays, to the letter."""

from __future__ import annotations

import base64
import binascii
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecard_client._mailbox.mime.armour import without_armour

NOISE = random.Random(1).randbytes(3_000)
LINES = base64.encodebytes(NOISE).decode()
ONE_LINE = base64.b64encode(NOISE).decode()


def armour(kind: str, data: str = LINES, headers: str = "") -> str:
    return f"-----BEGIN {kind}-----\n{headers}\n{data}-----END {kind}-----\n"


SIGNED = (
    "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nPay 120 EUR.\n- -- \nAnn\n- - one\n"
    + armour("PGP SIGNATURE", headers="Version: GnuPG v2\n")
    + "\nThe list's footer\n- two\n"
)


@pytest.mark.parametrize(
    ("kind", "mark"),
    [
        ("PGP MESSAGE", "[PGP message, encrypted, 4 kB]"),
        ("PGP MESSAGE, PART 01/02", "[pgp message, part 01/02, 4 kB]"),
        ("PGP PUBLIC KEY BLOCK", "[PGP public key, 4 kB]"),
        ("CERTIFICATE", "[certificate, 4 kB]"),
        ("OpenVPN Static key V1", "[openvpn static key v1, 4 kB]"),
        ("PKCS7", "[S/MIME message or signature, 4 kB]"),
    ],
)
def test_block(kind: str, mark: str) -> None:
    text = f"Hi,\n{armour(kind)}Bye"
    assert without_armour(text) == f"Hi,\n{mark}\nBye"
    assert without_armour(text.replace("\n", "\r\n")).split() == f"Hi,\n{mark}\nBye".split()


def test_key_with_a_password_and_ssh() -> None:
    headers = "Proc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A\n"
    assert without_armour(armour("RSA PRIVATE KEY", headers=headers)) == "[RSA private key, 4 kB]\n"
    ssh = f"---- BEGIN SSH2 PUBLIC KEY ----\n{LINES}---- END SSH2 PUBLIC KEY ----"
    assert without_armour(ssh) == "[ssh2 public key, 4 kB]"


def test_signed_text_stays_as_it_was() -> None:
    assert without_armour(SIGNED) == (
        "Pay 120 EUR.\n-- \nAnn\n- one\n[PGP signature, 4 kB]\n\nThe list's footer\n- two\n"
    )


def test_quoted_armour() -> None:
    quoted = "".join(f"> {line}\n" for line in SIGNED.splitlines())
    assert without_armour(quoted) == (
        "> Pay 120 EUR.\n> - -- \n> Ann\n> - - one\n> [PGP signature, 4 kB]\n> \n"
        "> The list's footer\n> - two\n"
    )


def test_armour_without_an_end() -> None:
    text = f"-----BEGIN PGP MESSAGE-----\n\n{LINES}\n\nRegards\n\nAnn\n"
    assert without_armour(text) == "[PGP message, encrypted, 4 kB]\n\n\nRegards\n\nAnn\n"


def test_short_lines_and_short_blocks() -> None:
    text = "-----BEGIN PGP MESSAGE-----\n\n" + "hQEMA3xyz0123456789\n" * 500
    assert (
        without_armour(text + "-----END PGP MESSAGE-----\n") == "[PGP message, encrypted, 10 kB]\n"
    )
    assert without_armour(armour("PGP MESSAGE", "hQEM\n")) == "[PGP message, encrypted, 4 bytes]\n"


def test_words_within_armour_stay() -> None:
    words = "Pay\nnow\nto\nme\n"
    assert without_armour(armour("PGP MESSAGE", words)) == armour("PGP MESSAGE", words)
    assert words in without_armour(armour("PGP MESSAGE", LINES + words))
    comment = armour("PGP MESSAGE", headers="Comment: Pay now\n")
    assert without_armour(comment) == "[PGP message, encrypted; Comment: Pay now, 4 kB]\n"
    assert "Pay: now" in without_armour("-----BEGIN PGP SIGNED MESSAGE-----\nPay: now\n\nHi")


def test_base64_that_nothing_announces() -> None:
    assert without_armour(f"see\n{LINES}Regards\nAnn") == "see\n[base64, 4 kB]\nRegards\nAnn"
    assert without_armour(f"see {ONE_LINE} there") == "see [base64, 4 kB] there"
    pdf = base64.encodebytes(b"%PDF-1.4 " + NOISE).decode()
    assert without_armour(pdf) == "[base64 of a PDF, 4 kB]\n"
    program = base64.b64encode(b"MZ\x90\0" + NOISE).decode()
    assert without_armour(program) == "[base64 of a Windows program, 4 kB]"


def test_data_link() -> None:
    text = f"![logo](data:image/png;base64,{ONE_LINE}) Pay"
    assert without_armour(text) == "![logo]([data within the text: image/png, 4 kB]) Pay"


def test_uuencoded_file() -> None:
    lines = (NOISE[at : at + 45] for at in range(0, len(NOISE), 45))
    file = "".join(binascii.b2a_uu(line).decode() for line in lines)
    text = f"see\nbegin 644 my photo.jpg\n{file}`\nend\nthere"
    assert without_armour(text) == "see\n[file within the text: my photo.jpg, 4 kB]\nthere"


@pytest.mark.parametrize(
    "text",
    [
        f"https://x.de/a?token={base64.urlsafe_b64encode(NOISE).decode()}",
        f"<https://localhost/{base64.urlsafe_b64encode(NOISE).decode()}>",
        "x" * 300_000,
        ("=" * 80 + "\n") * 4,
        ("/" * 80 + "\n") * 10,
        ("A" * 70 + "\n") * 10,
        "付款" * 5_000,
        "def f(x):\n    return x\n" * 100,
        "-----BEGIN FORWARDED MESSAGE-----\nFrom: a@x\nPay\n",
        "-----Original Message-----\nFrom: x",
        "begin 644 x\nnothing here\n",
        "begin\nend",
        "- item\n- item",
        "Internationalisierung\n" * 10,
        "\r\na\r\n\r",
        "-----BEGIN PGP MESSAGE-----",
        "-----END PGP MESSAGE-----",
    ],
    ids=range(17),
)
def test_what_is_no_armour_stays(text: str) -> None:
    assert without_armour(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "-----BEGIN PGP MESSAGE-----\n" * 50_000,
        "-----BEGIN PGP MESSAGE-----\n\n\n\nabc\n" * 50_000,
        ("A" * 70 + "\n") * 50_000,
        ("A" * 70 + "\n" + "B" * 71 + "\n") * 20_000,
        "begin 644 a\n" * 100_000,
        " " * 2_000_000,
        "data:" + ";a" * 1_000_000,
        "-----BEGIN " + "A " * 1_000_000,
        "\n" * 1_000_000,
    ],
    ids=range(9),
)
def test_hostile_text_takes_a_time_of_its_length(text: str) -> None:
    assert without_armour(text) == text


@given(st.text(alphabet="-BEGIND PKM\n>ab=+/ 1", max_size=200))
def test_any_text(text: str) -> None:
    for word in text.replace("-", " ").split():
        if word.isalpha() and word not in ("BEGIN", "END"):
            assert word in without_armour(text)
