"""EMAILS: what is taken, what is refused and with which words, and text that hides nothing."""

from __future__ import annotations

import json
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecard.errors import InvalidRequest
from onecard.triage import mail
from onecard.triage.shortening import NO_GAP, Gap
from onecard.untrusted import sanitize


def test_a_mail_as_the_client_sends_it():
    [found] = mail.parse(
        json.dumps(
            [{"id": "a", "from": "b@example.com", "to": "", "date": "2026-03-02", "subject": "Hi",
              "body": "one\r\n\r\n\r\n\r\ntwo  \tthree"}]
        )
    )  # fmt: skip
    assert found.id == "a"
    assert found.headers == {"from": "b@example.com", "date": "2026-03-02", "subject": "Hi"}
    assert found.body == "one\n\ntwo three"
    assert not found.shortened


def test_no_mails_are_no_error():
    assert mail.parse("[]") == []


@pytest.mark.parametrize("fields", [{"subject": "s"}, {"body": "b"}, {"subject": "", "body": None}])
def test_subject_or_body_will_do(fields):
    assert mail.parse(json.dumps([{"id": "1", **fields}]))[0].id == "1"


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ("{", "EMAILS is not JSON"),
        ("[" * 100_000, "EMAILS is not JSON"),
        ("", "EMAILS is empty; send a list of mails"),
        ('"text"', "EMAILS is a text, must be a list"),
        ('{"mails": []}', r"EMAILS\[0\] has the unknown field `mails`"),
        ('{"emails": {}}', "EMAILS is an object, must be a list"),
        ('["text"]', r"EMAILS\[0\] is `'text'`"),
        ('[{"id": "1", "body": ""}, {"body": ""}]', r"EMAILS\[1\] has no `id`"),
        ('[{"id": "", "body": ""}]', r"EMAILS\[0\] has an `id` of 0 letters"),
        ('[{"id": 7, "body": ""}]', r"EMAILS\[0\] has the `id` `7`, must be a text"),
        ('[{"id": null, "body": ""}]', r"EMAILS\[0\] has the `id` `None`, must be a text"),
        (r'[{"id": "\ud800", "body": ""}]', r"EMAILS\[0\].*must be valid Unicode"),
        ('[{"id": "1"}]', r"EMAILS\[0\] has neither `subject` nor `body`"),
        ('[{"id": "1", "body": ["x"]}]', r"EMAILS\[0\] has the `body` `\['x'\]`, must be a text"),
        (
            '[{"id": "1", "body": "", "cc": ["x", 1]}]',
            r"`cc` `\['x', 1\]`, must be a text or a list",
        ),
        (
            '[{"id": "1", "body": "", "authentication": ["x"]}]',
            "`authentication` .* must be a text",
        ),
        ('[{"id": "1", "body": "", "hidden_text": "yes"}]', "`'yes'`, must be true or false"),
        ('[{"id": "1", "body": "", "sender": "x"}]', r"EMAILS\[0\] has the unknown field `sender`"),
        (
            '[{"id": "1", "body": ""}, {"id": "2", "body": ""}, {"id": "1", "body": ""}]',
            r"EMAILS\[2\] has the `id` `1`, which EMAILS\[0\] has too",
        ),
    ],
)
def test_names_the_first_wrong_mail_and_field(found, says):
    with pytest.raises(InvalidRequest, match=says):
        mail.parse(found)


@pytest.mark.parametrize(
    "text", ['{"id": "1", "body": "x"}', '{"emails": [{"id": "1", "body": "x"}]}']
)
def test_a_single_mail_and_a_list_with_a_name_are_read_as_well(text):
    assert [found.id for found in mail.parse(text)] == ["1"]


def test_what_a_mailbox_knows_of_a_mail():
    fields = {
        "id": "1", "body": "x", "to": ["a@x", "b@x"], "cc": "c@x\nTo: d@x", "reply_to": "e@y\u200b",
        "authentication": "dmarc=fail " + "x" * 300, "labels": ["INBOX"], "hidden_text": True,
    }  # fmt: skip
    [found] = mail.parse(json.dumps([fields]))
    assert found.headers["to"] == "a@x, b@x"
    assert found.headers["cc"] == "c@x To: d@x"
    assert found.headers["reply_to"] == "e@y"
    assert found.headers["labels"] == "INBOX"
    assert len(found.headers["authentication"]) == mail.MAX_HEADER_LETTERS
    assert found.hidden_text
    assert found.shortened


