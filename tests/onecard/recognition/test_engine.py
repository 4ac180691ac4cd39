"""Requests as tensors and back, and how many of them run at a time."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from onecard.contract import trtllm
from onecard.recognition import engine as decoding
from onecard.recognition.engine import Decode, Decoded
from tests.waiting import PATIENCE_S

FEATURES = np.zeros((3_000, 80), np.float16)
END = 50_257
NUMPY = {
    "TYPE_BOOL": np.bool_, "TYPE_FP16": np.float16, "TYPE_FP32": np.float32,
    "TYPE_INT32": np.int32, "TYPE_UINT64": np.uint64,
}  # fmt: skip


def ask(**changes) -> Decode:
    return Decode(**{"features": FEATURES, "prompt": (50_258, 3), "max_new_tokens": 9, **changes})


@pytest.mark.parametrize(
    "request_",
    [ask(), ask(beam_size=5, suppressed=(1, 2, 7), min_tokens=1), ask(temperature=0.4, seed=3)],
)
def test_tensors_are_of_the_contract(request_: Decode) -> None:
    known = {tensor.name: tensor for tensor in trtllm.INPUTS}
    tensors = decoding.to_tensors(request_, END)
    for name, value in tensors.items():
        assert value.dtype == NUMPY[known[name].dtype], name
        dims = known[name].dims
        assert len(dims) == value.ndim, name
        assert all(dim in (-1, size) for dim, size in zip(dims, value.shape, strict=True)), name
    required = {tensor.name for tensor in trtllm.INPUTS if not tensor.optional}
    assert required <= set(tensors)
    assert tensors["encoder_output_lengths"] == [1_500]


def test_single_tokens_as_a_list_of_words() -> None:
    words = decoding.to_tensors(ask(suppressed=(5, 8)), END)["bad_words_list"]
    assert words.tolist() == [[5, 8], [1, 2]]


def test_sampling_takes_no_beam_and_the_whole_vocabulary() -> None:
    tensors = decoding.to_tensors(ask(beam_size=5, temperature=0.5, seed=2), END)
    assert tensors["beam_width"] == [1]
    assert (tensors["runtime_top_k"], tensors["runtime_top_p"]) == ([0], [1.0])
    assert "temperature" not in decoding.to_tensors(ask(beam_size=5), END)


@pytest.mark.parametrize("prompt", [[], [50_258, 3]])
@pytest.mark.parametrize("tail", [[], [END], [END, END]])
def test_the_best_beam_is_read_without_prompt_end_and_padding(prompt, tail) -> None:
    best = [*prompt, 11, 12, *tail]
    ids = np.full((1, 2, 9), trtllm.PADDING, np.int32)
    ids[0, 0, : len(best)] = best
    outputs = {
        "output_ids": ids,
        "sequence_length": np.array([[len(best), 0]], np.int32),
        "cum_log_probs": np.array([[-1.5, -2.0]], np.float32),
    }
    found = decoding.from_tensors(outputs, [50_258, 3], END)
    assert found == Decoded((11, 12), -1.5)
    assert found.avg_log_prob == -0.5  # the end counts


@pytest.mark.parametrize(("told", "wanted"), [([[0.25]], 0.25), ([[1.0000001]], 1.0), (None, None)])
def test_no_speech_is_as_probable_as_the_engine_says_if_it_does(told, wanted) -> None:
    outputs = {
        "output_ids": np.array([[[11, 12]]], np.int32),
        "sequence_length": np.array([[2]], np.int32),
        "cum_log_probs": np.array([[-1.5]], np.float32),
    }
    if told is not None:
        outputs["no_speech_prob"] = np.array(told, np.float32)
    assert decoding.from_tensors(outputs, [], END).no_speech_prob == wanted


def test_what_nvidias_backend_does_not_have_is_not_asked_of_it() -> None:
    declared = {tensor.name for tensor in trtllm.OUTPUTS}
    assert set(decoding.outputs("tensorrtllm")) <= declared
    assert set(decoding.outputs("ctranslate2")) - declared == {"no_speech_prob"}


@pytest.mark.parametrize("log_prob", [-np.inf, np.nan, np.inf])
def test_what_half_precision_has_no_number_for_is_a_number_and_fails_thresholds(log_prob) -> None:
    outputs = {
        "output_ids": np.array([[[11, 12]]], np.int32),
        "sequence_length": np.array([[2]], np.int32),
        "cum_log_probs": np.array([[log_prob]], np.float32),
    }
    found = decoding.from_tensors(outputs, [], END)
    assert -20 < found.avg_log_prob < -10


def test_answers_come_in_order_and_no_more_run_than_may() -> None:
    lock = threading.Lock()
    running = highest = 0
    gate = threading.Barrier(3, timeout=PATIENCE_S)  # three have to be in flight together to pass

    def decode(request: Decode) -> Decoded:
        nonlocal running, highest
        with lock:
            running += 1
            highest = max(highest, running)
        gate.wait()
        with lock:
            running -= 1
        if request.max_new_tokens == 4:
            raise RuntimeError("broken")
        return Decoded((request.max_new_tokens,), 0.0)

    made = 0

    def requests() -> Iterator[Decode]:
        nonlocal made
        for made in range(1, 10):
            yield ask(max_new_tokens=made)

    with ThreadPoolExecutor(8) as pool:
        engine = decoding.in_flight(decode, pool, 3)
        answers = engine(requests())
        first = next(answers)
        assert made < 9  # requests are made when they are needed
        answers = [first, *answers]
    assert highest == 3
    assert [a.tokens for a in answers if isinstance(a, Decoded)] == [
        (n,) for n in range(1, 10) if n != 4
    ]
    assert str(answers[3]) == "broken"
