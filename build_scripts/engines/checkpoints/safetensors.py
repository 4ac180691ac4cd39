"""Turns checkpoints that are pickles into safetensors, once, when engines are made.

Runs in the environment's interpreter: `python -m build_scripts.engines.checkpoints.safetensors
segmentation|embedding|align SOURCE FOLDER`.
"""

from __future__ import annotations

import collections
import json
import pickle
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from safetensors.torch import save_file

# What the segmentation checkpoint may construct. Everything else in it becomes a `Record`, which
# has no behaviour, or is refused: loading it runs no code but torch's own tensor rebuilding.
_CONSTRUCTIBLE: dict[tuple[str, str], Any] = {
    ("__builtin__", "dict"): dict,
    ("__builtin__", "list"): list,
    ("__builtin__", "long"): int,
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("collections", "defaultdict"): collections.defaultdict,
    ("torch", "FloatStorage"): torch.FloatStorage,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("typing", "Any"): None,
}
_RECORDED = {
    ("omegaconf.base", "ContainerMetadata"),
    ("omegaconf.base", "Metadata"),
    ("omegaconf.listconfig", "ListConfig"),
    ("omegaconf.nodes", "AnyNode"),
    ("pyannote.audio.core.model", "Introspection"),
    ("pyannote.audio.core.task", "Problem"),
    ("pyannote.audio.core.task", "Resolution"),
    ("pyannote.audio.core.task", "Specifications"),
    ("torch.torch_version", "TorchVersion"),
}
# pyannote.audio.core.task: the enumerations' members by value, as of 4.0.7.
_PROBLEMS = {
    0: "BINARY_CLASSIFICATION",
    1: "MONO_LABEL_CLASSIFICATION",
    2: "MULTI_LABEL_CLASSIFICATION",
}
_RESOLUTIONS = {1: "FRAME", 2: "CHUNK"}


class Record:
    """Stands in for a class of the checkpoint: keeps the arguments and the state, does nothing."""

    args: tuple[Any, ...]
    state: Mapping[str, Any]

    def __new__(cls, *args: Any) -> Record:
        record = super().__new__(cls)
        record.args, record.state = args, {}
        return record

    def __init__(self, *args: Any) -> None:
        """The arguments were kept by `__new__`, which is all that unpickling calls."""

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        self.state = state


class Unpickler(pickle.Unpickler):
    """Constructs what the two tables above name and refuses every other global."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _CONSTRUCTIBLE:
            return _CONSTRUCTIBLE[module, name]
        if (module, name) in _RECORDED:
            return Record
        raise pickle.UnpicklingError(
            f"the checkpoint names `{module}.{name}`, which is not allowed"
        )


def load_restricted(path: Path) -> dict[str, Any]:
    """A torch checkpoint as plain data. Raises pickle.UnpicklingError for anything unexpected."""
    module = SimpleNamespace(
        Unpickler=Unpickler,
        load=_refuse,
        UnpicklingError=pickle.UnpicklingError,
        __name__="restricted",
    )
    # weights_only is this loader's stricter sibling; it has no way to keep a class as data.
    loaded = torch.load(path, map_location="cpu", pickle_module=module, weights_only=False)
    assert isinstance(loaded, dict)
    return loaded


def convert_segmentation(source: Path, into: Path) -> None:
    """WhisperX's PyanNet checkpoint -> model.safetensors, config.json.

    The configuration is what is needed to build the network (`hyper_parameters`) and to read its
    output (`specifications`: window in seconds, classes in order).
    """
    checkpoint = load_restricted(source)
    stated = checkpoint["pyannote.audio"]
    specifications = stated["specifications"].state
    config = {
        "architecture": stated["architecture"]["class"],
        "hyper_parameters": checkpoint["hyper_parameters"],
        "specifications": {
            "problem": _PROBLEMS[specifications["problem"].args[0]],
            "resolution": _RESOLUTIONS[specifications["resolution"].args[0]],
            "duration": specifications["duration"],
            "warm_up": list(specifications["warm_up"]),
            "classes": list(specifications["classes"]),
            "permutation_invariant": specifications["permutation_invariant"],
        },
    }
    _write(checkpoint["state_dict"], config, into)


def convert_embedding(source: Path, into: Path) -> None:
    """Resemblyzer's GE2E checkpoint -> model.safetensors, config.json.

    The numbers of the mel front end are the package's `hparams.py`; the layer sizes are read off
    the tensors. The training loss's two scalars are left out.
    """
    state = torch.load(source, map_location="cpu", weights_only=True)["model_state"]
    tensors = {
        name: value for name, value in state.items() if name.split(".")[0] in ("lstm", "linear")
    }
    config = {
        "architecture": "GE2E",
        "sample_rate": 16000,
        "window_ms": 25,
        "hop_ms": 10,
        "partial_frames": 160,
        "num_mels": tensors["lstm.weight_ih_l0"].shape[1],
        "hidden_size": tensors["lstm.weight_hh_l0"].shape[1],
        "num_layers": sum(name.startswith("lstm.weight_ih_l") for name in tensors),
        "embedding_size": tensors["linear.weight"].shape[0],
    }
    _write(tensors, config, into)


def convert_align(source: Path, into: Path) -> None:
    """The weights of a wav2vec2 repository, which lies in `source` -> model.safetensors."""
    into.mkdir(parents=True, exist_ok=True)
    safe = source / "model.safetensors"
    if safe.is_file():
        shutil.copyfile(safe, into / safe.name)
        return
    state = torch.load(source / "pytorch_model.bin", map_location="cpu", weights_only=True)
    _save(state, into)


def _write(tensors: Mapping[str, torch.Tensor], config: Mapping[str, Any], into: Path) -> None:
    _save(tensors, into)
    (into / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def _save(tensors: Mapping[str, torch.Tensor], into: Path) -> None:
    # Copies: tensors that share a storage (views) cannot be saved as they are.
    own = {name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}
    weights = into / "model.safetensors"
    save_file(own, weights, {"format": "pt"})  # without it transformers does not read them
    weights.chmod(0o644)  # safetensors writes 0600; who may read the checkout may read the model


def _refuse(*_: Any, **__: Any) -> Any:
    raise pickle.UnpicklingError("the checkpoint is in torch's legacy format, which is not allowed")


CONVERTERS: dict[str, Callable[[Path, Path], None]] = {
    "segmentation": convert_segmentation,
    "embedding": convert_embedding,
    "align": convert_align,
}

if __name__ == "__main__":
    CONVERTERS[sys.argv[1]](Path(sys.argv[2]), Path(sys.argv[3]))
