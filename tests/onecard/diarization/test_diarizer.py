"""Speaker turns on real recordings: against their references and against pyannote itself."""

from __future__ import annotations

import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyannote.audio.utils.signal import binarize
from pyannote.core import SlidingWindow, SlidingWindowFeature
from pyannote.database.util import load_rttm
from pyannote.metrics.diarization import DiarizationErrorRate
from scipy.cluster import hierarchy

from build_scripts.memory.deployment import resolve
from build_scripts.model_repository import models
from evaluation.peers import speaker_diarization
from onecard import audio
from onecard.audio import windows
from onecard.detection import segmentation
from onecard.diarization import diarizer as diarization
from onecard.diarization import embedding, linkage, pyannote_pipeline, turns
from onecard.diarization.diarizer import NO_EMBEDDINGS
from onecard.diarization.pipeline import NetworkPipeline
from onecard.errors import InvalidRequest
from onecard.options import parameters
from onecard.options.transcribe import TranscribeOptions
from tests.speakers import annotation, whole

LIMITS = audio.Limits(600.0, 1 << 28)
PARAMETERS = models.models(resolve("cpu"))["diarize"].parameters
OPTIONS = TranscribeOptions()
NO_SCORES = np.zeros((0, 293, 3), np.float32)


@pytest.fixture(scope="module")
def diarizer() -> diarization.Diarizer:
    return diarization.Diarizer(parameters.parse(diarization.Config, PARAMETERS), num_threads=1)


@pytest.fixture(scope="module")
def segmenter() -> segmentation.Segmenter:
    return segmentation.Segmenter(segmentation.load(PARAMETERS["segmentation"]), batch_size=8)


@pytest.fixture(scope="module")
def pcm(conversation: Path) -> np.ndarray:
    return read(conversation)


@pytest.fixture(scope="module")
def scores(segmenter: segmentation.Segmenter, pcm: np.ndarray) -> np.ndarray:
    return segmenter.scores(pcm)


def read(path: Path) -> np.ndarray:
    return audio.decode(path.read_bytes(), LIMITS)[0]


def test_telephone_talk(diarizer, pcm, scores, conversation) -> None:
    found = diarizer.diarize(pcm, scores, TranscribeOptions(speaker_embeddings=True))
    reference = load_rttm(conversation.with_suffix(".rttm"))["sample"]
    error_rate = DiarizationErrorRate(collar=0.0, skip_overlap=False)
    assert error_rate(reference, annotation(found["turns"]), uem=whole(len(pcm))) <= 0.06
    assert found["speakers"] == ["SPEAKER_00", "SPEAKER_01"]
    assert found["turns"][0]["speaker"] == "SPEAKER_00"
    first, second = (np.array(found["embeddings"][name]) for name in found["speakers"])
    assert len(first) == embedding.DIMENSION
    assert first @ second / np.linalg.norm(first) / np.linalg.norm(second) < 0.9
    assert found["engine"]["scores"] == "shared"


# In the telephone talk: who speaks alone from where to where, in seconds.
EXCERPTS = {"first": (10.6, 14.4), "second": (22.0, 27.8)}


@pytest.fixture(scope="module")
def voices(diarizer, pcm) -> dict[str, list[float]]:
    """Of who speaks in the excerpts, each from the excerpt alone."""
    options = TranscribeOptions(speaker_embeddings=True, num_speakers=1)
    found = {}
    for name, span in EXCERPTS.items():
        start, end = (int(time_s * audio.SAMPLE_RATE) for time_s in span)
        told = diarizer.diarize(pcm[start:end], NO_SCORES, options)
        (found[name],) = told["embeddings"].values()
    return found


@pytest.fixture(scope="module")
def embeddings(diarizer, pcm, scores) -> np.ndarray:
    return diarizer.embed(pcm, scores, OPTIONS)


