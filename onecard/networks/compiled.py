"""Torch networks compiled for the CPU by OpenVINO: the same answers, sooner.

In bfloat16 (processors with AVX512-BF16 or AMX) a network takes about half the time that torch
takes in float32. Batches run side by side, a thread each: small LSTM steps gain little from two
threads.
"""

from __future__ import annotations

import queue
import warnings
from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import openvino
import torch

Array = npt.NDArray[np.float32]

_DEVICE = "CPU"
_HINTS = {"float32": "f32", "bfloat16": "bf16", "float16": "f16"}
_CAPABILITIES = {"float32": "FP32", "bfloat16": "BF16", "float16": "FP16"}


def available(planned: str) -> str:
    """The precision `planned`, or float32 where this processor does not compute in it."""
    found = openvino.Core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
    return planned if _CAPABILITIES[planned] in found else "float32"


class Compiled:
    """`network`, from one or more tensors to one.

    Args:
        examples: inputs; tracing runs them, their values do not matter.
        shapes: of the inputs, -1 for what differs between calls.
        precision: `float32`, `bfloat16` or `float16`, in which it computes; both sides are
            float32.
        num_threads: batches that run at the same time.

    Attributes:
        precision: the one in use, as `available` says.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        examples: tuple[torch.Tensor, ...],
        shapes: Sequence[Sequence[int]],
        *,
        precision: str,
        num_threads: int,
    ) -> None:
        self.precision = available(precision)
        with warnings.catch_warnings(), torch.inference_mode():
            warnings.simplefilter("ignore")  # tracing notes what is constant for these examples
            model = openvino.convert_model(network, example_input=examples)
        model.reshape({i: openvino.PartialShape(list(shape)) for i, shape in enumerate(shapes)})
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[self.precision],
            "INFERENCE_NUM_THREADS": num_threads,
            "NUM_STREAMS": num_threads,
            "ENABLE_CPU_PINNING": False,  # each process would pin its threads to the same cores
        }
        compiled = openvino.Core().compile_model(model, _DEVICE, settings)
        self._num_threads = num_threads
        self._shapes = shapes
        self._requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        for _ in range(num_threads):
            self._requests.put(compiled.create_infer_request())
        # Not OpenVINO's own asynchronous queue: an error in it is told again by every later call,
        # and may end the process.
        self._pool = ThreadPoolExecutor(num_threads)

    def __call__(self, batches: Iterable[tuple[Array, ...]]) -> list[Array]:
        """The output for each batch of inputs, in order; few inputs are held at a time."""
        found: list[Array] = []
        running: deque[Future[Array]] = deque()
        for batch in batches:
            running.append(self._pool.submit(self._infer, batch))
            if len(running) > self._num_threads:
                found.append(running.popleft().result())
        return found + [future.result() for future in running]

    def _infer(self, inputs: tuple[Array, ...]) -> Array:
        for array, shape in zip(inputs, self._shapes, strict=True):
            _verify(array, shape)
        request = self._requests.get()
        try:
            found: Array = request.infer(list(inputs))[0]
            return found
        finally:
            self._requests.put(request)


def _verify(array: Array, shape: Sequence[int]) -> None:
    """OpenVINO 2026.4 with one stream does not look, and answers what it answered before."""
    alike = [wanted in (-1, size) for wanted, size in zip(shape, array.shape, strict=False)]
    if array.ndim != len(shape) or not all(alike):
        raise RuntimeError(f"an input is {array.shape}, must be {tuple(shape)} (-1: any)")
