"""Makes a directory laid out as pyannote/speaker-diarization-community-1 is, of what is at hand.

Its segmentation is the one that comes with WhisperX, its embedding and its PLDA have random
numbers: what is loaded and how is under test, not how good it is.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from pyannote.audio.core.task import Problem, Resolution, Specifications
from pyannote.audio.models.embedding import WeSpeakerResNet34
from pyannote.audio.models.segmentation import PyanNet
from safetensors.torch import load_file

ROOT = Path(__file__).parents[2]
SEGMENTATION = ROOT / "engines" / "cpu" / "segmentation"
DIMENSION = 256  # of WeSpeaker's ResNet34


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


def segmentation_model() -> PyanNet:
    """pyannote's own, with the weights of the CPU plan."""
    config = json.loads((SEGMENTATION / "config.json").read_text())
    model = PyanNet(**config["hyper_parameters"])
    stated = config["specifications"]
    kinds = {
        "problem": Problem[stated["problem"]], "resolution": Resolution[stated["resolution"]],
    }  # fmt: skip
    model.specifications = Specifications(**{**stated, **kinds})
    model.build()
    model.load_state_dict(load_file(SEGMENTATION / "model.safetensors"))
    return model.eval()


def embedding_model() -> WeSpeakerResNet34:
    """A network with random weights: the loading is under test, not the quality."""
    torch.manual_seed(0)
    model = WeSpeakerResNet34()
    model.specifications = segmentation_model().specifications
    return model


def write(directory: Path, document: dict[str, Any]) -> None:
    (directory / "config.yaml").write_text(yaml.safe_dump(document))


def make(root: Path, network: Any = None) -> Path:
    """All but its `config.yaml`, which `write` writes. `network`: of segmentation, another."""
    for name in ("segmentation", "embedding", "plda"):
        (root / name).mkdir()
    segments = network or segmentation_model()
    models = {"segmentation": segments, "embedding": embedding_model()}
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
