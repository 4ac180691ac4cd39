"""`whisper` behind the real server: its batching, its queue, its refusals, over gRPC."""

import queue
import time
from collections import Counter

import ctranslate2
import numpy as np
import pytest
import whisper_calls as calls
from tritonclient.utils import InferenceServerException

from onecard.contract import trtllm
from tests.waiting import PATIENCE_S

MODEL = "whisper"
SEEDED = {"runtime_top_p": 1.0, "temperature": 1.0}


@pytest.fixture(scope="module")
def client(server):
    with server.client() as found:
        yield found


@pytest.fixture(scope="module")
def model_config(client):
    return client.get_model_config(MODEL).config


def infer(client, features, outputs=calls.OUTPUTS, request_id="", **more):
    """Output tensors of one call, without the batch dimension; None for one that was not sent."""
    found = client.infer(
        MODEL,
        calls.infer_inputs(calls.tensors(features, **more)),
        outputs=calls.infer_outputs(outputs),
        request_id=request_id,
        client_timeout=PATIENCE_S,
    )
    arrays = {name: found.as_numpy(name) for name in outputs}
    return {name: None if array is None else array[0] for name, array in arrays.items()}


def tokens(outputs):
    return outputs["output_ids"][0][: outputs["sequence_length"][0]].tolist()


class Burst:
    """Calls sent without waiting for answers, each by the index of its request."""

    def __init__(self, client, requests, timeouts=None):
        self.answers = queue.Queue()
        self.handles = [
            client.async_infer(
                MODEL,
                calls.infer_inputs(request),
                lambda result, error, index=index: self.answers.put((index, result, error)),
                outputs=calls.infer_outputs(),
                timeout=(timeouts or {}).get(index),
            )
            for index, request in enumerate(requests)
        ]

    def results(self):
        """Tokens of the best beam, or the error, for each request."""
        found = {}
        for _ in self.handles:
            index, result, error = self.answers.get(timeout=PATIENCE_S)
            if error is not None:
                found[index] = error
                continue
            arrays = {name: result.as_numpy(name) for name in ("output_ids", "sequence_length")}
            found[index] = tokens({name: array[0] for name, array in arrays.items()})
        return [found[index] for index in range(len(self.handles))]


def counted(client):
    """How often each batch size was run so far."""
    statistics = client.get_inference_statistics(MODEL).model_stats[0]
    return Counter({b.batch_size: b.compute_infer.count for b in statistics.batch_stats})


def executions(client):
    """What `counted` says once it holds still: Triton counts a request after it has answered it."""
    found, last = counted(client), None
    while found != last:
        time.sleep(0.2)
        found, last = counted(client), found
    return found


def test_greedy_search_is_ctranslate2s(client, speech, config):
    path = config["parameters"]["gpt_model_path"]["string_value"]
    model = ctranslate2.models.Whisper(path, compute_type="int8", intra_threads=1)
    view = ctranslate2.StorageView.from_array(
        np.ascontiguousarray(speech[0].T[np.newaxis], np.float32)
    )
    wanted = model.generate(
        view, [list(calls.PROMPT)], beam_size=1, suppress_tokens=[], suppress_blank=False
    )
    assert tokens(infer(client, speech[0], request_output_len=224)) == wanted[0].sequences_ids[0]


def test_a_beam_search_returns_every_beam(client, speech, model_config):
    width = int(model_config.parameters["max_beam_width"].string_value)
    found = infer(client, speech[1], beam_width=width, len_penalty=1.0, return_log_probs=True)
    assert found["output_ids"].shape[0] == width
    assert found["sequence_length"].shape == found["cum_log_probs"].shape == (width,)
    longest = found["sequence_length"].max()
    for row, length in zip(found["output_ids"], found["sequence_length"], strict=True):
        assert (row[length:longest] == trtllm.PADDING).all()
        assert (row[:length] >= 0).all()
    message = rf"width {width + 1} is larger than configured max beam width {width}"
    with pytest.raises(InferenceServerException, match=message):
        infer(client, speech[1], beam_width=width + 1)


def test_waiting_requests_run_as_one_batch_whoever_sent_them(client, server, speech, model_config):
    wanted = [tokens(infer(client, features)) for features in speech]
    before = executions(client)
    # Two connections; the first request keeps the model busy while the others come in.
    with server.client() as other:
        like = [calls.tensors(features) for features in speech]
        bursts = [Burst(client, like), Burst(other, like)]
        for burst in bursts:
            assert burst.results() == wanted
    after = executions(client) - before
    assert sum(size * count for size, count in after.items()) == 2 * len(speech)
    assert max(after) > 1
    assert max(after) <= model_config.max_batch_size


def test_a_bad_request_among_good_ones_fails_alone(client, speech):
    wanted = [tokens(infer(client, features)) for features in speech]
    good = [calls.tensors(features) for features in speech]
    bad = [
        calls.tensors(np.concatenate([speech[1], speech[1][:1]])),
        calls.tensors(speech[1], decoder_input_ids=[1, 2, 3]),
    ]
    found = Burst(client, [good[0], bad[0], good[1], bad[1], good[2], good[3]]).results()
    assert "Encoder length (3001) exceeds maximum encoder input length (3000)" in str(found.pop(1))
    assert "must hold <|startoftranscript|>" in str(found.pop(2))
    assert found == wanted


