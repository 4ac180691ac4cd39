"""What an engine generated, and the tensors that say so: the writing half of the contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from onecard.contract import trtllm
from tensorrtllm_cpu.contract.request import Array, Request


@dataclass(frozen=True)
class Answer:
    """One request's generated tokens, best beam first.

    `sequences` hold new tokens only, without the end token. `cum_log_probs` [beams] count the end
    token, as NVIDIA's do. `token_log_probs` has one list a beam; `logits` [beams, steps, vocab].
    `no_speech_prob` is the probability of <|nospeech|> right behind the start token.
    """

    sequences: tuple[tuple[int, ...], ...]
    cum_log_probs: tuple[float, ...]
    token_log_probs: tuple[tuple[float, ...], ...] | None = None
    logits: Array | None = None
    no_speech_prob: float | None = None


def outputs(answer: Answer, request: Request) -> dict[str, Array]:
    """The output tensors, without the batch dimension, that `request` asked for.

    Returns:
        `output_ids` [beams, longest], `sequence_length` [beams]; further ones where asked for.
    """
    # Streamed responses carry new tokens only; others start with the prompt, unless told not to.
    prompt = () if request.exclude_input or request.streaming else request.prompt
    rows = [prompt + sequence for sequence in answer.sequences]
    found: dict[str, Array] = {
        "output_ids": padded(rows, np.int32),
        "sequence_length": np.array([len(row) for row in rows], dtype=np.int32),
    }
    if request.return_log_probs:
        found["cum_log_probs"] = np.array(answer.cum_log_probs, dtype=np.float32)
        if answer.token_log_probs is not None:
            found["output_log_probs"] = padded(answer.token_log_probs, np.float32)
    if request.return_generation_logits and answer.logits is not None:
        found["generation_logits"] = answer.logits.astype(np.float32, copy=False)
    if answer.no_speech_prob is not None:
        name = trtllm.NO_SPEECH_PROB.name
        found[name] = np.array([answer.no_speech_prob], dtype=np.float32)
    if request.return_num_input_tokens:
        found["num_input_tokens"] = np.array([len(request.prompt)], dtype=np.int32)
    if request.return_num_output_tokens:
        num_tokens = sum(len(sequence) for sequence in answer.sequences)
        found["num_output_tokens"] = np.array([num_tokens], dtype=np.int32)
    return {name: value for name, value in found.items() if name in request.output_names}


def nothing(request: Request) -> dict[str, Array]:
    """The outputs of a request that was stopped: no tokens."""
    return outputs(Answer(((),) * request.sampling.num_return_beams, ()), request)


def padded(rows: Sequence[Sequence[Any]], dtype: Any) -> Array:
    """Rows of different lengths as one array, filled up with the contract's padding."""
    longest = max((len(row) for row in rows), default=0)
    array = np.full((len(rows), longest), trtllm.PADDING, dtype=dtype)
    for index, row in enumerate(rows):
        array[index, : len(row)] = row
    return array
