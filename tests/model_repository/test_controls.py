"""Options of decoding, of parts and of output against the real server: each one does something."""

from __future__ import annotations

import io
import wave
from functools import partial
from typing import Any

import numpy as np
import pytest

from evaluation import recordings
from onecard_client import Client, InvalidRequest, Segments, Transcript
from tests.results import validate

SPEECH = recordings.jfk().samples  # 11 s
AUDIO = recordings.wav(SPEECH)


@pytest.fixture(scope="module")
def transcribe(server: Any) -> Any:
    with Client(server.grpc_url) as client:
        yield partial(client.transcribe, AUDIO, language="en", diarize=False)


@pytest.fixture(scope="module")
def usual(transcribe: Any) -> Transcript:
    return transcribe()


def checked(transcript: Transcript, **options: Any) -> Transcript:
    """The transcript, whose options are those that were asked for and which fits the schema."""
    found = {name: transcript.options[name] for name in options}
    assert found == options
    validate(transcript.to_dict())
    return transcript


def written(transcript: Transcript) -> list[int]:
    """Whisper's tokens."""
    return [token for segment in transcript.segments for token in segment.tokens or ()]


def test_a_text_begins_with_the_prefix(transcribe: Any, usual: Transcript) -> None:
    assert not usual.text.startswith("Well")
    found = checked(transcribe(prefix="Well now,"), prefix="Well now,")
    assert found.text.startswith("Well now,")


def test_few_tokens_make_few_words(transcribe: Any, usual: Transcript) -> None:
    found = checked(transcribe(max_new_tokens=4), max_new_tokens=4)
    assert 0 < len(found.words) <= 4 < len(usual.words)
    assert "limit of 4 tokens" in found.warnings[0]


def test_no_token_comes_twice(transcribe: Any, usual: Transcript) -> None:
    options = {"no_repeat_ngram_size": 1, "temperature_increment_on_fallback": None}
    said, found = written(usual), checked(transcribe(**options, patience=2.0), **options)
    assert len(set(said)) < len(said)
    assert len(set(written(found))) == len(written(found)) > 10
    assert found.options["patience"] == 2.0


def test_whispers_own_segments_are_shorter_than_the_chunk(transcribe: Any) -> None:
    (chunk,) = transcribe(align=False).segments
    found = checked(transcribe(align=False, without_timestamps=False), without_timestamps=False)
    spans = [(segment.start, segment.end) for segment in found.segments]
    assert spans != [(chunk.start, chunk.end)]
    assert all(chunk.start <= start <= end <= chunk.end for start, end in spans)
    assert "fellow" in found.text


def test_a_part_keeps_the_times_of_the_file(transcribe: Any, usual: Transcript) -> None:
    found = checked(transcribe(offset=0.25, duration=2.0), offset=0.25, duration=2.0)
    assert found.duration_s == 2.25
    assert 0 < len(found.words) < len(usual.words)
    same = {word.word.strip(",.").lower(): word.start for word in usual.words}
    (fellow,) = (word.start for word in found.words if word.word.startswith("fellow"))
    assert fellow == pytest.approx(same["fellow"], abs=0.15)
    with pytest.raises(InvalidRequest, match=r"from 11 s on is asked for, AUDIO lasts 11\.000 s"):
        transcribe(clip_timestamps="0,1,11,12")


def test_the_callers_segments_take_the_place_of_detection(transcribe: Any) -> None:
    spans = [{"start": 0.0, "end": 3.0}, {"start": 3.0, "end": 7.5}]
    found = checked(transcribe(segments=spans, align=False), segments=spans)
    assert [(segment.start, segment.end) for segment in found.segments] == [(0, 3), (3, 7.5)]
    assert found.engine["detect_speech"]["method"] == "given"
    assert found.account.speech_s == 7.5


