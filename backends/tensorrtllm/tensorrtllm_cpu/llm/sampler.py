"""The next token of one sequence from its logits.

Every sequence has a random generator of its own, so that a seed means the same beside any company.
Sources: NVIDIA/TensorRT-LLM cpp/tensorrt_llm/kernels/penaltyKernels.cu, samplingTopPKernels.cu.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeGuard

import numpy as np

from tensorrtllm_cpu.contract.refusal import Refusal
from tensorrtllm_cpu.contract.request import Array, Request, Sampling
from tensorrtllm_cpu.llm.guides import Guide

FIRST_CANDIDATES = 1024  # as good as always enough
NEVER = np.float32(-np.inf)


class Sampler:
    """Chooses the tokens of one request, in order."""

    def __init__(self, request: Request, vocab_size: int, guide: Guide | None) -> None:
        self._request = request
        self._sampling = request.sampling
        self._guide = guide
        self._history = list(request.prompt)
        self._num_generated = 0
        # As in TensorRT-LLM, a request without a seed has the seed 0.
        self._random = np.random.Generator(np.random.Philox(self._sampling.seed or 0))
        self._counts: Array | None = None
        if _has_penalties(self._sampling):
            self._counts = np.bincount(self._history, minlength=vocab_size).astype(np.float32)

    @property
    def is_complete(self) -> bool:
        """Whether the guide lets nothing follow."""
        return self._guide is not None and self._guide.is_complete

    def next(self, logits: Array) -> tuple[int, float]:
        """The next token, and its log-probability by the model itself if the request asks for it.

        Args:
            logits: FP32 [vocab_size]; left as they are.
        """
        scores = self._scores(logits)
        if self._sampling.is_greedy:
            token = int(scores.argmax())
        else:
            token = _draw(scores, self._sampling, self._random)
        log_prob = _log_prob(logits, token) if self._request.return_log_probs else 0.0
        self._history.append(token)
        self._num_generated += 1
        if self._counts is not None:
            self._counts[token] += 1
        if self._guide is not None:
            self._guide.accept(token)
        return token, log_prob

    def _scores(self, logits: Array) -> Array:
        request, sampling = self._request, self._sampling
        scores = logits.copy()
        if request.embedding_bias is not None:
            scores += request.embedding_bias
        if not sampling.is_greedy and sampling.temperature != 1:
            scores /= np.float32(sampling.temperature)
        if self._counts is not None:
            _penalize(scores, self._counts, sampling)
        if _is_token(request.end_id) and self._num_generated < sampling.min_tokens:
            scores[request.end_id] = NEVER
        for word in request.bad_words:
            *before, last = word
            if not before or self._history[-len(before) :] == before:
                scores[last] = NEVER
        if self._guide is not None:
            self._guide.mask(scores)
        if scores.max() == NEVER:
            raise Refusal("nothing can follow: bans and guide exclude every token; loosen them")
        return scores


def _is_token(end_id: int | None) -> TypeGuard[int]:
    return end_id is not None and end_id >= 0  # -1 is how the contract spells none


def _has_penalties(sampling: Sampling) -> bool:
    penalties = (sampling.presence_penalty, sampling.frequency_penalty)
    return sampling.repetition_penalty != 1 or any(penalties)


def _penalize(scores: Array, counts: Array, sampling: Sampling) -> None:
    """In place; `counts` [vocab_size] of every token so far, the prompt's among them."""
    seen = counts > 0
    penalty = np.float32(sampling.repetition_penalty)
    if penalty != 1:
        found = scores[seen]
        scores[seen] = np.where(found < 0, found * penalty, found / penalty)
    scores[seen] -= np.float32(sampling.presence_penalty)
    scores -= np.float32(sampling.frequency_penalty) * counts


def _draw(scores: Array, sampling: Sampling, random: np.random.Generator) -> int:
    """One of the `top_k` likeliest tokens whose probabilities first add up to `top_p`.

    Candidates are in order of score, and of id where scores are equal, so that what a draw means
    does not depend on how they were found.
    """
    weights = np.exp((scores - scores.max()).astype(np.float64))
    if sampling.top_k == 0 and sampling.top_p == 1:
        candidates = np.arange(len(weights))
    elif sampling.top_k > 0:
        candidates = _likeliest(scores, sampling.top_k)
    else:
        candidates = _nucleus(scores, weights, sampling.top_p)
    cumulated = np.cumsum(weights[candidates])
    end = len(cumulated)
    if sampling.top_p < 1:
        whole = cumulated[-1] if sampling.top_k > 0 else weights.sum()
        end = min(end, int(np.searchsorted(cumulated, sampling.top_p * whole)) + 1)
    drawn = random.random() * cumulated[end - 1]
    index = int(np.searchsorted(cumulated[:end], drawn, side="right"))
    return int(candidates[min(index, end - 1)])


def _likeliest(scores: Array, count: int) -> Array:
    """The ids of the `count` highest scores, best first."""
    count = min(count, len(scores))
    lowest = np.partition(scores, -count)[-count]
    found = np.flatnonzero(scores >= lowest)  # in order of id; more where the last ones are equal
    order: Array = found[np.argsort(-scores[found], kind="stable")]
    return order[:count]


def _nucleus(scores: Array, weights: Array, top_p: float) -> Array:
    """At least the likeliest tokens that together have `top_p` of the weight, best first."""
    wanted = top_p * weights.sum()
    for count in (FIRST_CANDIDATES, len(scores)):  # sorting a whole vocabulary takes milliseconds
        candidates = _likeliest(scores, count)
        if weights[candidates].sum() >= wanted:
            break
    return candidates


def _log_prob(logits: Array, token: int) -> float:
    highest = logits.max()
    total = np.exp((logits - highest).astype(np.float64)).sum()
    return float(logits[token] - highest - np.log(total))


def ends_with(tokens: Sequence[int], words: Sequence[tuple[int, ...]]) -> bool:
    """Whether one of `words` has just been completed."""
    return any(tuple(tokens[-len(word) :]) == word for word in words)
