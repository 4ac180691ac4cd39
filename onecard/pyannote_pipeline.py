"""A pyannote pipeline from a local directory: nothing is fetched, no pickled code is run.

It knows pyannote's `config.yaml`; it knows nothing of what the pipeline is used for.
"""

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

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", message="(?s).*torchcodec")  # as in diarization
    from pyannote.audio import Pipeline
    from pyannote.audio.core.model import Introspection
    from pyannote.audio.core.task import Problem, Resolution, Specifications

CONFIG = "config.yaml"
NAMES = (
    "pyannote.audio.pipelines.SpeakerDiarization",
    "pyannote.audio.pipelines.speaker_diarization.SpeakerDiarization",
)
MODELS = ("segmentation", "embedding", "plda")

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
]


def load(directory: Path | str) -> Any:
    """The SpeakerDiarization pipeline whose `config.yaml` lies in `directory`.

    Checkpoints are read with torch's `weights_only` unpickler, which refuses anything but tensors
    and `CHECKPOINT_CLASSES`, although pyannote itself would read them without it.

    Raises:
        FileNotFoundError: no such directory or no `config.yaml` in it.
        ValueError: the configuration is not a SpeakerDiarization made of local files.
        pickle.UnpicklingError: a checkpoint holds something else than weights and settings.
    """
    directory = Path(directory)
    path = directory / CONFIG
    if not path.is_file():
        raise FileNotFoundError(
            f"`{path}` is missing; `pipeline` must name a directory with a pyannote pipeline, or "
            "be `none` for the one from `segmentation` and `embedding`"
        )
    _verify(yaml.safe_load(path.read_text(encoding="utf-8")), path)
    with weights_only():
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


@contextmanager
def weights_only() -> Iterator[None]:
    """What torch loads in this block is tensors and `CHECKPOINT_CLASSES`, whoever asks for more.

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