def test_too_many_mails():
    mails = [{"id": str(n), "body": ""} for n in range(mail.MAX_MAILS + 1)]
    assert len(mail.parse(json.dumps(mails[:-1]))) == mail.MAX_MAILS
    with pytest.raises(InvalidRequest, match=f"{mail.MAX_MAILS + 1} mails, must have at most"):
        mail.parse(json.dumps(mails))


def test_a_long_header_is_clipped_and_says_so():
    recipients = ", ".join(f"person{n}@example.com" for n in range(500))
    [found] = mail.parse(json.dumps([{"id": "1", "to": recipients, "body": "x"}]))
    assert len(found.headers["to"]) == mail.MAX_HEADER_LETTERS
    assert found.headers["to"].endswith("…")
    assert found.shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x00b\x1b[31mc\x7fd\x9be", "ab[31mcde"),  # control characters
        ("pay\u200bpal\u2060 \ufeffnow", "paypal now"),  # zero width
        ("\u202egnp.exe\u202c", "gnp.exe"),  # bidirectional
        ("hi\U000e0049\U000e0067\U000e006e", "hi"),  # an ASCII text in tags
        ("a\ufe00\ufe01b\U000e0100", "ab"),  # variation selectors
        ("\u3164\u2800x", "x"),  # letters that show nothing
        ("half \ud83d character", "half \ufffd character"),
        ("a\u2028b\x85c\rd\r\ne", "a\nb\nc\nd\ne"),
        ("Grüße, 日本, 👍", "Grüße, 日本, 👍"),
    ],
)
def test_nothing_hidden_stays(text, shown):
    assert sanitize.harmless(text) == shown


@given(st.text())
def test_harmless_text_is_visible_encodable_and_stays_as_it_is(text):
    shown = sanitize.harmless(text)
    shown.encode()
    assert not {"Cc", "Cf", "Co", "Cs"} & {
        unicodedata.category(letter) for letter in shown if letter != "\n"
    }
    assert sanitize.harmless(shown) == shown
    assert "\n" not in sanitize.line(text)


def test_of_a_very_long_body_the_middle_is_not_even_looked_at(monkeypatch):
    lengths = []
    harmless = sanitize.harmless

    def noted(text):
        lengths.append(len(text))
        return harmless(text)

    monkeypatch.setattr(sanitize, "harmless", noted)
    body = "begin " + "x" * 1_000_000 + " end"
    headers = dict.fromkeys(("subject", "to", "from"), "y" * 1_000_000)
    [found] = mail.parse(json.dumps([{"id": "1", "body": body, **headers}]), 1000)
    assert max(lengths) <= 4000
    assert found.shortened
    assert found.body == "begin " + "x" * 990 + " end"
    assert found.gap == Gap(500, len(body) - 1000)


def test_a_body_that_is_as_long_as_may_be_has_no_gap():
    [found] = mail.parse(json.dumps([{"id": "1", "body": "x" * 1000}]), 1000)
    assert (found.gap, found.shortened) == (NO_GAP, False)


def test_lists_of_very_many_recipients_are_clipped():
    people = [f"person{n}@example.com" for n in range(100_000)]
    [found] = mail.parse(json.dumps([{"id": "1", "to": people, "body": "x"}]))
    assert found.headers["to"].startswith("person0@example.com, person1@")
    assert len(found.headers["to"]) == mail.MAX_HEADER_LETTERS


def test_emails_of_too_many_letters_are_not_even_read(monkeypatch):
    monkeypatch.setattr(mail, "MAX_LETTERS", 1000)
    with pytest.raises(InvalidRequest, match="EMAILS has 1001 letters, must have at most 1000"):
        mail.parse("[" * 1001)


def test_a_caller_that_is_gone_ends_the_reading():
    class Gone(Exception):
        pass

    num_checks = []

    def check():
        num_checks.append(1)
        if len(num_checks) == 3:
            raise Gone

    mails = [{"id": str(n), "body": "x"} for n in range(10)]
    with pytest.raises(Gone):
        mail.parse(json.dumps(mails), check=check)
    assert len(num_checks) == 3
