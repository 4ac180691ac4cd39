"""Requests of the whisper contract: the tensors of a usual one, in process and over gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import tritonclient.grpc as triton

from onecard.contract import trtllm

END, START, ENGLISH, SPANISH, TRANSCRIBE = 50257, 50258, 50259, 50262, 50359
PREVIOUS, NO_SPEECH, NO_TIMESTAMPS = 50361, 50362, 50363
PROMPT = (START, ENGLISH, TRANSCRIBE, NO_TIMESTAMPS)
N_MELS = 80
OUTPUTS = ("output_ids", "sequence_length", "cum_log_probs")
DTYPES = {
    tensor.name: tensor.dtype.removeprefix("TYPE_")
    for tensor in (*trtllm.INPUTS, *trtllm.WHISPER_INPUTS)
}
NUMPY = {
    "BOOL": np.bool_,
    "FP16": np.float16,
    "FP32": np.float32,
    "INT32": np.int32,
    "INT64": np.int64,
    "UINT64": np.uint64,
}


def tensors(features: np.ndarray | None, **more: Any) -> dict[str, np.ndarray]:
    """Wire tensors with their batch dimension of 1; None leaves one out."""
    given = {
        "encoder_input_features": features,
        "encoder_output_lengths": 0 if features is None else len(features) // 2,
        "input_lengths": 0 if features is None else len(features),
        "decoder_input_ids": PROMPT,
        "request_output_len": 100,
        "end_id": END,
        "pad_id": END,
        **more,
    }
    arrays = {
        name: np.asarray(value, NUMPY[DTYPES[name]])
        for name, value in given.items()
        if value is not None
    }
    return {name: (a.reshape(1, 1) if a.ndim == 0 else a[np.newaxis]) for name, a in arrays.items()}


class Incoming:
    """What the backend's service reads of a Triton request, with real tensors in it."""

    def __init__(
        self,
        inputs: dict[str, np.ndarray],
        request_id: str = "",
        outputs: Sequence[str] = OUTPUTS,
    ) -> None:
        self.tensors = inputs
        self.id = request_id
        self.outputs = outputs
        self.cancelled = False

    def inputs(self) -> list[Any]:
        return [
            SimpleNamespace(name=lambda name=name: name, as_numpy=lambda value=value: value)
            for name, value in self.tensors.items()
        ]

    def request_id(self) -> str:
        return self.id

    def requested_output_names(self) -> Sequence[str]:
        return self.outputs

    def is_cancelled(self) -> bool:
        return self.cancelled


def infer_inputs(given: dict[str, np.ndarray]) -> list[triton.InferInput]:
    found = []
    for name, value in given.items():
        found.append(triton.InferInput(name, list(value.shape), DTYPES[name]))
        found[-1].set_data_from_numpy(np.ascontiguousarray(value))
    return found


def infer_outputs(names: Sequence[str] = OUTPUTS) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name) for name in names]