def test_different_options_at_once_give_what_each_gives_alone(client, speech):
    options = [
        {}, {"beam_width": 2, "len_penalty": 1.0}, {"request_output_len": 5},
        {"bad_words_list": [[2425], [1]]}, {**SEEDED, "seed": 5}, {**SEEDED, "seed": 6},
        {"decoder_input_ids": [calls.START], "request_output_len": 1}, {"min_tokens": 1},
    ]  # fmt: skip
    wanted = [tokens(infer(client, speech[1], **more)) for more in options]
    assert wanted[4] != wanted[5]
    assert wanted[6] == [calls.ENGLISH]
    requests = [calls.tensors(speech[1], **more) for more in options]
    assert Burst(client, requests).results() == wanted


@pytest.mark.parametrize("missing", trtllm.REQUIRED_OUTPUTS)
def test_both_required_outputs_have_to_be_asked_for(client, speech, missing):
    outputs = [name for name in calls.OUTPUTS if name != missing]
    with pytest.raises(InferenceServerException, match=f"{missing} tensor must be present"):
        infer(client, speech[1], outputs)


@pytest.mark.parametrize("missing", ["request_output_len", "input_lengths"])
def test_a_missing_mandatory_input_is_named(client, speech, missing):
    with pytest.raises(InferenceServerException, match=f"{missing} is not present"):
        infer(client, speech[1], **{missing: None})


def test_streaming_and_batches_need_a_decoupled_model(client, speech):
    with pytest.raises(InferenceServerException, match="Streaming is only supported"):
        infer(client, speech[1], streaming=True)
    two = {name: np.concatenate([value] * 2) for name, value in calls.tensors(speech[1]).items()}
    with pytest.raises(InferenceServerException, match="Batch size > 1 requires"):
        client.infer(MODEL, calls.infer_inputs(two), outputs=calls.infer_outputs())


def test_a_stop_answers_with_nothing_and_needs_an_id(client, speech):
    assert infer(client, speech[1], request_id="17", stop=True)["output_ids"] is None
    with pytest.raises(InferenceServerException, match="request ID is not provided"):
        infer(client, speech[1], stop=True)


def test_what_the_cpu_cannot_honour_is_refused_by_name(client, speech):
    with pytest.raises(InferenceServerException, match=r"`lora_task_id`.*TensorRT-LLM") as caught:
        infer(client, speech[1], lora_task_id=1)
    assert "UNIMPLEMENTED" in caught.value.status()


def keep_busy(client, speech, num_requests=1):
    """Requests that run one after another and take their time, begun."""
    seeds = range(num_requests)
    burst = Burst(client, [calls.tensors(speech[0], **SEEDED, seed=seed) for seed in seeds])
    time.sleep(0.2)  # longer than a batch waits for company
    return burst


def test_a_full_queue_refuses_and_the_rest_is_answered(client, speech, model_config):
    room = model_config.dynamic_batching.default_queue_policy.max_queue_size
    assert room > 0, "the plan states no queue"
    busy = keep_busy(client, speech, num_requests=5)  # for longer than it takes to send the flood
    # The flood costs nothing to answer: its prompt is wrong.
    small = calls.tensors(speech[1][:2], decoder_input_ids=[1])
    found = Burst(client, [small] * (room + 3 * model_config.max_batch_size)).results()
    counts = Counter(error.status() for error in found)
    assert set(counts) == {"StatusCode.UNAVAILABLE", "StatusCode.INVALID_ARGUMENT"}
    # Those that keep the model busy may have places in the queue as well.
    assert counts["StatusCode.INVALID_ARGUMENT"] >= room - len(busy.handles)
    assert any("maximum queue size" in str(error) for error in found)
    assert all(isinstance(answer, list) for answer in busy.results())


def test_a_request_that_waited_too_long_ends(client, speech, model_config):
    policy = model_config.dynamic_batching.default_queue_policy
    assert policy.allow_timeout_override
    assert policy.default_timeout_microseconds > 0, "0 lets no request set a timeout of its own"
    busy = keep_busy(client, speech)
    late, patient = Burst(client, [calls.tensors(speech[1])] * 2, timeouts={0: 1000}).results()
    assert "timeout expired" in str(late)
    assert isinstance(patient, list)
    assert isinstance(busy.results()[0], list)


def test_who_cancels_holds_up_nobody(client, speech):
    # Each seeded request runs alone, so the last ones have not begun when they are cancelled.
    burst = Burst(client, [calls.tensors(speech[0], **SEEDED, seed=seed) for seed in range(5)])
    time.sleep(0.05)
    for handle in burst.handles[3:]:
        handle.cancel()
    found = burst.results()
    assert all(isinstance(answer, list) for answer in found[:3])
    assert all("CANCELLED" in str(error) for error in found[3:])
    assert tokens(infer(client, speech[1]))
