"""Reports of mails that were sent: which address, what became of it, and why."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecard_client._mailbox.mime.bounce import MAX_RECIPIENTS, delivery_text

POSTFIX = """Reporting-MTA: dns; mail.example.com
X-Postfix-Queue-ID: 4F1
X-Postfix-Sender: rfc822; ann@example.com
Arrival-Date: Tue,  1 Jul 2025 10:00:00 +0200 (CEST)

Final-Recipient: rfc822; jo@b.de
Original-Recipient: rfc822;joe@b.de
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.b.de
Diagnostic-Code: smtp; 550 5.1.1 <jo@b.de>: Recipient address
    rejected: User unknown in
    virtual mailbox table

Final-Recipient: rfc822; al@b.de
Action: delayed
Status: 4.4.1
Will-Retry-Until: Sat, 5 Jul 2025 10:00:00 +0200
"""

EXCHANGE = """Reporting-MTA: dns;AM0PR01.eurprd01.prod.exchangelabs.com
Received-From-MTA: dns;mail.example.com
Arrival-Date: Tue, 1 Jul 2025 08:00:00 +0000

Original-Recipient: rfc822;jo@b.de
Final-Recipient: rfc822;jo@b.de
Action: failed
Status: 5.1.10
Diagnostic-Code: smtp;550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup
X-Display-Name: Jo
"""  # noqa: E501

GMAIL = """Reporting-MTA: dns; googlemail.com
Arrival-Date: Tue, 01 Jul 2025 01:00:00 -0700 (PDT)
X-Original-Message-ID: <1@mail.gmail.com>

Final-Recipient: rfc822; jo@b.de
Action: failed
Status: 4.4.1
Diagnostic-Code: smtp; The recipient server did not accept our requests to connect.
 [b.de 192.0.2.1: timed out]
