"""What holds for every RESULT, whatever was said: the schema, the account, the order of times."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from referencing import Registry, Resource

from onecard_client import Transcript

SCHEMAS = Path(__file__).parent.parent / "onecard" / "contract" / "schemas"


def schema(name: str) -> dict[str, Any]:
    return json.loads((SCHEMAS / f"{name}.schema.json").read_text(encoding="utf-8"))


def validate(document: dict[str, Any]) -> None:
    """The document against result.schema.json, as it travels (strict JSON)."""
    options = Resource.from_contents(schema("options"))
    registry = Registry().with_resource("options.schema.json", options)
    checker = jsonschema.Draft202012Validator(schema("result"), registry=registry)
    checker.validate(json.loads(json.dumps(document, allow_nan=False)))


def verify(transcript: Transcript) -> None:
    """Schema and invariants: seconds add up, times are in order and inside, words make the text."""
    validate(transcript.to_dict())
    account = transcript.account
    assert account.speech_s + account.silence_s == pytest.approx(transcript.duration_s, abs=0.01)
    assert account.transcribed_s + account.dropped_s == pytest.approx(account.speech_s, abs=0.01)
    assert account.num_words == len(transcript.words)
    starts = [segment.start for segment in transcript.segments]
    assert starts == sorted(starts)
    for segment in transcript.segments:
        assert 0 <= segment.start <= segment.end <= transcript.duration_s + 0.01
        if segment.words:
            spoken = "".join("".join(word.word.split()) for word in segment.words)
            assert spoken == "".join(segment.text.split())
        timed = [word for word in segment.words if word.start is not None]
        times = [time for word in timed for time in (word.start, word.end)]
        assert times == sorted(times), segment.text
        assert all(segment.start - 0.01 <= time <= segment.end + 0.01 for time in times)
