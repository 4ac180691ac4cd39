"""A pyannote pipeline from a directory, laid out as speaker-diarization-community-1 is."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pyannote.audio.telemetry import metrics
from pyannote.core import SlidingWindowFeature

from build_scripts.measure import speakers
from onecard import audio, manifest
from onecard.diarization import diarizer as diarization
from onecard.diarization import local_pipeline
from onecard.errors import InvalidRequest
from onecard.manifest import Manifest, ManifestError
from onecard.options import parameters
from onecard.options.transcribe import TranscribeOptions
from tests.onecard import pipelines
from tests.onecard.pipelines import (
    DIMENSION,
    SEGMENTATION,
    checkpoint,
    config,
    embedding_model,
    segmentation_model,
    write,
)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pipelines.make(tmp_path_factory.mktemp("pipeline"))


def diarizer(directory: Path, **changed: str) -> diarization.Diarizer:
    values = {name: "1" for name in parameters_of_diarize()}
    values.update(pipeline=str(directory), pipeline_is_optional="false", device="cpu")
    values.update({"max_clustered_embeddings": "1000", **changed})
    return diarization.Diarizer(parameters.parse(diarization.Config, values), num_threads=1)


def parameters_of_diarize() -> list[str]:
    return list(diarization.Config.__dataclass_fields__)


def test_it_finds_turns(directory: Path, conversation: Path) -> None:
    write(directory, config("VBxClustering"))
    pcm = audio.decode(conversation.read_bytes(), audio.Limits(600.0, 1 << 28))[0][112_000:240_000]
    someone_elses = np.zeros((1, 7, 2), np.float16)  # other weights: never looked at
    options = TranscribeOptions(speaker_embeddings=True)
    found = diarizer(directory).diarize(pcm, someone_elses, options)
    assert found["engine"]["pipeline"] == directory.name
    assert found["engine"]["clustering"] == "VBxClustering"
    assert found["engine"]["scores"] == "computed"
    spoken_s = sum(turn["end"] - turn["start"] for turn in found["exclusive"])
    assert 4.0 < spoken_s <= 8.0
    assert {len(v) for v in found["embeddings"].values()} == {DIMENSION}


def test_telemetry_is_off(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(directory, config("VBxClustering"))
    monkeypatch.setenv("PYANNOTE_METRICS_ENABLED", "1")
    assert metrics.is_metrics_enabled()
    diarizer(directory)
    assert not metrics.is_metrics_enabled()


def test_a_powerset_network_as_the_published_one_is_loads_and_answers(tmp_path: Path) -> None:
    made = pipelines.make(tmp_path, speakers.segmentation(10.0))
    document = config("VBxClustering")
    document["params"]["segmentation"] = {"min_duration_off": 0.0}  # it has no threshold
    write(made, document)
    found = diarizer(made)
    assert found.pipeline.pyannotes._segmentation.model.specifications.powerset
    noise = np.random.default_rng(0).normal(scale=1000, size=160_000).astype(np.int16)
    answer = found.diarize(noise, np.zeros((0, 1, 1), np.float32), TranscribeOptions())
    assert answer["engine"]["pipeline"] == made.name


def test_a_clustering_that_needs_the_number_of_speakers_says_so(directory: Path) -> None:
    write(directory, config("KMeansClustering"))
    with pytest.raises(InvalidRequest, match="set `num_speakers`"):
        diarizer(directory).diarize(
            np.zeros(80_000, np.int16), np.zeros((0, 1, 1), np.float16), TranscribeOptions()
        )


def test_a_missing_directory_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.yaml.*must name a directory"):
        local_pipeline.load(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("document", "what"),
    [
        (config("VBxClustering", embedding="pyannote/wespeaker-voxceleb"), "local path"),
        (config("VBxClustering", plda=None), "plda"),
        ({"pipeline": {"name": "os.path.Join"}}, "must be `pyannote"),
        ({**config("VBxClustering"), "preprocessors": {"x": {"name": "os.system"}}}, "remove"),
        (["nothing"], "must be `pyannote"),
    ],
)
def test_a_configuration_that_reaches_elsewhere_is_refused(tmp_path, document, what) -> None:
    write(tmp_path, document)
    with pytest.raises(ValueError, match=what):
        local_pipeline.load(tmp_path)


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_an_optional_pipeline_that_is_not_there_is_replaced_and_every_answer_says_so(
    tmp_path: Path,
) -> None:
    local = {
        "segmentation": str(SEGMENTATION), "embedding": str(SEGMENTATION.with_name("embedding")),
        "clustering_method": "centroid", "pipeline_is_optional": "true",
    }  # fmt: skip
    found = diarizer(tmp_path / "diarization", **local)
    silence = np.zeros(0, np.int16)
    answer = found.diarize(silence, np.zeros((0, 1, 1), np.float32), TranscribeOptions())
    (warning,) = answer["warnings"]
    assert f"not in `{tmp_path}/diarization`" in warning
    assert "`make engines`" in warning
    assert answer["engine"]["embedding"] == "Resemblyzer 0.1.4 GE2E speaker encoder"
    with pytest.raises(FileNotFoundError):  # one that the plan names by its path has to be there
        diarizer(tmp_path / "diarization", **{**local, "pipeline_is_optional": "false"})


def test_a_pipeline_that_was_fetched_is_named_and_verified(directory: Path) -> None:
    write(directory, config("VBxClustering"))
    facts = {"name": "diarization", "model": "a/b (123)", "backend": "torch"}
    made = manifest.scan(directory, **facts, precision="float32", licence="cc-by-4.0")
    manifest.write(directory, made)
    try:
        found = diarizer(directory, pipeline_is_optional="true")
        assert found.engine["pipeline"] == "a/b (123)"
        assert found.warnings == []
        path = directory / "embedding" / "pytorch_model.bin"
        wrong = {**made.files, "embedding/pytorch_model.bin": "0" * 64}
        manifest.write(directory, Manifest(files=wrong, **facts, precision="", licence=""))
        with pytest.raises(ManifestError, match=f"{path}.*wanted `0000.*make engines"):
            diarizer(directory, pipeline_is_optional="true")
    finally:
        (directory / manifest.FILENAME).unlink()


def test_a_long_recording_is_clustered_by_a_bounded_number_of_embeddings(directory: Path) -> None:
    write(directory, config("VBxClustering"))
    clustering = diarizer(directory, max_clustered_embeddings="7").pipeline.pyannotes.clustering
    embeddings = np.random.default_rng(0).normal(size=(40, 2, DIMENSION))
    scores = np.ones((40, 10, 2))
    window = segmentation_model().receptive_field
    scores[:, 5:, 0] = scores[:, :5, 1] = 0  # one after the other
    found = clustering.filter_embeddings(
        embeddings, segmentations=SlidingWindowFeature(scores, window)
    )
    assert [len(part) for part in found] == [7, 7, 7]
    assert list(found[1])[::6] == [0, 39]  # from the first window to the last


@pytest.mark.parametrize("module", ["os", "pyannote.audio.pipelines", "pyannote.audio.modelsx"])
def test_a_checkpoint_of_a_foreign_class_is_refused_before_it_is_imported(
    directory: Path, module: str
) -> None:
    write(directory, config("VBxClustering"))
    path = directory / "embedding" / "pytorch_model.bin"
    good = path.read_bytes()
    state = checkpoint(embedding_model())
    state["pyannote.audio"]["architecture"]["module"] = module
    try:
        torch.save(state, path)
        with pytest.raises(ValueError, match=f"of the module `{module}`, must be one of"):
            local_pipeline.load(directory)
    finally:
        path.write_bytes(good)


def test_a_checkpoint_with_code_is_refused_and_the_code_not_run(directory, tmp_path) -> None:
    write(directory, config("VBxClustering"))
    path = directory / "embedding" / "pytorch_model.bin"
    good, trace = path.read_bytes(), tmp_path / "trace"
    try:
        torch.save({**checkpoint(embedding_model()), "extra": Payload(trace)}, path)
        with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
            local_pipeline.load(directory)
    finally:
        path.write_bytes(good)
    assert not trace.exists()
