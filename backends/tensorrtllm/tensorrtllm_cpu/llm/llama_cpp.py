"""A decoder-only model on llama.cpp: any GGUF, and on the GPU where the library has one.

The library is no dependency: it is imported when a model that needs it is loaded.

llama.cpp rounds what goes into a product to 8 bits, and the order of its sums depends on who else
is in a step and on which cells of the cache are free. So a seed repeats when a request runs alone;
in company a close choice may fall otherwise.
"""

from __future__ import annotations

import ctypes
import os
import sys
import weakref
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from onecard import manifest
from tensorrtllm_cpu.contract.request import Array
from tensorrtllm_cpu.contract.settings import SettingsError
from tensorrtllm_cpu.llm.model import Facts, Slice

INSTALL = ".venv/bin/pip install llama-cpp-python==0.3.36"
CUDA = "CMAKE_ARGS=-DGGML_CUDA=on"  # before INSTALL, for a build that computes on the GPU
ALL_LAYERS = -1
LOG_LEVEL_ERROR = 4  # ggml.h
# What llama_decode returns other than 0 (llama.h).
FAILURES = {
    1: "the KV cache has no room for them; send less, or raise `max_tokens_in_paged_kv_cache`",
    2: "it was told to abort",
    -1: "a token, a slot or `past` is not a valid one",
}