@pytest.mark.parametrize("names", [("first", "second"), ("second",)])
def test_known_voices_have_their_names(diarizer, pcm, scores, embeddings, voices, names) -> None:
    options = TranscribeOptions(known_speakers={name: voices[name] for name in names})
    plain = diarizer.diarize(len(pcm), scores, OPTIONS, embeddings)
    found = diarizer.diarize(len(pcm), scores, options, embeddings)
    wanted = {"SPEAKER_00": "first", "SPEAKER_01": "second"}
    wanted = {label: name if name in names else label for label, name in wanted.items()}
    assert found["speakers"] == list(wanted.values())
    renamed = [{**turn, "speaker": wanted[turn["speaker"]]} for turn in plain["turns"]]
    assert found["turns"] == renamed
    for one in found["known_speakers"]:
        assert one["found"]
        assert one["distance"] < 0.1


def test_a_voice_of_another_network_is_refused(diarizer, pcm, scores, embeddings) -> None:
    options = TranscribeOptions(known_speakers={"Ada": [1.0, 2.0]})
    with pytest.raises(InvalidRequest, match="has 2 numbers, must have 256"):
        diarizer.diarize(len(pcm), scores, options, embeddings)


def test_exclusive_turns_do_not_overlap(diarizer, pcm, scores) -> None:
    found = diarizer.diarize(pcm, scores, TranscribeOptions())
    starts = [turn["start"] for turn in found["exclusive"][1:]]
    ends = [turn["end"] for turn in found["exclusive"][:-1]]
    assert all(start >= end for start, end in zip(starts, ends, strict=True))
    assert any(
        later["start"] < earlier["end"]
        for earlier, later in zip(found["turns"], found["turns"][1:], strict=False)
    )


def test_shared_scores_give_the_turns_of_scores_computed_here(diarizer, pcm, scores) -> None:
    shared = diarizer.diarize(pcm, scores, TranscribeOptions())
    computed = diarizer.diarize(pcm, NO_SCORES, TranscribeOptions())
    assert computed["engine"]["scores"] == "computed"
    assert computed["turns"] == shared["turns"]
    assert computed["exclusive"] == shared["exclusive"]


@pytest.mark.parametrize(
    ("asked", "num_found"),
    [
        ({"num_speakers": 1}, {1}),
        ({"num_speakers": 3}, {3}),
        ({"max_speakers": 1}, {1}),
        ({"min_speakers": 3, "max_speakers": 4}, {3, 4}),
    ],
)
def test_numbers_of_speakers_are_honoured(diarizer, pcm, scores, asked, num_found) -> None:
    found = diarizer.diarize(pcm, scores, TranscribeOptions(**asked))
    assert len(found["speakers"]) in num_found
    assert found["warnings"] == []


def test_more_speakers_than_there_are_is_said(diarizer, pcm, scores) -> None:
    found = diarizer.diarize(pcm, scores, TranscribeOptions(num_speakers=20))
    assert 1 < len(found["speakers"]) < 20
    assert "20 speakers" in found["warnings"][0]


@pytest.mark.parametrize("asked", [{}, {"num_speakers": 3, "speaker_embeddings": True}])
def test_silence_and_nothing_give_no_turns(diarizer, asked) -> None:
    for num_samples in (0, 1, 800, 160_000):
        silence = np.zeros(num_samples, np.int16)
        found = diarizer.diarize(silence, NO_SCORES, TranscribeOptions(**asked))
        assert (found["turns"], found["exclusive"], found["speakers"]) == ([], [], [])


@pytest.mark.parametrize("duration_s", [0.05, 0.3, 0.7])
def test_very_short_speech_stays_inside_its_audio(diarizer, pcm, duration_s) -> None:
    start = int(11.0 * audio.SAMPLE_RATE)
    excerpt = pcm[start : start + int(duration_s * audio.SAMPLE_RATE)]
    options = TranscribeOptions(num_speakers=2, speaker_embeddings=True)
    found = diarizer.diarize(excerpt, NO_SCORES, options)
    assert all(0 <= turn["start"] < turn["end"] <= duration_s for turn in found["turns"])
    assert len(found["speakers"]) <= 1


def test_scores_of_another_recording_are_refused(diarizer, pcm, scores) -> None:
    for wrong in (scores[:-1], scores[:, :-1], scores[:, :, :2]):
        with pytest.raises(InvalidRequest, match=r"must be \[51, 293, 3\]"):
            diarizer.diarize(pcm, wrong, TranscribeOptions())