def test_each_channel_is_a_speaker(server: Any, transcribe: Any) -> None:
    left, right = SPEECH[: 3 * recordings.RATE], SPEECH[3 * recordings.RATE :]
    left = np.pad(left, (0, len(right) - len(left)))
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(2)
        out.setsampwidth(2)
        out.setframerate(recordings.RATE)
        out.writeframes(np.stack([left, right], axis=1).tobytes())
    with Client(server.grpc_url) as client:
        events = list(client.transcribe_stream(file.getvalue(), language="en", channels="separate"))
    found = checked(events[-1], channels=None, separate_channels=True)
    assert found.speakers == ("SPEAKER_00", "SPEAKER_01")
    by = {speaker: "" for speaker in found.speakers}
    for segment in found.segments:
        by[segment.speaker] += segment.text
        assert {word.speaker for word in segment.words} == {segment.speaker}
    assert "fellow" in by["SPEAKER_00"]
    assert "country" in by["SPEAKER_01"]
    assert "country" not in by["SPEAKER_00"]
    starts = [segment.start for segment in found.segments]
    assert starts == sorted(starts)
    assert max(segment.end for segment in found.segments) <= found.duration_s == 8.0
    assert found.account.duration_s == 16.0
    told = [
        segment for event in events if isinstance(event, Segments) for segment in event.segments
    ]
    assert {segment.speaker for segment in told} == set(found.speakers)


def test_the_server_writes_subtitles(transcribe: Any) -> None:
    found = checked(transcribe(formats="srt,vtt"), formats=["srt", "vtt"])
    assert found.formats == {"srt": found.to_srt(), "vtt": found.to_vtt()}
    assert "-->" in found.to_srt()


def test_a_model_is_chosen_among_the_servers(server: Any, transcribe: Any) -> None:
    with Client(server.grpc_url) as client:
        name, *_ = client.speech_models()
    found = checked(transcribe(model=name, duration=3.0), model=name)
    assert found.engine["recognize"]["choice"] == name
    with pytest.raises(InvalidRequest, match=rf"`large-v3`, this server has {name}.*; choose one"):
        transcribe(model="large-v3")


def test_a_chunk_in_another_language_is_written_in_it(transcribe: Any, usual: Transcript) -> None:
    """English speech of 11 s, for which French was named."""
    found = checked(transcribe(language="fr", multilingual=True), multilingual=True)
    assert {segment.language for segment in found.segments} == {"en"}
    assert found.text == usual.text
    assert any("besides `fr`, `en` is spoken" in warning for warning in found.warnings)
    held = checked(transcribe(language="fr", multilingual=False), multilingual=False)
    assert {segment.language for segment in held.segments} == {None}
    assert held.text != usual.text


def test_improbable_words_in_a_silence_are_left_out(transcribe: Any) -> None:
    """Seven words in half a second, as the caller claims, and nothing for seconds behind them."""
    options = {
        "segments": [{"start": 0.0, "end": 0.6}, {"start": 5.0, "end": 8.0}],
        "prefix": "And so my fellow Americans, ask not what",
        "temperature_increment_on_fallback": None,
        "no_speech_threshold": None,
        "logprob_threshold": None,
    }
    kept = transcribe(**options)
    assert "fellow Americans" in kept.text
    found = transcribe(**options, hallucination_silence_threshold=2.0)
    assert checked(found, hallucination_silence_threshold=2.0).segments
    assert "fellow Americans" not in found.text
    assert any("improbable words in a silence" in drop["reason"] for drop in found.account.dropped)
    assert not any("silence" in drop["reason"] for drop in kept.account.dropped)


def test_a_chunk_goes_on_from_the_text_before_it(transcribe: Any) -> None:
    """Whisper keeps to capitals where the text before has nothing else."""
    options = {
        "segments": [{"start": 0.0, "end": 8.0}, {"start": 8.0, "end": 11.0}],
        "prefix": "AND SO MY FELLOW AMERICANS ASK NOT WHAT YOUR COUNTRY CAN DO FOR YOU",
        "align": False,
        "beam_size": 1,
    }
    apart, found = transcribe(**options), transcribe(**options, condition_on_previous_text=True)
    checked(found, condition_on_previous_text=True)
    assert not apart.segments[-1].text.isupper()
    assert found.segments[-1].text.isupper()