class LlamaModel:
    """`DecoderModel` of a GGUF."""

    tokens_per_block = 1  # llama.cpp hands its cache out in single cells

    def __init__(
        self,
        directory: Path,
        max_slots: int,
        max_kv_tokens: int,
        max_step_tokens: int,
        num_threads: int,
    ) -> None:
        """Load `directory`/model.gguf and set its cache up.

        Raises:
            SettingsError: the library is not there, or it cannot load the model.
        """
        self._llama = _library(directory)
        facts = Facts.read(directory)
        self.max_positions = facts.max_position_embeddings
        # Keys and values, 2 bytes a number.
        self.kv_bytes_per_token = (
            2 * facts.num_hidden_layers * facts.num_key_value_heads * facts.head_dim * 2
        )
        # A token of everybody, and a piece of a prompt besides.
        self._max_step_tokens = max_slots + max_step_tokens
        with ExitStack() as stack:
            self._load(stack, directory / "model.gguf")
            self._set_up(stack, max_slots, max_kv_tokens, num_threads)
            self._free = weakref.finalize(self, stack.pop_all().close)
        self.vocab_size: int = self._llama.llama_vocab_n_tokens(
            self._llama.llama_model_get_vocab(self._model)
        )
        self.description = self._describe(directory, num_threads)

    def forward(self, slices: Sequence[Slice]) -> Array:
        """As `DecoderModel.forward`.

        Raises:
            RuntimeError: llama.cpp did not run the step. The sequences of it hold what they held
                before, the others are as they were.
        """
        num_tokens = sum(len(one.tokens) for one in slices)
        if num_tokens > self._max_step_tokens:  # llama.cpp ends the process over this
            raise RuntimeError(
                f"a step has `{num_tokens}` tokens, this context takes `{self._max_step_tokens}`; "
                "run them in several"
            )
        self._batch.n_tokens = 0
        rows = [self._append(one) for one in slices]
        code = self._llama.llama_decode(self._context, self._batch)
        if code != 0:
            for one in slices:
                self._roll_back(one)
            why = FAILURES.get(code, "it failed while computing; its lines in the log say how")
            raise RuntimeError(
                f"llama.cpp refused `{num_tokens}` tokens of `{len(slices)}` sequences "
                f"with `{code}`: {why}"
            )
        logits = (self._llama.llama_get_logits_ith(self._context, row) for row in rows)
        return np.stack([np.ctypeslib.as_array(row, (self.vocab_size,)) for row in logits])

    def release(self, slot: int) -> None:
        self._llama.llama_memory_seq_rm(self._memory, slot, -1, -1)

    def close(self) -> None:
        """Free the model and the cache now, not when the garbage is collected. No call after it."""
        self._free()

    def _append(self, slice_: Slice) -> int:
        """Add the slice to the batch; which row of it the logits are wanted of."""
        batch = self._batch
        for position, token in enumerate(slice_.tokens, start=slice_.past):
            row = batch.n_tokens
            batch.token[row] = token
            batch.pos[row] = position
            batch.n_seq_id[row] = 1
            batch.seq_id[row][0] = slice_.slot
            batch.logits[row] = False
            batch.n_tokens += 1
        last: int = batch.n_tokens - 1
        batch.logits[last] = True
        return last

    def _roll_back(self, slice_: Slice) -> None:
        """Drop what a failed step left of the slice."""
        rolled = self._llama.llama_memory_seq_rm(self._memory, slice_.slot, slice_.past, -1)
        if not rolled:  # a recurrent state has no way back but to the start
            self.release(slice_.slot)

    def _load(self, stack: ExitStack, path: Path) -> None:
        llama = self._llama
        llama.llama_backend_init()
        self._on_gpu: bool = llama.llama_supports_gpu_offload()
        options = llama.llama_model_default_params()
        options.n_gpu_layers = ALL_LAYERS if self._on_gpu else 0
        self._model = llama.llama_model_load_from_file(os.fsencode(path), options)
        if not self._model:
            raise SettingsError(
                f"llama.cpp cannot load `{path}` (its lines in the log say why), wanted a GGUF of "
                "a model that this release knows; make the engine again: `make engines`"
            )
        stack.callback(llama.llama_model_free, self._model)

    def _set_up(
        self, stack: ExitStack, max_slots: int, max_kv_tokens: int, num_threads: int
    ) -> None:
        llama = self._llama
        options = llama.llama_context_default_params()
        options.n_ctx = max_kv_tokens
        options.kv_unified = True  # the cells belong to whoever needs them, not a share to each
        options.n_seq_max = max_slots
        options.n_batch = self._max_step_tokens
        options.n_outputs_max = max_slots  # else memory for the logits of a whole prompt
        options.type_k = options.type_v = llama.GGML_TYPE_F16
        options.n_threads = options.n_threads_batch = num_threads
        self._context = llama.llama_init_from_model(self._model, options)
        if not self._context:
            raise SettingsError(
                f"llama.cpp cannot make a context of `{max_kv_tokens}` tokens for `{max_slots}` "
                "sequences (its lines in the log say why); lower `max_tokens_in_paged_kv_cache` "
                "or `max_batch_size`"
            )
        stack.callback(llama.llama_free, self._context)
        self._max_step_tokens = llama.llama_n_batch(self._context)
        self._memory = llama.llama_get_memory(self._context)
        self._batch = llama.llama_batch_init(self._max_step_tokens, 0, 1)
        stack.callback(llama.llama_batch_free, self._batch)

    def _describe(self, directory: Path, num_threads: int) -> str:
        llama = self._llama
        made = manifest.read(directory)
        where = "all layers on the GPU" if self._on_gpu else "no layer on a GPU"
        return (
            f"llama.cpp (llama-cpp-python {llama.__version__}), {made.model} from "
            f"{directory}, {made.precision}, {where}, {num_threads} thread(s), "
            f"KV cache {llama.llama_n_ctx(self._context)} tokens of "
            f"{self.kv_bytes_per_token} bytes"
        )


def _library(directory: Path) -> Any:
    try:
        import llama_cpp
    except ImportError as error:
        raise SettingsError(
            f"`{directory}` is for llama.cpp, and llama-cpp-python is not here ({error}); "
            f"`{INSTALL}`, for a GPU `{CUDA} {INSTALL}`"
        ) from error
    # llama-cpp-python's own filter takes errors for debugging and warnings for errors (its levels
    # are those of an older ggml.h).
    llama_cpp.llama_log_set(_LOG, None)
    return llama_cpp


def _log(level: int, text: bytes, _: None) -> None:
    if level == LOG_LEVEL_ERROR:
        sys.stderr.write(text.decode(errors="replace"))


# Of the module, because llama.cpp keeps no reference: there is one logger in a process.
_LOG = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(_log)
