"""What the CPU engine takes of a decoder-only request, and what it says to the rest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from onecard.contract import trtllm
from tensorrtllm_cpu.contract.refusal import INVALID_ARG, ExecutorRefusal, Refusal, unsupported
from tensorrtllm_cpu.contract.request import Request
from tensorrtllm_cpu.contract.settings import Settings
from tensorrtllm_cpu.llm import guides
from tensorrtllm_cpu.llm.model import DecoderModel

HONOURED = frozenset(
    {
        "bad_words_list",
        "embedding_bias",
        "end_id",
        "exclude_input_in_output",
        "frequency_penalty",
        "guided_decoding_guide",
        "guided_decoding_guide_type",
        "input_ids",
        "input_lengths",
        "min_tokens",
        "pad_id",
        "presence_penalty",
        "repetition_penalty",
        "request_output_len",
        "return_log_probs",
        "return_num_input_tokens",
        "return_num_output_tokens",
        "runtime_top_k",
        "runtime_top_p",
        "seed",
        "stop",
        "stop_words_list",
        "streaming",
        "temperature",
    }
)
NEUTRAL: Mapping[str, float] = {
    "beam_search_diversity_rate": 0,
    "beam_width": 1,
    "len_penalty": 0,
    "num_return_sequences": 1,
    "return_context_logits": False,
    "return_generation_logits": False,
    "return_perf_metrics": False,
    "runtime_top_p_decay": 1,
}


@dataclass(frozen=True)
class Limits:
    """Lengths in tokens. `max_kv_tokens`: what the KV cache holds of all sequences together."""

    vocab_size: int
    max_seq_len: int
    max_kv_tokens: int
    is_guided: bool

    @classmethod
    def of(cls, settings: Settings, model: DecoderModel) -> Limits:
        """The model's limits, narrowed by the configuration's.

        The attention window does not slide here: a shorter one is the longest sequence. NVIDIA's
        backend, too, shortens the longest sequence to what the cache can hold.
        """
        caps = (model.max_positions, settings.max_attention_window, settings.kv_capacity)
        return cls(
            vocab_size=model.vocab_size,
            max_seq_len=min(cap for cap in caps if cap is not None),
            max_kv_tokens=settings.kv_capacity,
            is_guided=settings.tokenizer_info is not None,
        )


@dataclass(frozen=True, eq=False)
class Job:
    """A request that the engine can run; `num_new_tokens` after clamping."""

    request: Request
    num_new_tokens: int

    @property
    def num_kv_tokens(self) -> int:
        """The most that it will ever need in the cache."""
        return len(self.request.prompt) + self.num_new_tokens


def admit(request: Request, limits: Limits) -> Job:
    """The request as a job, after NVIDIA's checks in NVIDIA's order, then the engine's own.

    `request_output_len` beyond the longest sequence is cut, as NVIDIA's backend does.

    Raises:
        Refusal: the request exceeds a limit or asks for what the engine cannot do.
    """
    if request.num_new_tokens < 1:
        raise Refusal(f"`request_output_len` is `{request.num_new_tokens}`, must be at least 1")
    if request.end_id is not None and not -1 <= request.end_id < limits.vocab_size:
        text = trtllm.END_ID_OUT_OF_RANGE.format(request.end_id, limits.vocab_size)
        raise ExecutorRefusal(text)
    num_prompt = len(request.prompt)
    if num_prompt == 0:
        raise Refusal("`input_ids` is empty, must hold at least 1 token; send a prompt")
    if num_prompt > limits.max_seq_len - 1:
        text = trtllm.PROMPT_TOO_LONG.format(num_prompt, limits.max_seq_len - 1)
        raise ExecutorRefusal(trtllm.REFUSED.format(text))
    _verify_ids(request, limits.vocab_size)
    if request.guide is not None:
        guides.verify(request.guide, limits.is_guided)
    return Job(request, min(request.num_new_tokens, limits.max_seq_len - num_prompt))


def _verify_ids(request: Request, vocab_size: int) -> None:
    """Tokens outside the vocabulary would be read from somewhere else in memory."""
    lists = {
        "input_ids": request.prompt,
        "bad_words_list": [token for word in request.bad_words for token in word],
        "stop_words_list": [token for word in request.stop_words for token in word],
    }
    for name, ids in lists.items():
        found = np.asarray(ids, np.int64)
        outside = found[(found < 0) | (found >= vocab_size)]
        if outside.size:
            raise Refusal(
                f"`{name}` holds `{outside[0]}`, must lie in [0, {vocab_size}); use this model's "
                "own tokenizer",
                INVALID_ARG,
            )
    bias = request.embedding_bias
    if bias is not None and (len(bias) != vocab_size or not (bias < np.inf).all()):
        wanted = f"send {vocab_size} numbers, one for each token"
        raise unsupported("embedding_bias", f"[{len(bias)}]", wanted)