Last-Attempt-Date: Wed, 02 Jul 2025 01:00:00 -0700 (PDT)
"""


def lines_of(text: str) -> list[str]:
    return delivery_text(text.encode()).split("\n")


def test_postfix() -> None:
    assert lines_of(POSTFIX) == [
        "[delivery report]",
        "jo@b.de (written to joe@b.de): failed (5.1.1: permanent failure, about the address); "
        "reason: 550 5.1.1 <jo@b.de>: Recipient address rejected: User unknown in virtual mailbox "
        "table; said by mx.b.de",
        "al@b.de: delayed (4.4.1: temporary failure, about the network or routing); "
        "tried until Sat, 5 Jul 2025 10:00:00 +0200",
        "Reported by: mail.example.com",
        "Mail of: Tue, 1 Jul 2025 10:00:00 +0200 (CEST)",
    ]


def test_exchange() -> None:
    assert lines_of(EXCHANGE)[1] == (
        "jo@b.de: failed (5.1.10: permanent failure, about the address); reason: 550 5.1.10 "
        "RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"
    )


def test_gmail() -> None:
    assert (
        "did not accept our requests to connect. [b.de 192.0.2.1: timed out]" in lines_of(GMAIL)[1]
    )


@pytest.mark.parametrize(
    ("change", "to"),
    [
        ("\n", "\r\n"),
        ("\n", "\r"),
        ("\n", "\r\r\n"),
        ("\n", "\n\n"),  # each line end doubled on the way
        ("\n\n", "\n"),  # no empty line between the addresses
        ("\n\n", "\n\n\n\n"),
        ("Reporting", "\ufeffReporting"),
        ("Final-Recipient: ", "FINAL-RECIPIENT :"),
        ("Action: failed", "Action: failed\nthis line is none"),
    ],
)
def test_broken_report_names_the_same(change: str, to: str) -> None:
    lines = lines_of(POSTFIX.replace(change, to))
    assert lines[1].startswith("jo@b.de (written to joe@b.de): failed")
    assert lines[1].endswith("virtual mailbox table; said by mx.b.de")
    assert lines[2].startswith("al@b.de: delayed")
    assert lines[3] == "Reported by: mail.example.com"


def test_an_address_may_stand_behind_what_is_said_of_it() -> None:
    lines = lines_of(
        "Reporting-MTA: dns; x\n\nDiagnostic-Code: smtp; 550 no a\nFinal-Recipient: rfc822;a@x\n"
        "Action: failed\n\nDiagnostic-Code: smtp; 550 no b\nFinal-Recipient: rfc822;b@x\n\n"
        "Action: delayed\n"
    )
    assert lines[1:] == [
        "a@x: failed; reason: 550 no a",
        "b@x: delayed; reason: 550 no b",
        "Reported by: x",
    ]


def test_a_text_that_is_called_a_report_is_told() -> None:
    text = "This message could not be delivered:\n\n<u@x> has restricted e-mail"
    assert delivery_text(text.encode()) == f"[delivery report]\nnames no address\n{text}"


def test_each_address_keeps_its_own_original() -> None:
    lines = lines_of(
        "Original-Recipient: rfc822;a@x\nFinal-Recipient: rfc822;b@x\nAction: failed\n\n"
        "Original-Recipient: rfc822;c@x\nFinal-Recipient: rfc822;d@x\nAction: failed\n"
    )
    assert lines[1:3] == ["b@x (written to a@x): failed", "d@x (written to c@x): failed"]


def test_addresses_beyond_ascii() -> None:
    lines = lines_of(
        "Final-Recipient: utf-8; jörg@b.de\nOriginal-Recipient: utf-8;\\x{4F1A}@b.de\n"
        "Action: failed\nStatus: 5.0.0 (permanent failure)\n"
    )
    assert lines[1] == (
        "jörg@b.de (written to 会@b.de): failed (5.0.0 (permanent failure): permanent failure)"
    )


def test_many_addresses_are_counted() -> None:
    report = "\n\n".join(f"Final-Recipient: rfc822; a{number}@x.de" for number in range(500))
    lines = lines_of(f"Reporting-MTA: dns; x\n\n{report}")
    assert len(lines) == MAX_RECIPIENTS + 3
    assert f"[{500 - MAX_RECIPIENTS} more addresses left out]" in lines


def test_read_receipt() -> None:
    lines = lines_of(
        "Reporting-UA: mail.example.com; Outlook\nFinal-Recipient: rfc822;jo@b.de\n"
        "Original-Message-ID: <1@x>\n"
        "Disposition: automatic-action/MDN-sent-automatically; deleted\nError: full\n"
    )
    assert lines == ["[receipt]", "jo@b.de: deleted by a program", "Error: full"]


def test_complaint() -> None:
    lines = lines_of(
        "Feedback-Type: abuse\nUser-Agent: X/1\nVersion: 1\nOriginal-Mail-From: <a@x.de>\n"
        "Original-Rcpt-To: <b@x.de>\nSource-IP: 192.0.2.1\nReported-Domain: x.de\n"
    )
    assert lines == [
        "[report about a mail: abuse]",
        "Sent by: <a@x.de>",
        "Sent to: <b@x.de>",
        "From the server: 192.0.2.1",
        "Domain: x.de",
    ]


@pytest.mark.parametrize(
    ("report", "line"),
    [
        ("", "names no address"),
        ("nothing here", "names no address"),
        ("Status: 5.2.2\nAction: failed", "an address that is not named: failed (5.2.2: permanent"),
        ("Final-Recipient: rfc822; a@x", "a@x: no word of what became of it"),
        ("Final-Recipient: a@x\nStatus: gone", "a@x: (gone)"),
    ],
)
def test_what_is_missing_is_said(report: str, line: str) -> None:
    assert lines_of(report)[1].startswith(line)


def test_charset_that_is_not_utf8() -> None:
    assert "Größe" in delivery_text(b"Final-Recipient: a\nDiagnostic-Code: x; Gr\xf6\xdfe\n")


@pytest.mark.parametrize(
    "report",
    [
        "Final-Recipient: a\n\n" * 25_000,
        "Diagnostic-Code: b\n" + " c\n" * 160_000,
        "Final-Recipient: " + "\\x{41}" * 80_000,
        "a: b\n" * 100_000,
    ],
    ids=range(4),
)
def test_hostile_report_is_short_in_the_end(report: str) -> None:
    assert len(delivery_text(report.encode())) < 10_000


@given(st.binary(max_size=300))
def test_any_bytes(content: bytes) -> None:
    assert delivery_text(b"Final-Recipient: " + content).startswith("[")
    assert delivery_text(content).startswith("[")
