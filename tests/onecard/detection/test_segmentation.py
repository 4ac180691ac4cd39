"""Scores and speech against pyannote.audio's and WhisperX's own, on real speech."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from onecard import audio, manifest
from onecard.audio import windows
from onecard.detection import detector as detection
from onecard.detection import segmentation, silero, vad
from onecard.errors import InvalidRequest
from onecard.options.transcribe import TranscribeOptions
from tests.onecard.pipelines import segmentation_model

ROOT = Path(__file__).parents[3]
DIRECTORY = ROOT / "engines" / "cpu" / "segmentation"
LIMITS = audio.Limits(600.0, 1 << 28)


@pytest.fixture(scope="module")
def segmenter() -> segmentation.Segmenter:
    torch.set_num_threads(1)
    return segmentation.Segmenter(segmentation.load(DIRECTORY), batch_size=8)


@pytest.fixture(scope="module")
def detector(segmenter: segmentation.Segmenter) -> detection.Detector:
    return detection.Detector(segmenter, silero.Silero())


@pytest.fixture(scope="module")
def whisperx_vad():
    from whisperx.vads.pyannote import Pyannote

    return Pyannote(torch.device("cpu"), vad_onset=0.5, vad_offset=0.363)


@pytest.fixture(scope="module")
def conversation_pcm(conversation: Path) -> np.ndarray:
    return audio.decode(conversation.read_bytes(), LIMITS)[0]


def excerpts(pcm: np.ndarray) -> dict[str, np.ndarray]:
    """Lengths at, below and between the windows' ends; two windows' worth of nothing."""
    return {
        "whole": pcm,
        "window": pcm[110_000:190_000],
        "window and a step": pcm[110_000:198_000],
        "between steps": pcm[110_000:212_345],
        "short": pcm[110_000:130_000],
        "silence": np.zeros(100_000, np.int16),
    }


@pytest.mark.parametrize("name", excerpts(np.zeros(0, np.int16)))
@pytest.mark.parametrize("chunk_size", [30.0, 4.0])
def test_speech_equals_whisperx(name, chunk_size, detector, whisperx_vad, conversation_pcm) -> None:
    pcm = excerpts(conversation_pcm)[name]
    waveform = whisperx_vad.preprocess_audio(audio.to_float(pcm))
    scores = whisperx_vad({"waveform": waveform, "sample_rate": audio.SAMPLE_RATE})
    wanted = whisperx_vad.merge_chunks(scores, chunk_size, onset=0.5, offset=0.363)
    speech, _ = detector.detect(pcm, TranscribeOptions(chunk_size=chunk_size))
    duration_s = len(pcm) / audio.SAMPLE_RATE
    # WhisperX lets the last region reach past the end of the clip; ours stop there.
    found = [{key: one[key] for key in ("start", "end", "regions")} for one in speech["chunks"]]
    assert found == [
        {
            "start": chunk["start"],
            "end": min(chunk["end"], duration_s),
            "regions": tuple((start, min(end, duration_s)) for start, end in chunk["segments"]),
        }
        for chunk in wanted
    ]
    assert all(chunk["score"] > 0.5 for chunk in speech["chunks"])


@pytest.mark.parametrize("method", ["pyannote", "silero"])
def test_without_the_filter_every_second_is_in_a_chunk(method, detector, conversation_pcm) -> None:
    """Chunks say how much of speech is heard in them, where the method tells."""
    pcm = np.concatenate([np.zeros(160_000, np.int16), conversation_pcm[110_000:270_000]])
    options = TranscribeOptions(vad_method=method, vad_filter=False, chunk_size=5.0)
    speech, scores = detector.detect(pcm, options)
    chunks = speech["chunks"]
    assert [chunks[0]["start"], *(chunk["end"] for chunk in chunks)] == [
        *(chunk["start"] for chunk in chunks),
        20.0,
    ]
    assert all(0 < chunk["end"] - chunk["start"] <= 5.0 for chunk in chunks)
    assert speech["regions"] == [region for chunk in chunks for region in chunk["regions"]]
    if method == "silero":
        assert len(scores) == 0
        assert not any("score" in chunk for chunk in chunks)
    else:
        assert chunks[0]["score"] < 0.1 < 0.9 < chunks[-1]["score"]
    assert detector.detect(pcm[:0], options)[0]["chunks"] == []


def test_scores_equal_those_of_pyannotes_diarization(segmenter, conversation_pcm) -> None:
    from pyannote.audio import Inference

    model = segmentation_model()
    inference = Inference(model, duration=5.0, step=0.5, skip_aggregation=True, batch_size=32)
    pcm = conversation_pcm[:250_000]
    waveform = torch.from_numpy(audio.to_float(pcm))[None]
    wanted = inference({"waveform": waveform, "sample_rate": audio.SAMPLE_RATE})
    found = segmenter.scores(pcm)
    assert found.shape == wanted.data.shape
    # Normalised after the first convolution, sums are rounded elsewhere. Where a window is all but
    # silent that shows, and so does single precision itself: it is off by 0.016 there, either way.
    span = np.lib.stride_tricks.sliding_window_view(audio.to_float(pcm), 80_000)[::8000]
    with torch.inference_mode():
        exact = model.double()(torch.from_numpy(span.copy())[:, None].double()).numpy()
    errors = [np.abs(one[: len(exact)] - exact) for one in (found, wanted.data)]
    assert errors[0].max() < 1.05 * errors[1].max()
    assert errors[0].mean() < 2 * errors[1].mean()
    assert np.abs(found - wanted.data).mean() < 1e-5


def test_the_network_is_pyannotes_own(conversation_pcm) -> None:
    ours, theirs = segmentation.load(DIRECTORY), segmentation_model()
    windows = torch.from_numpy(segmentation.span(conversation_pcm, 20, 21))[None, None]
    with torch.inference_mode():
        assert torch.equal(ours(windows), theirs(windows))
    field = theirs.receptive_field
    frames = segmentation.frames(ours)
    assert (frames.frame_s, frames.frame_step_s) == (field.duration, field.step)
    for num_samples in (991, 1260, 1261, 80_000, 81_234):
        assert ours.num_frames(num_samples) == theirs.num_frames(num_samples)


def test_bfloat16_finds_the_same_speech(segmenter, conversation_pcm) -> None:
    """A region may begin or end one or two frames of 17 ms away; none comes or goes."""
    quick = segmentation.Segmenter(segmentation.load(DIRECTORY), 8, "bfloat16", num_threads=2)
    frame_s = segmenter.frames.frame_step_s
    found, wanted = (
        vad.binarize(
            vad.aggregate(one.scores(conversation_pcm), one.frames, 30.0), one.frames,
            0.5, 0.363, 30.0,
        )
        for one in (quick, segmenter)
    )  # fmt: skip
    assert len(found) == len(wanted) == 3
    assert np.abs(np.array(found) - np.array(wanted)).max() <= 2 * frame_s + 1e-6


def test_scores_do_not_depend_on_how_windows_are_batched(segmenter, conversation_pcm) -> None:
    pcm = conversation_pcm[:200_000]
    others = segmentation.Segmenter(segmentation.load(DIRECTORY), batch_size=3, num_threads=2)
    assert np.abs(others.scores(pcm) - segmenter.scores(pcm)).max() < 1e-5


def test_scores_of_the_pieces_give_the_speech_of_the_whole(detector, conversation_pcm) -> None:
    options = TranscribeOptions(chunk_size=4.0)
    pcm = conversation_pcm[:400_123]
    wanted, scores = detector.detect(pcm, options)
    joined = []
    for first, last in windows.SEGMENTATION.parts(len(pcm), 16):
        start, end = windows.SEGMENTATION.samples(first, last)
        joined.append(detector.detect(pcm[start:end], options)[1])
        assert len(joined[-1]) == last - first
    assert np.abs(np.concatenate(joined) - scores).max() < 1e-5
    found, same = detector.detect(pcm, options, np.concatenate(joined))
    assert found == wanted
    assert len(same) == len(scores) > 16
    assert (found["duration_s"], found["method"]) == (400_123 / 16_000, "pyannote")


def test_scores_of_another_clip_are_refused(detector, conversation_pcm) -> None:
    _, scores = detector.detect(conversation_pcm[:100_000], TranscribeOptions())
    with pytest.raises(InvalidRequest, match=r"SCORES has the shape \[4, 293, 3\], must be \[5,"):
        detector.detect(conversation_pcm[:105_000], TranscribeOptions(), scores)


def test_nothing_is_no_speech(detector) -> None:
    speech, scores = detector.detect(np.zeros(0, np.int16), TranscribeOptions())
    assert speech["chunks"] == []
    assert scores.shape == (0, 293, 3)


@pytest.mark.parametrize(
    ("part", "name", "value", "what"),
    [
        ("specifications", "duration", 10.0, "'duration': 10.0}`, must be"),
        ("specifications", "problem", "MONO_LABEL_CLASSIFICATION", "MONO_LABEL"),
        ("hyper_parameters", "num_channels", 2, "must have one channel"),
    ],
)
def test_a_network_of_another_kind_is_refused(tmp_path, part, name, value, what) -> None:
    for file in DIRECTORY.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config[part][name] = value
    (tmp_path / "config.json").write_text(json.dumps(config))
    facts = {"name": "segmentation", "model": "other", "backend": "torch", "licence": "MIT"}
    manifest.write(tmp_path, manifest.scan(tmp_path, **facts, precision="float32"))
    with pytest.raises(ValueError, match=what):
        segmentation.load(tmp_path)


def test_changed_weights_are_noticed(tmp_path: Path) -> None:
    for file in DIRECTORY.iterdir():
        data = file.read_bytes()
        if file.name == "model.safetensors":
            data = data[:-1] + bytes([data[-1] ^ 1])
        (tmp_path / file.name).write_bytes(data)
    with pytest.raises(manifest.ManifestError, match=r"model\.safetensors"):
        segmentation.load(tmp_path)
