"""A pyannote pipeline from a local directory: nothing is fetched, no pickled code is run."""

from __future__ import annotations

import collections
import os
import typing
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import yaml
from omegaconf import base, dictconfig, listconfig, nodes

from onecard import manifest
from onecard.diarization.config import PIPELINE_FILE as CONFIG

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="(?s).*torchcodec")  # as in diarization
    from pyannote.audio import Pipeline
    from pyannote.audio.core.model import Introspection
    from pyannote.audio.core.task import Problem, Resolution, Specifications

NAMES = (
    "pyannote.audio.pipelines.SpeakerDiarization",
    "pyannote.audio.pipelines.speaker_diarization.SpeakerDiarization",
)
MODELS = ("segmentation", "embedding", "plda")
NETWORKS = ("segmentation", "embedding")  # of MODELS, those that are checkpoints of torch
CHECKPOINT = "pytorch_model.bin"
# A checkpoint names the class that it is of; pyannote imports whatever that is.
ARCHITECTURES = "pyannote.audio.models."
MADE = "run `make engines` again"


class Inert:
    """A stand-in for a trainer's object in a checkpoint that inference does not need."""

    def __init__(self, *_: Any) -> None:
        """Whatever it was made of."""

    def __setstate__(self, _: Any) -> None:
        """Whatever it held."""


# What pyannote's published checkpoints hold besides tensors: settings, none of them callable.
CHECKPOINT_CLASSES: list[Any] = [
    Specifications,
    Problem,
    Resolution,
    Introspection,
    torch.torch_version.TorchVersion,
    listconfig.ListConfig,
    dictconfig.DictConfig,
    base.ContainerMetadata,
    base.Metadata,
    nodes.AnyNode,
    typing.Any,
    collections.defaultdict,
    dict,
    list,
    int,
    # Keys of the callbacks' states, as Lightning wrote them before 1.5.
    (Inert, "pytorch_lightning.callbacks.early_stopping.EarlyStopping"),
    (Inert, "pytorch_lightning.callbacks.model_checkpoint.ModelCheckpoint"),
]


def load(directory: Path | str) -> Any:
    """The SpeakerDiarization pipeline whose `config.yaml` lies in `directory`.

    Checkpoints are read with torch's `weights_only` unpickler, which refuses anything but tensors
    and `CHECKPOINT_CLASSES`, although pyannote itself would read them without it.

    Raises:
        FileNotFoundError: no such directory or no `config.yaml` in it.
        ManifestError: there is a manifest, and a file is not the one that was fetched.
        ValueError: the configuration is not a SpeakerDiarization made of local files, or a
            checkpoint is of a class that is not pyannote's.
        pickle.UnpicklingError: a checkpoint holds something else than weights and settings.
    """
    directory = Path(directory)
    path = directory / CONFIG
    if not path.is_file():
        raise FileNotFoundError(
            f"`{path}` is missing; `pipeline` must name a directory with a pyannote pipeline, or "
            "be `none` for the one from `segmentation` and `embedding`"
        )
    if (directory / manifest.FILENAME).is_file():
        manifest.verify(directory, MADE)
    config = yaml.safe_load(path.read_text(encoding="utf-8"))
    _verify(config, path)
    with weights_only():
        for name in NETWORKS:
            _verify_architecture(config["pipeline"]["params"][name], directory)
        pipeline: Any = Pipeline.from_pretrained(directory)
    pipeline.legacy = False  # turns, exclusive turns and embeddings, not turns alone
    return pipeline


def _verify(config: Any, path: Path) -> None:
    """Refuse what would run other code than SpeakerDiarization's or reach for a hub."""
    pipeline = config.get("pipeline", {}) if isinstance(config, dict) else {}
    if pipeline.get("name") not in NAMES:
        raise ValueError(
            f"`{path}` has the pipeline `{pipeline.get('name')}`, must be `{NAMES[0]}`"
        )
    if "preprocessors" in config:
        raise ValueError(f"`{path}` has `preprocessors`, which onecard does not run; remove them")
    for name in MODELS:
        model = pipeline.get("params", {}).get(name)
        place = model.get("checkpoint") if isinstance(model, dict) else model
        if place is None or not (str(place).startswith("$model/") or Path(place).exists()):
            raise ValueError(
                f"`{path}` has `{place}` as its `{name}`, must be a local path or `$model/...`; "
                "download it beside the pipeline"
            )


def _verify_architecture(model: Any, directory: Path) -> None:
    """Refuse a checkpoint whose class pyannote would import from somewhere else than its own."""
    place = str(model["checkpoint"] if isinstance(model, dict) else model)
    within = place.removeprefix("$model/")
    path = Path(place) if within == place else directory / within
    path = path / CHECKPOINT if path.is_dir() else path
    if not path.is_file():
        return  # pyannote says what it wanted
    stated = torch.load(path, map_location="cpu", weights_only=True).get("pyannote.audio", {})
    module = stated.get("architecture", {}).get("module", "")
    if not str(module).startswith(ARCHITECTURES):
        raise ValueError(
            f"`{path}` is a checkpoint of the module `{module}`, must be one of `{ARCHITECTURES}*`"
        )


@contextmanager
def weights_only() -> Iterator[None]:
    """Let torch load only tensors and `CHECKPOINT_CLASSES` in this block, whatever a caller asks.

    pyannote asks torch for full unpickling by argument; only this variable overrules it.
    """
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        with torch.serialization.safe_globals(CHECKPOINT_CLASSES):
            yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
