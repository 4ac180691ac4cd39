"""A generation as NVIDIA's tensors, and the answer back; names and types are the contract's."""

from __future__ import annotations

import numpy as np
import pytest

from onecard.contract import trtllm
from onecard.errors import InvalidRequest, Unavailable
from onecard.guides.guide import Guide
from onecard.llm import generation
from onecard.llm.generation import Generation, Piece

DTYPES = {
    "TYPE_BOOL": np.bool_,
    "TYPE_FP32": np.float32,
    "TYPE_INT32": np.int32,
    "TYPE_STRING": np.object_,
    "TYPE_UINT64": np.uint64,
}
ASKED = Generation(prompt_ids=[5, 6, 7], max_tokens=9, end_ids=[2])
EVERYTHING = Generation(
    prompt_ids=(5, 6, 7),
    max_tokens=9,
    end_ids=(2, 0, 1),
    temperature=0.5,
    top_k=4,
    top_p=0.9,
    seed=2**64 - 1,
    repetition_penalty=1.1,
    presence_penalty=0.2,
    frequency_penalty=0.3,
    min_tokens=2,
    guide=Guide("json_schema", '{"title": "é"}'),
    logprobs=True,
)


@pytest.mark.parametrize("asked", [ASKED, EVERYTHING], ids=["least", "most"])
def test_every_tensor_is_one_of_the_contract(asked):
    declared = {tensor.name: tensor for tensor in trtllm.INPUTS}
    tensors = generation.to_tensors(asked)
    for name, array in tensors.items():
        assert array.dtype == DTYPES[declared[name].dtype], name
        assert array.ndim == len(declared[name].dims), name
    assert {tensor.name for tensor in trtllm.INPUTS if not tensor.optional} <= set(tensors)
    assert set(generation.outputs(asked)) <= {tensor.name for tensor in trtllm.OUTPUTS}


def values(asked: Generation) -> dict[str, object]:
    return {name: array.tolist() for name, array in generation.to_tensors(asked).items()}


def test_greedy_asks_for_the_best_token_and_nothing_else():
    assert values(ASKED) == {
        "input_ids": [5, 6, 7],
        "input_lengths": [3],
        "request_output_len": [9],
        "end_id": [2],
        "pad_id": [2],
        "streaming": [True],
        "runtime_top_k": [1],
    }


def test_everything_that_is_asked_for_is_sent():
    found = values(EVERYTHING)
    assert found["seed"] == [2**64 - 1]
    assert found["runtime_top_k"] == [4]
    assert found["stop_words_list"] == [[0, 1], [1, 2]]
    assert found["min_tokens"] == [2]
    assert found["return_log_probs"] == [True]
    assert found["guided_decoding_guide_type"] == [b"json_schema"]
    assert found["guided_decoding_guide"] == ['{"title": "é"}'.encode()]
    floats = ("temperature", "runtime_top_p", "presence_penalty", "frequency_penalty")
    assert [found[name][0] for name in floats] == pytest.approx([0.5, 0.9, 0.2, 0.3])
    assert found["repetition_penalty"] == pytest.approx([1.1])


def test_without_a_seed_every_request_draws_its_own():
    asked = Generation(prompt_ids=[5], max_tokens=1, end_ids=[2], temperature=1.0)
    assert len({values(asked)["seed"][0] for _ in range(8)}) == 8


def test_any_json_needs_no_guide():
    asked = Generation(prompt_ids=[5], max_tokens=1, end_ids=[2], guide=Guide("json"))
    assert values(asked)["guided_decoding_guide_type"] == [b"json"]
    assert "guided_decoding_guide" not in values(asked)


def test_stopping_repeats_what_the_contract_requires():
    assert {name: array.tolist() for name, array in generation.stop_tensors(ASKED).items()} == {
        "input_ids": [5, 6, 7],
        "input_lengths": [3],
        "request_output_len": [9],
        "stop": [True],
    }


def response(ids: list[int], **more: list[float]) -> dict[str, np.ndarray]:
    arrays = {"output_ids": np.array([[ids]], np.int32), "sequence_length": np.array([[len(ids)]])}
    return arrays | {name: np.array([[row]], np.float32) for name, row in more.items()}


def test_pieces_come_with_and_without_log_probabilities():
    assert generation.from_tensors(response([4, 5])) == Piece((4, 5))
    found = generation.from_tensors(response([4, 5], output_log_probs=[-1.0, -0.5]))
    assert found == Piece((4, 5), (-1.0, -0.5))


def test_log_probabilities_are_numbers_that_json_has():
    found = generation.from_tensors(response([4, 5, 6], output_log_probs=[-np.inf, np.nan, -0.5]))
    assert found == Piece((4, 5, 6), (-9999.0, -9999.0, -0.5))


def test_log_probabilities_of_earlier_tokens_are_left_out():
    found = generation.from_tensors(response([4], output_log_probs=[-3.0, -2.0, -1.0]))
    assert found == Piece((4,), (-1.0,))


def test_padding_is_left_out():
    arrays = {"output_ids": np.array([[[4, 5, -1, -1]]]), "sequence_length": np.array([[2]])}
    assert generation.from_tensors(arrays) == Piece((4, 5))


def test_the_last_response_may_be_empty():
    assert generation.from_tensors({}) == Piece(())
    assert generation.from_tensors(response([], output_log_probs=[])) == Piece(())


def test_errors_are_what_the_engine_s_words_say():
    refused = RuntimeError("Executor failed: the grammar has no root")
    assert generation.explained(refused, ASKED) is refused
    told = generation.explained(refused, EVERYTHING)
    assert isinstance(told, InvalidRequest)
    assert "no root" in str(told)
    for words in (trtllm.QUEUE_FULL.format(64), "Exceeds maximum queue size"):
        assert isinstance(generation.explained(RuntimeError(words), ASKED), Unavailable)
