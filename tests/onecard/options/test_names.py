"""Hints name what is meant, not what is spelt alike."""

import dataclasses

import pytest

from onecard.errors import InvalidRequest
from onecard.options.names import ABSENT, SAME, hint
from onecard.options.transcribe import TranscribeOptions

KNOWN = [field.name for field in dataclasses.fields(TranscribeOptions)]


def test_the_tables_agree_with_the_options() -> None:
    assert set(SAME.values()) <= set(KNOWN)
    assert not (set(SAME) | set(ABSENT)) & set(KNOWN)
    assert not set(SAME) & set(ABSENT)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("log_prob_threshold", "it is `logprob_threshold` here"),
        ("word-timestamps", "it is `align` here"),
        ("Prompt", "it is `initial_prompt` here"),
        ("suppress_blank", "no counterpart: a chunk never begins"),
        ("language_detection_threshold", "no counterpart: the first chunk"),
        ("langauge", "did you mean `language`?"),
        ("min-speaker", "did you mean `min_speakers`?"),
        ("xyzzy", "known options: language, "),
        ("x" * 100_000, "known options: language, "),
    ],
)
def test_hints(name: str, says: str) -> None:
    assert says in hint(name, KNOWN)
    with pytest.raises(InvalidRequest) as caught:
        TranscribeOptions.from_json(f'{{"{name}": 1}}')
    assert says in str(caught.value)


def test_other_models_have_other_options() -> None:
    assert hint("prompt", ["max_tokens"]) == "known options: max_tokens"
    assert hint("suppress_blank", ["max_tokens"]) == "known options: max_tokens"
