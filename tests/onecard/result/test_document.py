"""The RESULT document, its account and its schema."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from onecard.contract.lanes import GAP_S
from onecard.diarization import turns
from onecard.errors import InvalidRequest
from onecard.options import fields as json_options
from onecard.options import transcribe as options_module
from onecard.options.transcribe import TranscribeOptions
from onecard.result import document
from onecard.result.speakers import Config
from tests.results import schema, validate

CONFIG = Config(max_gap_s=0.5, min_split_words=2, min_split_s=0.5)
REASON = {"reason": "compression_ratio 3.1 is above 2.4"}


def word(text: str, start: float | None = None, end: float | None = None, **more: Any) -> dict:
    if start is None:
        return {"word": text, "score": 0.0}
    return {"word": text, "start": start, "end": end, "score": 0.9, **more}


@pytest.fixture
def documents() -> dict[str, Any]:
    """Ten seconds: a sentence of two people, one with untimed words, and a chunk without text."""
    spoken = [(1.0, 2.0, "a"), (2.0, 3.5, "b"), (5.0, 6.0, "b")]
    return {
        "clip": {
            "duration_s": 10.0, "sample_rate": 8000, "channels": 2,
            "container": "wav", "codec": "pcm_s16le",
        },
        "speech": {
            "duration_s": 10.0,
            "method": "pyannote",
            "regions": [[1.0, 3.5], [5.0, 6.0], [8.0, 9.25]],
            "chunks": [
                {"start": 1.0, "end": 6.0, "regions": [[1.0, 3.5], [5.0, 6.0]]},
                {"start": 8.0, "end": 9.25, "regions": [[8.0, 9.25]]},
            ],
        },
        "aligned": {
            "language": "en",
            "language_probability": 0.98,
            "task": "transcribe",
            "segments": [
                {
                    "start": 1.0, "end": 3.5, "text": "Hi there. You too.", "avg_logprob": -0.3,
                    "aligner": "pocketsphinx",
                    "words": [
                        word("Hi", 1.0, 1.4), word("there.", 1.4, 2.0),
                        word("You", 2.1, 2.6, timing="interpolated"), word("too.", 2.6, 3.5),
                    ],
                },
                {
                    "start": 5.0, "end": 6.0, "text": "7 €", "avg_logprob": -0.3,
                    "aligner": "none", "words": [word("7"), word("€")],
                },
            ],
            "retried": [{"start": 1.0, "end": 6.0, **REASON}],
            "dropped": [{"start": 8.0, "end": 9.25, "reason": "no speech"}],
            "engine": {"name": "whisper", "model": "base"},
            "aligners": {"pocketsphinx": 1, "none": 1},
            "warnings": ["one"],
        },
        "turns": turns.document(
            turns.from_tracks(spoken, 10.0), turns.from_tracks(spoken, 10.0), {},
            TranscribeOptions(), {"backend": "p"},
        ),
    }  # fmt: skip


def assemble(documents: dict[str, Any], **asked: Any) -> dict[str, Any]:
    return document.assemble(**documents, options=TranscribeOptions(**asked), config=CONFIG)


def test_result_fits_its_schema_and_its_promises(documents) -> None:
    found = assemble(documents)
    validate(found)
    assert document.violations(found) == []
    assert found["warnings"] == ["one"]


def test_what_the_source_lacked_is_in_the_account(documents) -> None:
    told = {"missing_s": 1.5, "gaps": [[2.0, 2.5]], "warnings": ["the file is cut off"]}
    documents["clip"] |= {"track": 1, "num_tracks": 2, "start_s": 0.5, **told}
    found = assemble(documents)
    validate(found)
    assert found["account"]["missing_s"] == 1.5
    assert found["account"]["gaps"] == [{"start": 2.0, "end": 2.5}]
    assert found["warnings"] == ["the file is cut off", "one"]
    assert found["clip"]["track"] == 1
    assert "gaps" not in found["clip"]


def test_the_seconds_add_up(documents) -> None:
    account = assemble(documents)["account"]
    assert account == {
        "duration_s": 10.0,
        "missing_s": 0.0,
        "gaps": [],
        "speech_s": 4.75,
        "silence_s": 5.25,
        "transcribed_s": 3.5,
        "dropped_s": 1.25,
        "aligned_s": 2.5,
        "num_chunks": 2,
        "num_words": 6,
        "num_words_interpolated": 1,
        "num_words_untimed": 2,
        "retried": [{"start": 1.0, "end": 6.0, **REASON}],
        "dropped": [{"start": 8.0, "end": 9.25, "reason": "no speech"}],
    }


def test_a_chunk_that_vanished_is_named(documents) -> None:
    documents["aligned"]["dropped"] = []
    account = assemble(documents)["account"]
    assert account["dropped_s"] == 1.25
    (dropped,) = account["dropped"]
    assert (dropped["start"], dropped["end"]) == (8.0, 9.25)
    assert dropped["reason"]


def test_speech_is_counted_once_and_inside_the_audio(documents) -> None:
    documents["speech"]["chunks"][1] = {
        "start": 8.0, "end": 10.2, "regions": [[8.0, 9.0], [8.5, 10.2]],
    }  # fmt: skip
    account = assemble(documents)["account"]
    assert account["speech_s"] == 3.5 + 2.0
    assert account["silence_s"] == 4.5


def test_words_and_segments_carry_their_speakers(documents) -> None:
    found = assemble(documents)
    assert [(s["text"], s["speaker"]) for s in found["segments"]] == [
        ("Hi there.", "SPEAKER_00"),
        ("You too.", "SPEAKER_01"),
        ("7 €", "SPEAKER_01"),
    ]
    assert [w["word"] for w in found["word_segments"]] == ["Hi", "there.", "You", "too.", "7", "€"]
    assert found["speakers"] == ["SPEAKER_00", "SPEAKER_01"]


def test_without_diarization_there_are_no_speakers(documents) -> None:
    documents["turns"] = turns.not_wanted()
    found = assemble(documents, diarize=False)
    validate(found)
    assert found["turns"] is None
    assert found["speakers"] == []
    assert "speaker_embeddings" not in found
    assert not any("speaker" in item for item in found["segments"] + found["word_segments"])
    assert len(found["segments"]) == 2


def test_silence_gives_a_whole_result(documents) -> None:
    documents["speech"] = {"duration_s": 10.0, "method": "silero", "regions": [], "chunks": []}
    documents["aligned"].update(segments=[], retried=[], dropped=[], aligners={})
    documents["turns"] = turns.document([], [], {}, TranscribeOptions(), {})
    found = assemble(documents)
    validate(found)
    assert found["account"]["silence_s"] == 10.0
    assert found["segments"] == found["word_segments"] == found["turns"] == []


def test_embeddings_and_characters_fit_the_schema(documents) -> None:
    documents["turns"]["embeddings"] = {"SPEAKER_00": [0.5, -0.25]}
    documents["aligned"]["segments"][1]["chars"] = [
        {"char": "7", "start": 5.0, "end": 5.1, "score": 0.5}, {"char": " "}, {"char": "€"},
    ]  # fmt: skip
    found = assemble(documents, speaker_embeddings=True, return_char_alignments=True)
    validate(found)
    assert found["speaker_embeddings"] == {"SPEAKER_00": [0.5, -0.25]}
    assert found["options"]["speaker_embeddings"] is True


def test_times_beyond_the_audio_are_brought_inside(documents) -> None:
    documents["aligned"]["segments"][1].update(
        end=10.4, words=[word("7", 9.0, 9.5), word("€", 9.5, 10.4)]
    )
    found = assemble(documents)
    assert found["segments"][-1]["end"] == found["word_segments"][-1]["end"] == 10.0
    assert document.violations(found) == []


@pytest.mark.parametrize(
    ("spoil", "what"),
    [
        (lambda r: r["segments"][0].update(end=0.5), "not a span"),
        (lambda r: r["segments"][0]["words"][0].update(start=1.9, end=2.0), "run backwards"),
        (lambda r: r["segments"][0].update(text="Hi"), "not its text"),
        (lambda r: r["segments"].reverse(), "order of time"),
        (lambda r: r["word_segments"].pop(), "not the words of"),
        (lambda r: r["account"].update(silence_s=1.0), "not the sum"),
        (lambda r: r["account"].update(dropped_s=0.0), "not the sum"),
    ],
)
def test_a_broken_promise_is_told(documents, spoil, what) -> None:
    found = copy.deepcopy(assemble(documents))
    spoil(found)
    assert any(what in violation for violation in document.violations(found))


def test_a_document_that_breaks_a_promise_says_so_in_its_warnings(documents) -> None:
    documents["aligned"]["segments"][0]["text"] = "Something else entirely."
    assert any("not its text" in warning for warning in assemble(documents)["warnings"])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda r: r.pop("account"),
        lambda r: r.update(version="2"),
        lambda r: r["segments"][0]["words"][0].pop("end"),
        lambda r: r["segments"][0].update(aligner="guess"),
        lambda r: r["options"].update(nmu_speakers=2),
        lambda r: r["turns"][0].update(speaker=""),
        lambda r: r.update(known_speakers=[{"name": "Bob", "found": True}]),
    ],
)
def test_the_schema_refuses_what_is_wrong(documents, spoil) -> None:
    found = copy.deepcopy(assemble(documents))
    spoil(found)
    with pytest.raises(jsonschema.ValidationError):
        validate(found)


def test_a_known_voice_is_told_and_its_name_is_a_speaker_s(documents) -> None:
    told = [{"name": "Bob", "found": True, "distance": 0.1, "max_distance": 0.15}]
    turns = json.loads(json.dumps(documents["turns"]).replace("SPEAKER_00", "Bob"))
    found = assemble({**documents, "turns": {**turns, "known_speakers": told}})
    validate(found)
    assert found["known_speakers"] == told
    assert "Bob" in {segment["speaker"] for segment in found["segments"]}


def test_the_options_schema_is_that_of_the_options() -> None:
    found = schema("options")["properties"]
    fields = {f.name: f for f in dataclasses.fields(TranscribeOptions)}
    options = json_options.table(TranscribeOptions)
    names = {str: "string", int: "integer", float: "number", bool: "boolean", type(None): "null"}
    names |= {list: "array", dict: "object"}
    assert list(found) == list(fields)
    for name, field in fields.items():
        assert found[name]["default"] == field.default, name
        limits = options_module._RANGES.get(name, (None, None))
        assert (found[name].get("minimum"), found[name].get("maximum")) == limits, name
        if options[name].choices:
            assert found[name]["enum"] == list(options[name].choices)
        else:
            kinds = found[name]["type"]
            kinds = [kinds] if isinstance(kinds, str) else kinds
            assert kinds == [names[kind] for kind in options[name].types]
    jsonschema.validate(TranscribeOptions().to_dict(), schema("options"))


def places(found: Any, path: tuple = ()) -> Iterator[tuple]:
    """Of every value in a document, by the keys that lead there."""
    items = found.items() if isinstance(found, dict) else enumerate(found)
    for key, value in items:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


def changed(documents: dict[str, Any], path: tuple, value: Any) -> dict[str, Any]:
    copied = copy.deepcopy(documents)
    inner = copied
    for key in path[:-1]:
        inner = inner[key]
    if value is MISSING:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    return copied


MISSING = object()
ODD = [MISSING, None, "0", "", -1, 10**30, 1e308, True, [], [[]], [0], {}, {"start": "0"}]


def test_whatever_the_documents_hold_it_is_put_together_or_refused(documents) -> None:
    num_refused = num_tried = 0
    documents["clip"] |= {"missing_s": 1.5, "gaps": [[2.0, 2.5]], "warnings": ["x"]}
    for path in places(documents):
        if len(path) == 1:  # that it is an object is seen to before
            continue
        for value in ODD:
            num_tried += 1
            try:
                assemble(changed(documents, path, value))
            except InvalidRequest:
                num_refused += 1
    assert num_tried > num_refused > 500


def test_separate_channels_come_in_order_of_time_and_count_together(documents) -> None:
    begin_s = 10.0 + GAP_S  # of the second channel
    documents["clip"]["num_separate"] = 2
    documents["aligned"]["segments"] += [
        {
            "start": begin_s + 0.5, "end": begin_s + 0.9, "text": "Hello.", "aligner": "ctc",
            "words": [word("Hello.", begin_s + 0.5, begin_s + 0.9)],
        }
    ]  # fmt: skip
    region = [begin_s + 0.5, begin_s + 1.0]
    documents["speech"]["chunks"] += [
        {"start": region[0], "end": region[1], "regions": [region]},
        {"start": begin_s + 4.0, "end": begin_s + 5.0, "regions": [[begin_s + 4, begin_s + 5]]},
    ]
    documents["turns"] |= {"turns": None, "exclusive": None, "speakers": []}
    found = assemble(documents, channels="separate", formats=["txt"])
    validate(found)
    assert document.violations(found) == []
    told = [(segment["start"], segment["speaker"]) for segment in found["segments"]]
    assert told == [(0.5, "SPEAKER_01"), (1.0, "SPEAKER_00"), (5.0, "SPEAKER_00")]
    assert {word["speaker"] for word in found["word_segments"][1:]} == {"SPEAKER_00"}
    assert found["formats"]["txt"].startswith("[SPEAKER_01]: Hello.\n[SPEAKER_00]: Hi there.")
    assert found["turns"][0] == {"start": 0.5, "end": 1.0, "speaker": "SPEAKER_01"}
    assert found["speakers"] == ["SPEAKER_00", "SPEAKER_01"]
    account = found["account"]
    assert (found["duration_s"], account["duration_s"], account["speech_s"]) == (10.0, 20.0, 6.25)
    assert account["silence_s"] == 13.75
    assert account["dropped"] == [
        {"start": 8.0, "end": 9.25, "reason": "channel 0: no speech"},
        {"start": 4.0, "end": 5.0, "reason": "channel 1: no text was recognized"},
    ]


def test_improbable_words_in_a_silence_are_dropped_where_that_was_asked_for(documents) -> None:
    words = [word("Thank", 8.5, 8.52), word("you.", 8.52, 8.54)]
    documents["aligned"]["segments"].append(
        {"start": 8.5, "end": 8.54, "text": "Thank you.", "aligner": "ctc", "words": words}
    )
    documents["aligned"]["dropped"] = []
    assert assemble(documents)["account"]["dropped"] == []
    found = assemble(documents, hallucination_silence_threshold=2.0)
    validate(found)
    assert document.violations(found) == []
    assert "Thank" not in " ".join(segment["text"] for segment in found["segments"])
    (dropped,) = found["account"]["dropped"]
    assert dropped["reason"] == "improbable words in a silence: `Thank you.`"
