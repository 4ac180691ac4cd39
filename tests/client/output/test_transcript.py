"""Transcripts to and from JSON."""

from __future__ import annotations

import copy
import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from fake_server import RESULT

import onecard
from onecard_client import Account, InvalidTranscript, Segment, Transcript, Turn, Word


def changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(RESULT), **changes}


def test_json_survives_a_round_trip() -> None:
    assert Transcript.from_dict(RESULT).to_dict() == RESULT
    transcript = Transcript.from_json(json.dumps(RESULT))
    assert Transcript.from_json(transcript.to_json()) == transcript
    assert Transcript.from_json(transcript.to_json(indent=2)) == transcript


def test_json_is_one_line_with_its_letters_as_they_are() -> None:
    segment = {"start": 0.0, "end": 1.0, "text": "Müller 你好\n", "words": []}
    text = Transcript.from_dict(changed(segments=[segment])).to_json()
    assert "\n" not in text
    assert "Müller 你好" in text


def test_keys_of_a_newer_server_are_kept() -> None:
    newer = changed(later={"a": [1]})
    newer["segments"][0]["emotion"] = "calm"
    newer["segments"][0]["words"][0]["pitch"] = 99.5
    newer["turns"][0]["confidence"] = 0.5
    newer["account"]["padded_s"] = 0.25
    newer["word_segments"] = newer["segments"][0]["words"]
    transcript = Transcript.from_dict(newer)
    assert transcript.extra == {"later": {"a": [1]}}
    assert transcript.words[0].extra == {"pitch": 99.5}
    assert transcript.to_dict() == newer


def test_untimed_word_has_no_times_in_the_json() -> None:
    words = [{"word": "7"}, {"word": "up", "start": 0.5, "end": 1, "timing": "interpolated"}]
    segment = {"start": 0.0, "end": 1.0, "text": "7 up", "words": words}
    transcript = Transcript.from_dict(changed(segments=[segment]))
    assert transcript.words == (
        Word("7"),
        Word("up", start=0.5, end=1.0, timing="interpolated"),
    )
    assert transcript.to_dict()["word_segments"] == words


def test_figures_of_the_decoding_are_kept_and_what_was_not_told_is_none() -> None:
    known = {"avg_logprob": -0.25, "compression_ratio": 1.1, "temperature": 0.0, "tokens": [7, 8]}
    document = changed()
    document["segments"][0].update(known)
    document["word_segments"] = document["segments"][0]["words"]
    transcript = Transcript.from_dict(document)
    (segment,) = transcript.segments
    assert (segment.temperature, segment.tokens, segment.no_speech_prob) == (0.0, (7, 8), None)
    assert json.loads(transcript.to_json()) == document
    document["segments"][0]["tokens"] = [7, 8.5]
    with pytest.raises(InvalidTranscript, match=r"segments\.0\.tokens\.1"):
        Transcript.from_dict(document)


def test_what_may_be_null() -> None:
    document = changed(turns=None, language_probability=None, speaker_embeddings={"A": [1, 0.5]})
    transcript = Transcript.from_dict(document)
    assert transcript.turns is None
    assert transcript.speaker_embeddings == {"A": (1.0, 0.5)}
    assert transcript.to_dict() == document


def test_dataclasses_are_frozen() -> None:
    transcript = Transcript.from_dict(RESULT)
    with pytest.raises(dataclasses.FrozenInstanceError):
        transcript.segments[0].text = "other"  # type: ignore[misc]
    shorter = dataclasses.replace(transcript, segments=())
    assert shorter.text == ""
    assert shorter.to_dict()["word_segments"] == []


@pytest.mark.parametrize(
    ("language", "first", "second", "text"),
    [
        ("en", " One.", " Two. ", "One. Two."),
        ("ja", " One.", " Two. ", "One. Two."),  # English in a Japanese recording
        ("ja", "一つ。", "二つ。", "一つ。二つ。"),
    ],
)
def test_text_joins_segments_as_their_script_does(
    language: str, first: str, second: str, text: str
) -> None:
    segments = (Segment(0, 1, first), Segment(1, 2, ""), Segment(2, 3, second))
    transcript = Transcript.from_dict(changed(language=language))
    assert dataclasses.replace(transcript, segments=segments).text == text


@pytest.mark.parametrize(
    ("path", "value", "place"),
    [
        (["segments", 0, "words", 1, "start"], "0.6", "segments.0.words.1.start"),
        (["segments", 0, "start"], True, "segments.0.start"),
        (["segments", 0, "text"], None, "segments.0.text"),
        (["account", "num_words"], 1.5, "account.num_words"),
        (["duration_s"], "2", "duration_s"),
        (["speakers"], "SPEAKER_00", "speakers"),
        (["clip"], [], "clip"),
    ],
)
def test_mismatch_is_named_with_its_place(path: list[Any], value: object, place: str) -> None:
    document = copy.deepcopy(RESULT)
    inner: Any = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = value
    with pytest.raises(InvalidTranscript, match=f"`{place}` is `"):
        Transcript.from_dict(document)


def schema() -> dict[str, Any]:
    path = Path(onecard.__file__).parent / "contract" / "schemas" / "result.schema.json"
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def test_classes_have_the_fields_of_the_servers_schema() -> None:
    root = schema()
    definitions = {Transcript: root} | {
        kind: root["$defs"][kind.__name__.lower()] for kind in (Word, Segment, Turn, Account)
    }
    for kind, definition in definitions.items():
        fields = {field.name for field in dataclasses.fields(kind)} - {"extra"}
        assert fields == set(definition["properties"]) - {"word_segments"}
        mandatory = {
            field.name
            for field in dataclasses.fields(kind)
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        }
        assert mandatory <= set(definition["required"])


@pytest.mark.parametrize("key", ["segments", "account", "duration_s", "language", "version"])
def test_missing_key_is_named(key: str) -> None:
    document = {name: value for name, value in RESULT.items() if name != key}
    with pytest.raises(InvalidTranscript, match=f"`{key}`"):
        Transcript.from_dict(document)


@pytest.mark.parametrize("text", ["", "{", '{"duration_s": Infinity}', b"\xff"])
def test_text_that_is_not_json(text: str | bytes) -> None:
    with pytest.raises(InvalidTranscript, match="not JSON"):
        Transcript.from_json(text)