def test_the_number_of_windows_is_that_of_detect_speech(diarizer, segmenter) -> None:
    for num_samples in (1, 79_999, 80_000, 80_001, 88_000, 88_001, 95_999):
        silence = np.zeros(num_samples, np.int16)
        diarizer.pipeline.verify(segmenter.scores(silence), NO_EMBEDDINGS, num_samples)


def test_embeddings_of_the_pieces_give_the_turns_of_the_whole(diarizer, pcm, scores) -> None:
    joined = []
    for first, last in windows.SEGMENTATION.parts(len(pcm), 16):
        start, end = windows.SEGMENTATION.samples(first, last)
        joined.append(diarizer.embed(pcm[start:end], scores[first:last], OPTIONS))
    embeddings = np.concatenate(joined)
    whole_at_once = diarizer.embed(pcm, scores, OPTIONS)
    assert embeddings.shape == (len(scores), 3, embedding.DIMENSION)
    assert np.array_equal(np.isnan(embeddings), np.isnan(whole_at_once))
    assert np.nanmax(np.abs(embeddings - whole_at_once)) < 1e-4
    found = diarizer.diarize(pcm, scores, TranscribeOptions(), embeddings)
    assert found == diarizer.diarize(pcm, scores, TranscribeOptions())


def test_embeddings_that_are_given_are_not_computed_again(diarizer, pcm, scores) -> None:
    """Where all voices are alike, turns are others."""
    alike = np.ones((len(scores), 3, embedding.DIMENSION), np.float32)
    found = diarizer.diarize(pcm, scores, TranscribeOptions(), alike)
    assert found["turns"] != diarizer.diarize(pcm, scores, TranscribeOptions())["turns"]


def test_embeddings_of_another_recording_are_refused(diarizer, pcm, scores) -> None:
    embeddings = np.ones((len(scores), 3, embedding.DIMENSION), np.float32)
    with pytest.raises(InvalidRequest, match=r"EMBEDDINGS has the shape \[50, 3, 256\], must be"):
        diarizer.diarize(pcm, scores, TranscribeOptions(), embeddings[:-1])
    with pytest.raises(InvalidRequest, match="EMBEDDINGS came without SCORES; send both"):
        diarizer.diarize(pcm, NO_SCORES, TranscribeOptions(), embeddings)


@pytest.mark.parametrize(
    ("options", "has_scores"), [({"diarize": False}, True), ({}, False)], ids=["asked", "scores"]
)
def test_no_embeddings_without_need_or_scores(diarizer, pcm, scores, options, has_scores) -> None:
    given = scores if has_scores else NO_SCORES
    found = diarizer.embed(pcm, given, TranscribeOptions(**options))
    assert len(found) == 0
    if not has_scores:  # and what came of it may be sent on
        assert diarizer.diarize(pcm, given, OPTIONS, found)["engine"]["scores"] == "computed"


def test_without_diarization_nothing_is_computed(diarizer, pcm) -> None:
    found = diarizer.diarize(pcm, NO_SCORES, TranscribeOptions(diarize=False))
    assert found["turns"] is None
    assert found["speakers"] == []


def test_bounded_clustering_thins_evenly_and_still_separates(pcm, scores, monkeypatch) -> None:
    values = {**PARAMETERS, "max_clustered_embeddings": "20"}
    bounded = diarization.Diarizer(parameters.parse(diarization.Config, values), num_threads=1)
    seen = []

    def spy(vectors: np.ndarray, *args: Any) -> Any:
        seen.append(len(vectors))
        return tree(vectors, *args)

    tree = linkage.linkage
    monkeypatch.setattr(linkage, "linkage", spy)
    found = bounded.diarize(pcm, scores, TranscribeOptions())
    assert seen == [20]
    assert found["speakers"] == ["SPEAKER_00", "SPEAKER_01"]


