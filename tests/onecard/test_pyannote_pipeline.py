"""A pyannote pipeline from a directory, laid out as speaker-diarization-community-1 is."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from pyannote.audio.models.embedding import XVectorSincNet

from onecard import audio, diarization, parameters, pyannote_pipeline, segmentation
from onecard.errors import InvalidRequest
from onecard.options import TranscribeOptions

ROOT = Path(__file__).parents[2]
SEGMENTATION = ROOT / "engines" / "cpu" / "segmentation"
DIMENSION = 512  # of an x-vector


def config(clustering: str, **params: Any) -> dict[str, Any]:
    """`config.yaml` of the published pipeline, with the parameters of a multilabel segmentation."""
    instantiate: dict[str, Any] = {"segmentation": {"threshold": 0.44, "min_duration_off": 0.1}}
    if clustering == "VBxClustering":
        instantiate["clustering"] = {"threshold": 0.6, "Fa": 0.07, "Fb": 0.8}
    return {
        "pipeline": {
            "name": "pyannote.audio.pipelines.SpeakerDiarization",
            "params": {
                "clustering": clustering,
                "segmentation": "$model/segmentation",
                "embedding": "$model/embedding",
                "plda": "$model/plda",
                **params,
            },
        },
        "params": instantiate,
    }


def checkpoint(model: Any) -> dict[str, Any]:
    """What pyannote's trainer saves of a model, as far as loading it needs."""
    return {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "pytorch-lightning_version": "2.0.0",
        "pyannote.audio": {
            "versions": {"torch": torch.__version__, "pyannote.audio": "4.0.0"},
            "architecture": {
                "module": type(model).__module__, "class": type(model).__name__,
            },
            "specifications": model.specifications,
        },
    }  # fmt: skip


def embedding_model() -> XVectorSincNet:
    """A network with random weights: the loading is under test, not the quality."""
    torch.manual_seed(0)
    model = XVectorSincNet()
    model.specifications = segmentation.load(SEGMENTATION).specifications
    return model


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("pipeline")
    for name in ("segmentation", "embedding", "plda"):
        (root / name).mkdir()
    models = {"segmentation": segmentation.load(SEGMENTATION), "embedding": embedding_model()}
    for name, model in models.items():
        torch.save(checkpoint(model), root / name / "pytorch_model.bin")
    random = np.random.default_rng(0)
    lda = random.normal(size=(DIMENSION, 128))
    np.savez(
        root / "plda" / "xvec_transform.npz",
        mean1=np.zeros(DIMENSION), mean2=np.zeros(128), lda=lda,
    )  # fmt: skip
    np.savez(
        root / "plda" / "plda.npz", mu=np.zeros(128), tr=np.eye(128), psi=np.linspace(2, 1, 128)
    )
    return root


def diarizer(directory: Path) -> diarization.Diarizer:
    values = {name: "1" for name in parameters_of_diarize()}
    values.update(pipeline=str(directory), device="cpu")
    return diarization.Diarizer(parameters.parse(diarization.Config, values), num_threads=1)


def parameters_of_diarize() -> list[str]:
    return list(diarization.Config.__dataclass_fields__)


def write(directory: Path, document: dict[str, Any]) -> None:
    (directory / "config.yaml").write_text(yaml.safe_dump(document))


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


def test_a_clustering_that_needs_the_number_of_speakers_says_so(directory: Path) -> None:
    write(directory, config("KMeansClustering"))
    with pytest.raises(InvalidRequest, match="set `num_speakers`"):
        diarizer(directory).diarize(
            np.zeros(80_000, np.int16), np.zeros((0, 1, 1), np.float16), TranscribeOptions()
        )


def test_a_missing_directory_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"config\.yaml.*must name a directory"):
        pyannote_pipeline.load(tmp_path / "nowhere")


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
        pyannote_pipeline.load(tmp_path)


class Payload:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_a_checkpoint_with_code_is_refused_and_the_code_not_run(directory, tmp_path) -> None:
    write(directory, config("VBxClustering"))
    path = directory / "embedding" / "pytorch_model.bin"
    good, trace = path.read_bytes(), tmp_path / "trace"
    try:
        torch.save({**checkpoint(embedding_model()), "extra": Payload(trace)}, path)
        with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
            pyannote_pipeline.load(directory)
    finally:
        path.write_bytes(good)
    assert not trace.exists()
