"""One decoding of one chunk: what the engine is asked, what it answers, and both as its tensors.

What to ask for, and what to make of the answer, is `onecard.recognition`'s.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from onecard.contract import trtllm
from onecard.whisper.mel import Features

TENSORRT_LLM = trtllm.BACKEND
# Whisper's encoder halves the frames (its second convolution has stride 2).
_FRAMES_PER_STATE = 2
# NVIDIA's sampling kernel adds up logs of probabilities in the precision of the logits, and in half
# a probability below 6e-8 is 0 (cpp/tensorrt_llm/kernels/samplingTopPKernels.cu, `epilogue`).
# Its log, minus infinity, is no JSON; the least that half can tell, for each token, fails as well.
LEAST_LOG_PROB = math.log(2.0**-24)


@dataclass(frozen=True)
class Decode:
    """A request to the engine. `temperature` 0 searches with a beam; above, one sample is drawn."""

    features: Features  # [frames, num_mels]
    prompt: Sequence[int]
    max_new_tokens: int
    beam_size: int = 1
    length_penalty: float = 1.0
    repetition_penalty: float = 1.0
    temperature: float = 0.0
    seed: int = 0
    suppressed: Sequence[int] = ()
    min_tokens: int = 0
    patience: float = 1.0
    no_repeat_ngram_size: int = 0


@dataclass(frozen=True)
class Decoded:
    """The engine's best answer: tokens without prompt and end, and the log-probability of them all.

    The end token counts in `log_prob` where it was reached. `no_speech_prob` is that of the first
    token, over the whole vocabulary; None where the engine does not tell.
    """

    tokens: tuple[int, ...]
    log_prob: float
    no_speech_prob: float | None = None

    @property
    def avg_log_prob(self) -> float:
        """Per token, the end included (openai/whisper, whisper/decoding.py)."""
        return self.log_prob / (len(self.tokens) + 1)


Answer = Decoded | Exception
# Requests in, answers in the same order; a request that failed has its exception for an answer.
Engine = Callable[[Iterable[Decode]], Iterator[Answer]]


def in_flight(decode: Callable[[Decode], Decoded], pool: Executor, max_in_flight: int) -> Engine:
    """An engine that has up to `max_in_flight` requests of one caller running in `pool`.

    Requests are made as they are needed, so that no more features than that are held.
    """

    def engine(requests: Iterable[Decode]) -> Iterator[Answer]:
        running: deque[Future[Decoded]] = deque()
        try:
            for request in requests:
                running.append(pool.submit(decode, request))
                while _num_busy(running) >= max_in_flight:
                    wait([future for future in running if not future.done()], None, FIRST_COMPLETED)
                while running and running[0].done():
                    yield _answer(running.popleft())
            while running:
                yield _answer(running.popleft())
        finally:  # the caller gave up: what has not begun need not
            for future in running:
                future.cancel()

    return engine


def _num_busy(futures: Iterable[Future[Decoded]]) -> int:
    return sum(not future.done() for future in futures)


def _answer(future: Future[Decoded]) -> Answer:
    """The outcome of a call: its value, or the exception that it raised."""
    error = future.exception()
    return error if isinstance(error, Exception) else future.result()


def outputs(engine_backend: str) -> tuple[str, ...]:
    """The engine's output tensors to ask for; NVIDIA's cannot tell the probability of no speech.

    It is the first step's, of which NVIDIA's has logits only if they are gathered for the whole
    prompt: engines would be built for that, and 0.2 MB a token would be copied.
    """
    known = ("output_ids", "sequence_length", "cum_log_probs")
    return known if engine_backend == TENSORRT_LLM else (*known, trtllm.NO_SPEECH_PROB.name)


def to_tensors(request: Decode, end: int) -> dict[str, npt.NDArray[Any]]:
    """The engine's input tensors, without their batch dimension."""
    num_frames = len(request.features)
    scalars = {
        "input_lengths": num_frames,
        "encoder_output_lengths": num_frames // _FRAMES_PER_STATE,
        "request_output_len": request.max_new_tokens,
        "end_id": end,
        "pad_id": end,
        "beam_width": 1 if request.temperature > 0 else request.beam_size,
    }
    tensors: dict[str, npt.NDArray[Any]] = {
        name: np.array([value], np.int32) for name, value in scalars.items()
    }
    tensors["encoder_input_features"] = request.features
    tensors["decoder_input_ids"] = np.array(request.prompt, np.int32)
    tensors["len_penalty"] = np.array([request.length_penalty], np.float32)
    tensors["repetition_penalty"] = np.array([request.repetition_penalty], np.float32)
    tensors["return_log_probs"] = np.array([True])
    if request.patience != 1 and request.temperature == 0:
        tensors[trtllm.PATIENCE.name] = np.array([request.patience], np.float32)
    if request.no_repeat_ngram_size:
        size = np.array([request.no_repeat_ngram_size], np.int32)
        tensors[trtllm.NO_REPEAT_NGRAM_SIZE.name] = size
    if request.min_tokens:
        tensors["min_tokens"] = np.array([request.min_tokens], np.int32)
    if request.suppressed:
        tensors["bad_words_list"] = _words(request.suppressed)
    if request.temperature > 0:
        tensors["temperature"] = np.array([request.temperature], np.float32)
        # Both at 0 would mean greedy: sample from the whole distribution.
        tensors["runtime_top_k"] = np.array([0], np.int32)
        tensors["runtime_top_p"] = np.array([1.0], np.float32)
        tensors["seed"] = np.array([request.seed], np.uint64)
    return tensors


def _words(tokens: Sequence[int]) -> npt.NDArray[np.int32]:
    """NVIDIA's list of words [2, n]: their tokens one after the other, and where each word ends."""
    return np.array([tokens, np.arange(1, len(tokens) + 1)], np.int32)


def from_tensors(
    outputs: Mapping[str, npt.NDArray[Any]], prompt: Sequence[int], end: int
) -> Decoded:
    """The best beam of the engine's output tensors, with or without their batch dimension.

    The prompt is taken off where the engine repeats it, which `exclude_input_in_output` decides.
    """
    ids = outputs["output_ids"]
    row = ids.reshape(-1, ids.shape[-1])[0]
    length = int(outputs["sequence_length"].reshape(-1)[0])
    tokens = [int(token) for token in row[:length]]
    if tokens[: len(prompt)] == list(prompt):
        tokens = tokens[len(prompt) :]
    if end in tokens:
        tokens = tokens[: tokens.index(end)]
    log_prob = float(outputs["cum_log_probs"].reshape(-1)[0])
    if not math.isfinite(log_prob):
        log_prob = LEAST_LOG_PROB * (len(tokens) + 1)
    silence = outputs.get(trtllm.NO_SPEECH_PROB.name)
    return Decoded(
        tuple(tokens),
        log_prob,
        None if silence is None else min(1.0, float(silence.reshape(-1)[0])),
    )
