"""Guided decoding: which tokens a JSON schema, a regular expression or a grammar lets through next.

xgrammar is what NVIDIA's backend guides with, and both read the same tokenizer facts
(`xgrammar_tokenizer_info_path`, the file of NVIDIA's generate_xgrammar_tokenizer_info.py).
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import xgrammar

from onecard.contract import trtllm
from onecard.errors import InvalidRequest
from onecard.guides import library
from onecard.guides.workshop import Limits, Work, Workshop
from tensorrtllm_cpu.contract.refusal import INVALID_ARG, ExecutorRefusal, Refusal
from tensorrtllm_cpu.contract.request import Array, GuideText
from tensorrtllm_cpu.contract.settings import SettingsError

# Of compiled guides; those that nobody asked for longest go first. A guide takes about what it is
# long when serialized.
MAX_KEPT_BYTES = 128 * 2**20
LIMITS = Limits(max_guide_bytes=MAX_KEPT_BYTES)  # of each guide: one that would be kept alone
LANES = (("ebnf_grammar",), ("json", "json_schema", "regex"))


class Guide:
    """What one request may generate next."""

    def __init__(self, compiled: Any, vocab_size: int) -> None:
        self._matcher = xgrammar.GrammarMatcher(compiled)
        self._bits = np.zeros((1, -(-vocab_size // 32)), np.int32)
        self._vocab_size = vocab_size

    def mask(self, scores: Array) -> None:
        """Rule out, in place, the tokens that cannot follow. `scores` [vocab_size]."""
        self._matcher.fill_next_token_bitmask(self._bits)
        allowed = np.unpackbits(self._bits.view(np.uint8)[0], bitorder="little")
        scores[allowed[: self._vocab_size] == 0] = -np.inf

    def accept(self, token: int) -> None:
        self._matcher.accept_token(token)

    @property
    def is_complete(self) -> bool:
        """Whether nothing can follow any more."""
        return bool(self._matcher.is_terminated())


class Guides:
    """Compiles guides for one model, in processes with limits; what was compiled is kept a while.

    Grammars have a lane of their own, and JSON schemas and regular expressions another: triage
    sends the former and strangers, through `chat`, the latter.
    """

    def __init__(
        self,
        tokenizer_info: Path,
        vocab_size: int,
        num_threads: int,
        max_kept_bytes: int = MAX_KEPT_BYTES,
    ) -> None:
        """Raises SettingsError where the tokenizer's facts are missing or of another vocabulary."""
        try:
            self._info = library.tokenizer_info(xgrammar, tokenizer_info, vocab_size)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise SettingsError(
                f"`xgrammar_tokenizer_info_path` is `{tokenizer_info}`, which cannot be used "
                f"({error!r}); make the engine again: `make engines`"
            ) from error
        self._vocab_size = vocab_size
        self._max_kept_bytes = max_kept_bytes
        self._kept: OrderedDict[GuideText, tuple[Any, int]] = OrderedDict()  # and its bytes
        self._lock = threading.Lock()
        work = Work(str(tokenizer_info), vocab_size, num_threads=num_threads)
        self._workshops = [Workshop(work, LIMITS, serialized=True) for _ in LANES]
        self._pools = [ThreadPoolExecutor(1, f"guides of {lane}") for lane in LANES]
        for workshop in self._workshops:
            workshop.start()

    def submit(self, guide: GuideText, check: Callable[[], None]) -> Future[Guide]:
        """A guide for one request, in its lane; its work ends when `check` raises."""
        return self._pools[_lane(guide)].submit(self.compile, guide, check)

    def compile(self, guide: GuideText, check: Callable[[], None] = lambda: None) -> Guide:
        """A guide for one request; seconds for a large grammar that is new.

        Raises:
            ExecutorRefusal: the text is not of the guide's type, or goes beyond a limit.
        """
        check()
        try:
            compiled = self._known(guide) or self._made(guide, check)
            return Guide(compiled, self._vocab_size)
        except (InvalidRequest, RuntimeError) as error:
            raise ExecutorRefusal(
                f"the `guided_decoding_guide` is no `{guide.kind}` that can be followed: {error}",
                INVALID_ARG,
            ) from error

    def close(self) -> None:
        """End the processes; what is being compiled is given up."""
        for workshop, pool in zip(self._workshops, self._pools, strict=True):
            pool.shutdown(wait=False, cancel_futures=True)
            workshop.close()

    def _known(self, guide: GuideText) -> Any:
        with self._lock:
            if guide not in self._kept:
                return None
            self._kept.move_to_end(guide)
            return self._kept[guide][0]

    def _made(self, guide: GuideText, check: Callable[[], None]) -> Any:
        made = self._workshops[_lane(guide)].made(guide.kind, guide.text, check)
        compiled = xgrammar.CompiledGrammar.deserialize_json(made.serialized, self._info)
        with self._lock:
            self._kept[guide] = compiled, made.num_bytes
            while sum(size for _, size in self._kept.values()) > self._max_kept_bytes:
                self._kept.popitem(last=False)
        return compiled


def _lane(guide: GuideText) -> int:
    """The place in LANES of those that wait for each other; of an unknown kind, the strangers'."""
    return int(guide.kind not in LANES[0])


def verify(guide: GuideText, is_set_up: bool) -> None:
    """What NVIDIA's executor says to a guide, and to a type it does not know (there: nothing).

    Raises:
        Refusal: the guide cannot be used on this model.
    """
    if guide.kind not in trtllm.GUIDE_TYPES:
        raise Refusal(
            f"`guided_decoding_guide_type` is `{guide.kind}`, must be one of "
            f"{', '.join(trtllm.GUIDE_TYPES)}; send one of them",
            INVALID_ARG,
        )
    if not guide.text and guide.kind != "json":
        raise Refusal(trtllm.GUIDE_MISSING)
    if not is_set_up:
        raise ExecutorRefusal(trtllm.GUIDES_NOT_SET_UP)
