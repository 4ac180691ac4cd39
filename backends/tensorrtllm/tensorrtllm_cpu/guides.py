"""Guided decoding: which tokens a JSON schema, a regular expression or a grammar lets through next.

It knows xgrammar, which is what NVIDIA's backend guides with, and the tokenizer facts that both
read (`xgrammar_tokenizer_info_path`, the file of NVIDIA's generate_xgrammar_tokenizer_info.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xgrammar

from onecard import trtllm
from tensorrtllm_cpu.refusal import INVALID_ARG, ExecutorRefusal, Refusal
from tensorrtllm_cpu.request import Array, GuideText
from tensorrtllm_cpu.settings import SettingsError

# NVIDIA's backend leaves it to the model how much white space it puts into the JSON of a schema.
# Here it is one character at most in a place: small models otherwise never leave it.
MAX_WHITESPACE = 1


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
    """Compiles guides for one model; what was compiled once is kept."""

    def __init__(self, tokenizer_info: Path, vocab_size: int, num_threads: int) -> None:
        """Raises SettingsError where the tokenizer's facts are missing or of another vocabulary."""
        try:
            facts = json.loads(tokenizer_info.read_text(encoding="utf-8"))
            info = _tokenizer_info(facts, vocab_size)
        except (OSError, ValueError, KeyError, TypeError, RuntimeError) as error:
            raise SettingsError(
                f"`xgrammar_tokenizer_info_path` is `{tokenizer_info}`, which cannot be used "
                f"({error!r}); make the engine again: `make engines`"
            ) from error
        self._vocab_size = vocab_size
        self._compiler = xgrammar.GrammarCompiler(info, max_threads=num_threads)

    def compile(self, guide: GuideText) -> Guide:
        """A guide for one request; seconds for a large grammar that is new.

        Raises:
            ExecutorRefusal: the text is not of the guide's type.
        """
        compilers = {
            "json": lambda _: self._compiler.compile_builtin_json_grammar(),
            "json_schema": lambda text: self._compiler.compile_json_schema(
                text, max_whitespace_cnt=MAX_WHITESPACE
            ),
            "regex": self._compiler.compile_regex,
            "ebnf_grammar": self._compiler.compile_grammar,
        }
        try:
            compiled = compilers[guide.kind](guide.text)
            return Guide(compiled, self._vocab_size)
        except Exception as error:  # xgrammar raises RuntimeError, ValueError and its own kinds
            reason = str(error).strip().splitlines()
            raise ExecutorRefusal(
                f"the `guided_decoding_guide` is not a `{guide.kind}` that can be followed "
                f"({reason[0] if reason else error!r}); mend it",
                INVALID_ARG,
            ) from error


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


def _tokenizer_info(facts: Mapping[str, Any], vocab_size: int) -> xgrammar.TokenizerInfo:
    metadata = xgrammar.TokenizerInfo._detect_metadata_from_hf(facts["tokenizer_str"])
    return xgrammar.TokenizerInfo(
        facts["encoded_vocab"],
        vocab_type=metadata["vocab_type"],
        vocab_size=vocab_size,
        stop_token_ids=facts["stop_token_ids"],
        add_prefix_space=metadata["add_prefix_space"],
    )
