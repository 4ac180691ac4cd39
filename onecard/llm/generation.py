"""One generation: what the language model is asked, what it answers, and both as its tensors."""

from __future__ import annotations

import math
import secrets
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from onecard.contract import trtllm
from onecard.errors import InvalidRequest, Unavailable
from onecard.guides.guide import Guide
from onecard.guides.workshop import FULL as GUIDES_FULL

Array = npt.NDArray[Any]

MAX_SEED = 2**64 - 1
NEVER_LOG_PROB = -9999.0
# What a full queue says, NVIDIA's executor's and Triton's own; and what a useless guide does.
_FULL = (trtllm.QUEUE_FULL.split("{}")[0], "Exceeds maximum queue size", GUIDES_FULL)
_UNGUIDED = ("guide", "grammar", "schema")


@dataclass(frozen=True)
class Generation:
    """A request to the engine. `temperature` 0 is greedy; `top_k` 0 means the whole vocabulary.

    `end_ids`: any of them ends the generation, and may be its last token.
    `seed`: without one, each request draws its own.
    `biases`: added to the logits of tokens, by their ids; `vocab_size` tokens have one.
    """

    prompt_ids: Sequence[int]
    max_tokens: int
    end_ids: Sequence[int]
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    seed: int | None = None
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    min_tokens: int = 0
    guide: Guide | None = None
    logprobs: bool = False
    biases: Mapping[int, float] = field(default_factory=dict)
    vocab_size: int = 0


@dataclass(frozen=True)
class Piece:
    """The next tokens of an answer; `log_probs`, where they were asked for, one a token."""

    ids: tuple[int, ...]
    log_probs: tuple[float, ...] = ()


class Llm(Protocol):
    """The engine as one request sees it."""

    def stream(self, generation: Generation) -> Generator[Piece, None, None]:
        """The answer as it comes; closing the generator ends the request in the engine.

        Raises:
            InvalidRequest: the engine cannot follow the request.
            Unavailable: it is overloaded, or being loaded again.
            Cancelled: the caller is gone, or has no time left.
        """


def outputs(generation: Generation) -> tuple[str, ...]:
    """The tensors to ask for."""
    wanted = trtllm.REQUIRED_OUTPUTS
    return (*wanted, "output_log_probs") if generation.logprobs else wanted


def to_tensors(generation: Generation) -> dict[str, Array]:
    """The engine's input tensors, without their batch dimension.

    What would change nothing is left out, so that an engine need not know it.
    """
    first_end = generation.end_ids[0]
    integers = {
        "input_lengths": len(generation.prompt_ids),
        "request_output_len": generation.max_tokens,
        "end_id": first_end,
        "pad_id": first_end,
    }
    tensors: dict[str, Array] = {
        "input_ids": np.array(generation.prompt_ids, np.int32),
        "streaming": np.array([True]),
        **{name: np.array([value], np.int32) for name, value in integers.items()},
    }
    if len(generation.end_ids) > 1:
        tensors["stop_words_list"] = _words(generation.end_ids[1:])
    if generation.min_tokens:
        tensors["min_tokens"] = np.array([generation.min_tokens], np.int32)
    if generation.biases:
        tensors["embedding_bias"] = _biases(generation)
    if generation.logprobs:
        tensors["return_log_probs"] = np.array([True])
    return tensors | _sampling(generation) | _penalties(generation) | _guide(generation.guide)


def stop_tensors(generation: Generation) -> dict[str, Array]:
    """The tensors that end `generation`, to be sent with the id of its first request."""
    wanted = ("input_ids", "input_lengths", "request_output_len")
    found = {name: value for name, value in to_tensors(generation).items() if name in wanted}
    return found | {"stop": np.array([True])}


def _sampling(generation: Generation) -> dict[str, Array]:
    if generation.temperature == 0:
        return {"runtime_top_k": np.array([1], np.int32)}
    # NVIDIA's executor gives every request without a seed the same one.
    seed = secrets.randbits(64) if generation.seed is None else generation.seed
    return {
        "temperature": np.array([generation.temperature], np.float32),
        "runtime_top_k": np.array([generation.top_k], np.int32),
        "runtime_top_p": np.array([generation.top_p], np.float32),
        "seed": np.array([seed], np.uint64),
    }


def _penalties(generation: Generation) -> dict[str, Array]:
    neutral = {"repetition_penalty": 1.0, "presence_penalty": 0.0, "frequency_penalty": 0.0}
    found = {name: getattr(generation, name) for name in neutral}
    return {
        name: np.array([value], np.float32)
        for name, value in found.items()
        if value != neutral[name]
    }


def _guide(guide: Guide | None) -> dict[str, Array]:
    if guide is None:
        return {}
    texts: dict[str, str] = {"guided_decoding_guide_type": guide.kind}
    if guide.kind != "json":
        texts["guided_decoding_guide"] = guide.text
    return {name: np.array([text.encode()], np.object_) for name, text in texts.items()}


def _biases(generation: Generation) -> Array:
    """One number for each token of the vocabulary, FP32 [vocab_size]."""
    found = np.zeros(generation.vocab_size, np.float32)
    found[list(generation.biases)] = list(generation.biases.values())
    return found


def _words(tokens: Sequence[int]) -> Array:
    """NVIDIA's list of words [2, n]: one token each, and where each word ends."""
    return np.array([tokens, np.arange(1, len(tokens) + 1)], np.int32)


def from_tensors(tensors: Mapping[str, Array]) -> Piece:
    """The piece in one response, with or without the batch dimension; the last may be empty."""
    if "output_ids" not in tensors:
        return Piece(())
    num_tokens = int(tensors["sequence_length"].reshape(-1)[0])
    ids = tensors["output_ids"].reshape(-1)[:num_tokens].tolist()
    log_probs = tensors.get("output_log_probs")
    if log_probs is None or not ids:
        return Piece(tuple(ids))
    # Of the new tokens; an engine that repeats those of all before has them at the end.
    found_log_probs = log_probs.reshape(-1)[-len(ids) :].tolist()
    return Piece(tuple(ids), tuple(_finite(log_prob) for log_prob in found_log_probs))


def _finite(log_prob: float) -> float:
    """OpenAI's number for a token of no probability, which JSON has no word for."""
    return log_prob if math.isfinite(log_prob) else NEVER_LOG_PROB


def explained(error: Exception, generation: Generation) -> Exception:
    """`error`, as what it means to the caller where the engine's words tell.

    Engines give every error the same code, so there is nothing else to go by.
    """
    message = str(error)
    if any(sign in message for sign in _FULL):
        return Unavailable(f"the language model is busy ({message}); try again later")
    if generation.guide is not None and any(sign in message.lower() for sign in _UNGUIDED):
        return InvalidRequest(
            f"the engine cannot follow the `{generation.guide.kind}` that the answer is to have; "
            f"change it. It says: {message}"
        )
    return error
