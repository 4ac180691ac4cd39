"""`llm` behind the real server: streaming, stopping, dropping, queueing and metrics over gRPC."""

import queue
import re
import threading
import urllib.request
from collections import Counter

import numpy as np
import pytest
import tritonclient.grpc as triton
from llm_calls import OUTPUTS, PROMPT, tensors
from tritonclient.utils import InferenceServerException

from tests.backends import wire
from tests.model_repository.chat_calls import steps
from tests.waiting import PATIENCE_S, until

MODEL = "llm"
LONG = 4000  # tokens that nobody waits for
NUM_BLOCKS = -(-(len(PROMPT) + LONG) // 32)


def infer_inputs(given):
    found = []
    for name, value in given.items():
        dtype = wire.DTYPES[name].replace("STRING", "BYTES")
        found.append(triton.InferInput(name, list(value.shape), dtype))
        found[-1].set_data_from_numpy(np.ascontiguousarray(value))
    return found


class Stream:
    """One connection with one stream, and one request at a time on it."""

    def __init__(self, server, timeout_s=None):
        self.answers = queue.Queue()
        self.client = server.client()
        self.client.start_stream(
            lambda result, error: self.answers.put((result, error)), stream_timeout=timeout_s
        )

    def start(self, prompt=PROMPT, num_tokens=20, request_id="", outputs=OUTPUTS, **asked):
        self.client.async_stream_infer(
            MODEL,
            infer_inputs(tensors(prompt, num_tokens, **asked)),
            outputs=[triton.InferRequestedOutput(name) for name in outputs],
            request_id=request_id,
            enable_empty_final_response=True,
        )
        return self

    def next(self):
        """Token ids of the next response (None: it has none), and whether it is the last."""
        result, error = self.answers.get(timeout=PATIENCE_S)
        if error is not None:
            raise error
        ids = result.as_numpy("output_ids")
        is_final = result.get_response().parameters["triton_final_response"].bool_param
        return None if ids is None else ids[0, 0].tolist(), is_final

    def rest(self):
        pieces, is_final = [], False
        while not is_final:
            ids, is_final = self.next()
            if ids is not None:
                pieces.append(ids)
        return pieces

    def run(self, *arguments, **asked):
        return self.start(*arguments, **asked).rest()

    def drop(self):
        self.client.stop_stream(cancel_requests=True)


@pytest.fixture
def stream(server):
    opened = []

    def open_stream(**arguments):
        opened.append(Stream(server, **arguments))
        return opened[-1]

    yield open_stream
    for one in opened:
        one.client.close()


def joined(pieces):
    return [token for piece in pieces for token in piece]


def page(server):
    url = f"http://{server.metrics_url}/metrics"
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as reply:
        return reply.read().decode()


def metrics(server, family):
    """Last label's value -> the metric, of the model's metrics in `family`."""
    text = page(server)
    found = {}
    for labels, value in re.findall(rf"^{family}{{(.*?)}} (\S+)$", text, re.M):
        pairs = dict(re.findall(r'(\w+)="(.*?)"', labels))
        if pairs.pop("model") == MODEL:
            pairs.pop("version")
            (kind,) = pairs.values()
            found[kind] = float(value)
    return found


def become(server, family, kind, wanted):
    """Wait until the metric has the value."""
    until(lambda: metrics(server, family)[kind] == wanted, lambda: metrics(server, family))


def test_streams_carry_new_tokens_and_a_final_flag(stream):
    whole = stream().run(num_tokens=25, end_id=None)
    assert [len(piece) for piece in whole] == [25]
    pieces = stream().run(num_tokens=25, end_id=None, streaming=True)
    assert len(pieces) > 1
    assert joined(pieces) == whole[0]


def test_four_streams_at_once_say_what_each_says_alone(stream):
    asked = [{"seed": seed, "runtime_top_k": 40, "num_tokens": 40} for seed in range(4)]
    alone = [joined(stream().run(streaming=True, **one)) for one in asked]
    together = [stream().start(streaming=True, **one) for one in asked]
    assert [joined(one.rest()) for one in together] == alone
    assert len({tuple(one) for one in alone}) == 4


def test_stop_ends_a_request_of_another_connection(server, stream):
    running = stream().start(num_tokens=LONG, end_id=None, streaming=True, request_id="4711")
    running.next()
    become(server, "nv_trt_llm_kv_cache_block_metrics", "used", NUM_BLOCKS)
    assert stream().run(num_tokens=1, request_id="4711", stop=True) == []
    assert len(joined(running.rest())) < LONG
    become(server, "nv_trt_llm_kv_cache_block_metrics", "used", 0)


@pytest.mark.parametrize("by", ["drop", "deadline"])
def test_a_caller_who_goes_frees_the_cache(server, stream, by):
    """The iterations show that nothing more was computed for the one that left."""
    before = steps(server)
    running = stream(timeout_s=10 if by == "deadline" else None)
    running.start(num_tokens=LONG, end_id=None, streaming=True)
    running.next()
    become(server, "nv_trt_llm_kv_cache_block_metrics", "used", NUM_BLOCKS)
    if by == "drop":
        running.drop()
    become(server, "nv_trt_llm_kv_cache_block_metrics", "used", 0)
    become(server, "nv_trt_llm_request_metrics", "active", 0)
    after = steps(server)
    assert after - before < LONG
    assert len(joined(stream().run(num_tokens=5, end_id=None))) == 5
    assert steps(server) < after + 20


def test_more_requests_than_places_all_get_their_answer(server, stream):
    found = {}

    def run(seed):
        found[seed] = joined(stream().run(num_tokens=15, end_id=None, seed=seed, runtime_top_k=9))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(12)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert sorted(found) == list(range(12))
    assert all(len(ids) == 15 for ids in found.values())


def test_the_queue_is_bounded(server, stream):
    waiting = metrics(server, "nv_trt_llm_request_metrics")["max"]
    assert waiting == 4
    one = stream()
    for number in range(4 + 64 + 5):  # the first ones keep their places until all have come
        one.start(num_tokens=300 if number < 4 else 6, end_id=None)
    lengths, refusals, num_final = [], [], 0
    while num_final < 4 + 64 + 5:
        try:
            ids, is_final = one.next()
            num_final += is_final
            if ids is not None:
                lengths.append(len(ids))
        except InferenceServerException as error:
            refusals.append(str(error))
            num_final += 1
    assert Counter(lengths) == {300: 4, 6: 64}
    assert len(refusals) == 5
    assert all("aximum queue size" in text for text in refusals)


def test_refusals_name_the_input_and_leave_the_stream_usable(stream):
    one = stream()
    with pytest.raises(InferenceServerException, match="`beam_width` is `3`"):
        one.run(beam_width=3)
    with pytest.raises(
        InferenceServerException, match=r"Prompt length \(9000\) exceeds .* \(8191\)"
    ):
        one.run(prompt=[5] * 9000)
    with pytest.raises(InferenceServerException, match="sequence_length tensor must be present"):
        one.run(outputs=("output_ids",))
    assert len(joined(one.run(num_tokens=3, end_id=None))) == 3


def test_the_cap_and_the_bytes_of_a_token_are_metrics(server):
    blocks = metrics(server, "nv_trt_llm_kv_cache_block_metrics")
    assert blocks["max"] * blocks["tokens_per"] == 16_384
    assert blocks["free"] + blocks["used"] == blocks["max"]
    assert metrics(server, "onecard_kv_cache_bytes")["per_token"] == 23_040
    assert metrics(server, "onecard_kv_cache_bytes")["cap"] == 16_384 * 23_040


def test_lengths_of_finished_requests_are_histograms(server, stream):
    def buckets():
        found = re.findall(r"^nv_llm_output_token_len_bucket{(.*?)} (\S+)$", page(server), re.M)
        return {dict(re.findall(r'(\w+)="(.*?)"', labels))["le"]: float(n) for labels, n in found}

    def counted_more_than(count):
        """The buckets once a request is counted, which it is after its response was sent."""
        until(lambda: buckets().get("+Inf", 0.0) > count, buckets)
        return buckets()

    count = buckets().get("+Inf", 0.0)
    stream().run(num_tokens=20, end_id=None)
    before = counted_more_than(count)
    stream().run(num_tokens=20, end_id=None)
    after = counted_more_than(before["+Inf"])
    assert {key: after[key] - before[key] for key in after} == {
        "10": 0, "50": 1, "100": 1, "500": 1, "1000": 1, "+Inf": 1,
    }  # fmt: skip
