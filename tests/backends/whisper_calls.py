"""Requests of the whisper contract: the tensors of a usual one, in process and over gRPC."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import tritonclient.grpc as triton

from tests.backends import wire

END, START, ENGLISH, SPANISH, TRANSCRIBE = 50257, 50258, 50259, 50262, 50359
PREVIOUS, NO_SPEECH, NO_TIMESTAMPS = 50361, 50362, 50363
PROMPT = (START, ENGLISH, TRANSCRIBE, NO_TIMESTAMPS)
N_MELS = 80
OUTPUTS = ("output_ids", "sequence_length", "cum_log_probs")


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
    return wire.batched(given)


class Incoming(wire.Incoming):
    """A request to the model."""

    def __init__(
        self,
        inputs: dict[str, np.ndarray],
        request_id: str = "",
        outputs: Sequence[str] = OUTPUTS,
    ) -> None:
        super().__init__(inputs, request_id, outputs)


def infer_inputs(given: dict[str, np.ndarray]) -> list[triton.InferInput]:
    found = []
    for name, value in given.items():
        found.append(triton.InferInput(name, list(value.shape), wire.DTYPES[name]))
        found[-1].set_data_from_numpy(np.ascontiguousarray(value))
    return found


def infer_outputs(names: Sequence[str] = OUTPUTS) -> list[triton.InferRequestedOutput]:
    return [triton.InferRequestedOutput(name) for name in names]
