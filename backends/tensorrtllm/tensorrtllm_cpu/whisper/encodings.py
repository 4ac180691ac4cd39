"""Encoder outputs by the audio they are of.

Encoding takes about two thirds of a request's time, and the same audio comes several times: to
detect the language, to transcribe, and at each temperature of the fallback.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable

import ctranslate2
import numpy as np

from tensorrtllm_cpu.contract.request import Array


class Encodings:
    """The `capacity` most recent encoder outputs, each [positions, d_model] FP32. Thread-safe."""

    def __init__(
        self,
        encode: Callable[[ctranslate2.StorageView], ctranslate2.StorageView],
        capacity: int,
    ) -> None:
        self._encode = encode
        self._capacity = capacity
        self._kept: OrderedDict[bytes, Array] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, features: Array) -> Array:
        """The encoder output for `features` [n_mels, frames] FP32, contiguous."""
        key = hashlib.blake2b(features.data, digest_size=16).digest()
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        view = ctranslate2.StorageView.from_array(features[np.newaxis])
        made: Array = np.array(self._encode(view))[0]
        with self._lock:
            self._kept[key] = made
            if len(self._kept) > self._capacity:
                self._kept.popitem(last=False)
        return made