@pytest.fixture(scope="module")
def minutes(diarizer, pcm, scores) -> tuple[np.ndarray, np.ndarray]:
    """Scores and embeddings of 5 minutes: the conversation over and over, once without a voice."""
    known = scores, diarizer.embed(pcm, scores, OPTIONS)
    repeated = tuple(np.tile(value, (12, 1, 1)) for value in known)
    silent = slice(2 * len(scores), 3 * len(scores))
    for value, nothing in zip(repeated, (0, np.nan), strict=True):
        value[silent] = nothing
        value.flags.writeable = False
    return repeated[0], repeated[1]


@pytest.fixture(scope="module")
def pyannotes(minutes) -> Any:
    """pyannote's own pipeline, as its authors wrote it, from the same scores and embeddings."""
    pipeline = speaker_diarization.load()
    window = SlidingWindow(start=0.0, duration=5.0, step=0.5)
    scores, embeddings = minutes
    pipeline.get_segmentations = lambda *_, **__: SlidingWindowFeature(scores.copy(), window)
    pipeline.get_embeddings = lambda *_, **__: embeddings.copy()
    return pipeline


def num_samples(scores: np.ndarray) -> int:
    """Of a clip with as many windows."""
    return windows.SEGMENTATION.samples(0, len(scores))[1]


@pytest.mark.filterwarnings("ignore")  # bounds that are not met
@pytest.mark.parametrize(
    "bounds",
    [{}, {"num_speakers": 1}, {"num_speakers": 4}, {"min_speakers": 3}, {"max_speakers": 1}],
    ids=str,
)
def test_the_turns_are_pyannotes_own(diarizer, pyannotes, minutes, bounds, monkeypatch) -> None:
    monkeypatch.setattr("pyannote.audio.pipelines.clustering.linkage", hierarchy.linkage)
    duration = num_samples(minutes[0])
    options = TranscribeOptions(speaker_embeddings=True, **bounds)
    found = diarizer.diarize(duration, minutes[0], options, minutes[1])
    file = {"waveform": torch.zeros(1, 1), "sample_rate": audio.SAMPLE_RATE, "uri": "audio"}
    theirs = pyannote_pipeline.speakers(pyannotes(file, **bounds))
    duration_s = duration / audio.SAMPLE_RATE
    wanted = turns.document(
        turns.from_tracks(theirs.tracks, duration_s),
        turns.one_at_a_time(turns.from_tracks(theirs.exclusive, duration_s)),
        theirs.vectors, options, found["engine"],
    )  # fmt: skip
    assert len(wanted["speakers"]) >= bounds.get("min_speakers", 1)
    assert found == wanted


def test_embeddings_are_asked_for_as_pyannote_asks(diarizer, pcm, scores) -> None:
    """Of the same windows under the same masks."""
    excerpt = slice(20, 26)
    start, end = windows.SEGMENTATION.samples(excerpt.start, excerpt.stop)
    cut = pcm[start : end - 1000]  # the last window reaches beyond it
    found = diarizer.embed(cut, scores[excerpt], OPTIONS)
    pipeline = speaker_diarization.load()
    pipeline._embedding = diarizer.pipeline._embedding
    window = SlidingWindow(start=0.0, duration=5.0, step=0.5)
    active = binarize(
        SlidingWindowFeature(scores[excerpt], window),
        onset=float(PARAMETERS["segmentation_threshold"]), initial_state=False,
    )  # fmt: skip
    waveform = torch.from_numpy(audio.to_float(cut))[None]
    file = {"waveform": waveform, "sample_rate": audio.SAMPLE_RATE}
    wanted = pipeline.get_embeddings(file, active, exclude_overlap=True)
    assert np.array_equal(found, wanted, equal_nan=True)


def test_it_needs_little_memory(minutes) -> None:
    """Of twelve speakers."""
    pipeline = NetworkPipeline(parameters.parse(diarization.Config, PARAMETERS))
    scores = minutes[0]
    voices = np.eye(12, embedding.DIMENSION, dtype=np.float32)
    speakers = np.random.default_rng(0).integers(0, 12, (len(scores), 3))
    embeddings = voices[speakers]
    options = TranscribeOptions(num_speakers=12)
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        found = pipeline.speakers(num_samples(scores), scores, embeddings, options)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(found.vectors) == 12
    assert peak - before < 3 * scores.nbytes  # pyannote's own: 13 times
