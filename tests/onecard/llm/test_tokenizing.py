"""Texts are measured before they are tokenized, and nobody waits while they are."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
import tokenizers

from onecard.errors import InvalidRequest
from onecard.llm import tokenizing
from tests.waiting import PATIENCE_S

ENGINE = Path(__file__).parents[3] / "engines" / "cpu" / "llm"


@pytest.fixture(scope="module")
def tokenizer() -> tokenizers.Tokenizer:
    return tokenizers.Tokenizer.from_file(str(ENGINE / "tokenizer" / "tokenizer.json"))


@pytest.mark.parametrize("text", ["", "Hello", "naïve 日本語 🙂", "1" * 500, " \n\n\t x" * 50])
def test_the_tokens_are_those_of_encode(tokenizer, text):
    wanted = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizing.ids(tokenizer, text) == wanted


def test_others_go_on_while_a_text_is_tokenized(tokenizer):
    is_over, has_begun = threading.Event(), threading.Event()
    turns = []

    def work() -> None:
        while not is_over.wait(0.001):
            has_begun.set()
            turns.append(1)

    other = threading.Thread(target=work)
    other.start()
    assert has_begun.wait(PATIENCE_S)
    before = len(turns)
    tokenizing.ids(tokenizer, "1" * 300_000)
    after = len(turns)
    is_over.set()
    other.join()
    assert after - before > 50  # a few, where it lets nobody on


@pytest.mark.parametrize("texts", [["a" * 160], ["a"] * 10, ["a" * 80, "a" * 80], []])
def test_what_may_fit_is_let_through(texts):
    tokenizing.verify_size("X", texts, 10)


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["a" * 161], "X has 161 letters, must have at most 160.* holds 10 tokens"),
        (["a" * 100, "a" * 61], "161 letters"),
        ([""] * 11, "X has 11 messages.* holds 10 tokens"),
    ],
)
def test_what_cannot_fit_is_refused_by_its_size(texts, says):
    with pytest.raises(InvalidRequest, match=says):
        tokenizing.verify_size("X", texts, 10)
