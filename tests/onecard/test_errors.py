"""What refusals quote of what callers sent: enough to find it, and no more."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable

import pytest

from onecard import errors
from onecard.chat import messages, openai_options, options
from onecard.chat.options import ChatOptions
from onecard.errors import InvalidRequest
from onecard.options import fields
from onecard.options.transcribe import StreamOptions, TranscribeOptions
from onecard.triage import mail
from onecard.triage.mail import FIELDS
from onecard.triage.options import TriageOptions

LONG = "q" * 2000
VALUES = [
    LONG,
    [LONG] * 70,
    [[LONG] * 9] * 9,
    {LONG: LONG},
    [{"type": LONG, LONG: [LONG]}],
    {"type": LONG},
    {"type": "json_schema", "json_schema": LONG, LONG: 1},
]
QUOTED = "q" * (errors.MAX_SHOWN_LETTERS + 1)


def option_cases() -> list:
    kinds = [ChatOptions, TriageOptions, TranscribeOptions, StreamOptions]
    return [
        pytest.param(kind, name, id=f"{kind.__name__} {name}")
        for kind in kinds
        for name in [*(field.name for field in dataclasses.fields(kind)), LONG]
    ]


def verify_quotes(read: Callable, document: object) -> None:
    said = ""
    try:
        read(json.dumps(document))
    except InvalidRequest as refusal:
        said = str(refusal)
    assert said.count("q") <= 2 * errors.MAX_SHOWN_LETTERS
    assert len(said) < 2000  # lists of what is known
    assert QUOTED not in said


@pytest.mark.parametrize(("kind", "name"), option_cases())
def test_options_quote_little(kind, name):
    def read(text: str) -> object:
        found = fields.parse(kind, text)
        return found.form if kind is ChatOptions else found

    for value in VALUES:
        verify_quotes(read, {name: value})


@pytest.mark.parametrize("name", [*sorted(openai_options.NAMES), "logit_bias"])
def test_options_of_others_quote_little(name):
    for value in [*VALUES, {"0" * 50_000: 1}, {"1" * 50_000: LONG}]:
        verify_quotes(lambda text: options.read(text).biases, {name: value})


@pytest.mark.parametrize("name", [*FIELDS, LONG])
def test_mails_quote_little(name):
    for value in VALUES:
        verify_quotes(mail.parse, [{"id": "1", "subject": "x", name: value}])
        verify_quotes(mail.parse, [{"id": "1", "subject": "x", name: value}] * 2)


@pytest.mark.parametrize("name", ["role", "content", "name", "refusal", LONG])
def test_messages_quote_little(name):
    for value in VALUES:
        verify_quotes(messages.read, [{"role": "user", "content": "x", name: value}])
        verify_quotes(messages.read, {"messages": [], name: value})
        verify_quotes(messages.read, value)


def test_a_value_is_shown_in_80_letters_at_most():
    for value in [*VALUES, 10**299, [[[[["x" * 79] * 9] * 9] * 9] * 9] * 9]:
        assert len(errors.shown(value)) <= errors.MAX_SHOWN_LETTERS + len("``")
