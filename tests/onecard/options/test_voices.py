"""Names and vectors of known voices."""

from __future__ import annotations

import json
from typing import Any

import pytest

from onecard.errors import InvalidRequest
from onecard.options.transcribe import TranscribeOptions


def options(voices: Any, **others: Any) -> TranscribeOptions:
    return TranscribeOptions.from_json(json.dumps({"known_speakers": voices, **others}))


def test_voices_survive_json() -> None:
    found = options({"Ada": [1, 0.5], "Bob ☃": [0.0, -1.0]})
    assert TranscribeOptions.from_json(found.to_json()) == found


@pytest.mark.parametrize(
    ("voices", "says"),
    [
        ({}, "has 0 names, must have 1 to 64"),
        ({str(number): [1.0] for number in range(65)}, "has 65 names"),
        (["Ada"], "must be an object or null"),
        ({" ": [1.0]}, "the name ` `"),
        ({"a" * 101: [1.0]}, "up to 100 printable letters"),
        ({"a\nb": [1.0]}, "printable letters"),
        ({"SPEAKER_07": [1.0]}, "none like SPEAKER_00"),
        ({"Ada": []}, "for `Ada` something else than 1 to 4096"),
        ({"Ada": [0, 0.0]}, "not all 0"),
        ({"Ada": [True]}, "something else"),
        ({"Ada": ["1"]}, "something else"),
        ({"Ada": [1e300]}, "something else"),
        ({"Ada": "data:audio/wav;base64,"}, "something else"),
    ],
)
def test_what_is_no_name_and_vector_is_refused(voices: Any, says: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        options(voices)
    assert says in str(caught.value)


def test_voices_without_diarization_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="`diarize` is false; leave one of them out"):
        options({"Ada": [1.0]}, diarize=False)
