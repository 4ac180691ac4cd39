"""Sounds without speech, and the words that a server writes for them."""

from __future__ import annotations

import contextlib
import io
import json
import wave

import numpy as np
import pytest

from evaluation import noises, nonspeech, systems
from evaluation.recordings import RATE
from onecard_client import ServerError, Transcript

ACCOUNT = {
    "duration_s": 60.0, "speech_s": 0.0, "silence_s": 60.0, "transcribed_s": 0.0, "dropped_s": 0.0,
    "aligned_s": 0.0, "num_chunks": 0, "num_words": 0, "num_words_interpolated": 0,
    "num_words_untimed": 0, "retried": [], "dropped": [], "missing_s": 0.0, "gaps": [],
}  # fmt: skip


def transcript(*texts, language="en", **account):
    segments = [
        {"start": 0.0, "end": 1.0, "text": text, "speaker": None, "words": []} for text in texts
    ]
    return Transcript.from_dict({
        "version": "1", "segments": segments, "word_segments": [], "speakers": [],
        "language": language, "language_probability": None, "duration_s": 60.0, "clip": {},
        "turns": None, "account": {**ACCOUNT, **account}, "engine": {}, "options": {},
        "warnings": [],
    })  # fmt: skip


class Server:
    """Answers by `answer(options)`, and keeps what it was asked."""

    def __init__(self, answer):
        self.answer = answer
        self.asked = []

    def transcribe(self, audio, **options):
        self.asked.append((audio, options))
        return self.answer(options)


@pytest.fixture
def serve(monkeypatch):
    def use(answer):
        server = Server(answer)
        monkeypatch.setattr(noises, "make", lambda *_: np.zeros(60 * RATE, np.int16))
        monkeypatch.setattr(systems, "connected", lambda url: contextlib.nullcontext(server))
        return server

    return use


@pytest.mark.parametrize("kind", noises.KINDS)
def test_sounds_are_what_they_were_and_each_is_another(kind):
    sounds = [noises.make(kind, number, 3.0) for number in (0, 0, 1, 2, 3, 4, 5)]
    assert {(len(pcm), pcm.dtype) for pcm in sounds} == {(3 * RATE, np.dtype(np.int16))}
    assert np.array_equal(sounds[0], sounds[1])
    assert len({pcm.tobytes() for pcm in sounds}) > 1
    peaks = [int(np.abs(pcm.astype(int)).max()) for pcm in sounds]
    if kind == "silence":
        assert set(peaks) == {0, 1}
    else:
        assert min(peaks) > 500
        assert max(peaks) < 32767  # nothing is clipped


def test_noises_have_their_colours():
    """From one octave to the next white noise gains 3 dB, pink none, and brown loses 3."""
    for kind, gain_db in (("white noise", 3), ("pink noise", 0), ("brown noise", -3)):
        power = np.abs(np.fft.rfft(noises.make(kind, 0, 30.0).astype(float))) ** 2
        octaves = [power[f * 30 : 2 * f * 30].sum() for f in (100, 200, 400, 800, 1600)]
        assert 10 * np.diff(np.log10(octaves)) == pytest.approx([gain_db] * 4, abs=0.7), kind


def test_half_of_the_clips_have_a_prompt(serve, capsys):
    server = serve(lambda options: transcript())
    assert nonspeech.main(["--hours", "0.5", "--options", '{"beam_size": 1}']) == 0
    with wave.open(io.BytesIO(server.asked[0][0])) as first:
        assert first.getnframes() / RATE == nonspeech.CLIP_S
    assert len(server.asked) * nonspeech.CLIP_S >= 1800
    prompted = [o for _, o in server.asked if {"initial_prompt", "hotwords"} & set(o)]
    assert len(prompted) == len(server.asked) / 2
    assert all(options["beam_size"] == 1 for _, options in server.asked)
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[-1] == ["all", "32", "0", "0", "0", "0", "0", "0"]


def test_words_are_counted_by_kind_and_what_was_dropped_is_told(serve, tmp_path, capsys):
    def answer(options):
        if "hotwords" not in options:
            return transcript()
        dropped = [{"start": 0.0, "end": 9.0, "reason": "no speech, but `onecard` at 0.31"}]
        return transcript(
            "onecard PyTorch", "♪", speech_s=12.0, dropped_s=9.0, dropped=dropped, retried=[{}]
        )

    serve(answer)
    line = ["--only", "hum", "--only", "music", "--hours", "0.5", "--json", str(tmp_path / "a")]
    assert nonspeech.main(line) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[1].split() == ["hum", "4", "3", "45", "3", "12", "9", "1"]
    assert said[3].split() == ["all", "8", "6", "45", "6", "24", "18", "2"]
    assert "hum 3: 'onecard PyTorch ♪'" in said
    assert "dropped 2 times: no speech, but `...` at N" in said
    found = json.loads((tmp_path / "a").read_text())
    assert [one["num_words"] for one in found] == [0, 0, 0, 3] * 2


def test_languages_without_spaces_are_counted_by_character():
    assert nonspeech.num_words(transcript("ご視聴 ありがとう", language="ja")) == 8
    assert nonspeech.num_words(transcript("...", "♪ ♪")) == 3


def test_a_clip_that_fails_is_told_and_counts_for_no_time(serve, capsys):
    def answer(options):
        if options:
            raise ServerError("no room")
        return transcript()

    server = serve(lambda options: answer({k: v for k, v in options.items() if k == "hotwords"}))
    assert nonspeech.main(["--only", "hum", "--hours", "0.5"]) == 1
    assert len(server.asked) == 4
    said = capsys.readouterr()
    assert said.out.splitlines()[-1] == "hum 3 failed: ServerError: no room"
    assert said.out.splitlines()[2].split()[:2] == ["all", "3"]


def test_an_interrupt_keeps_what_was_counted(serve, capsys):
    def answer(options):
        if options:
            raise KeyboardInterrupt
        return transcript("you")

    serve(lambda options: answer({k: v for k, v in options.items() if k == "hotwords"}))
    assert nonspeech.main(["--only", "hum", "--hours", "0.5"]) == nonspeech.INTERRUPTED
    said = capsys.readouterr()
    assert "interrupted after 3 of 4" in said.err
    assert said.out.splitlines()[2].split()[:3] == ["all", "3", "3"]


def test_what_is_no_json_object_is_refused(capsys):
    for text in ("[]", "{"):
        with pytest.raises(SystemExit) as ended:
            nonspeech.main(["--options", text])
        assert ended.value.code == 2
        assert "is no JSON" in capsys.readouterr().err
