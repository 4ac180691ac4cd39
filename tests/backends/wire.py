"""Tensors of the contract as a request has them, and the request as the backend reads it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np

from onecard.contract import trtllm

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
    "STRING": np.object_,
    "UINT64": np.uint64,
    "UINT8": np.uint8,
}


def batched(values: Mapping[str, Any]) -> dict[str, Any]:
    """Arrays of the contract's types with their batch dimension of 1; None leaves one out."""
    arrays = {}
    for name, value in values.items():
        if value is None:
            continue
        text = value.encode() if isinstance(value, str) else value
        array = np.asarray(text, NUMPY[DTYPES[name]])
        arrays[name] = array.reshape(1, 1) if array.ndim == 0 else array[np.newaxis]
    return arrays


class Incoming:
    """What the backend reads of a Triton request, with real tensors in it."""

    def __init__(self, inputs: Mapping[str, Any], request_id: str, outputs: Sequence[str]) -> None:
        self._inputs = inputs
        self._id = request_id
        self._outputs = outputs
        self.cancelled = False

    def inputs(self) -> list[Any]:
        return [
            SimpleNamespace(name=lambda name=name: name, as_numpy=lambda value=value: value)
            for name, value in self._inputs.items()
        ]

    def request_id(self) -> str:
        return self._id

    def requested_output_names(self) -> Sequence[str]:
        return self._outputs

    def is_cancelled(self) -> bool:
        return self.cancelled
