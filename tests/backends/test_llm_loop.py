"""In-flight batching over the real model: who runs when, and that company changes nothing."""

import dataclasses
import json
import queue
import re
import threading
import time

import jsonschema
import llm_calls as calls
import numpy as np
import pytest
from llm_calls import END, PROMPT, Incoming, Receiver
from tensorrtllm_cpu.contract import answer, request, settings
from tensorrtllm_cpu.contract.request import GuideText
from tensorrtllm_cpu.llm import guides, inflight
from tensorrtllm_cpu.llm.metrics import (
    INPUT_LENGTHS,
    KV_BYTES,
    KV_CACHE,
    OUTPUT_LENGTHS,
    REQUESTS,
    Metrics,
)
from tensorrtllm_cpu.llm.service import LlmService

from tests.waiting import PATIENCE_S, until

LONG = 1500


def guide(kind, text):
    return {"guided_decoding_guide_type": kind, "guided_decoding_guide": text}


class Board:
    """The metrics as they were last set."""

    def __init__(self):
        self.values = {}

    def create(self, family, description, labels, buckets):
        (kind,) = [value for key, value in labels.items() if key not in ("model", "version")]

        class Gauge:
            def set(gauge, value):
                self.values[family, kind] = value

            def observe(gauge, value):
                self.values.setdefault((family, kind), []).append(value)

        return Gauge()


class Engine:
    """A service and everything that it said."""

    def __init__(self, **changes):
        self.board = Board()
        self.log = []
        self.settings = settings.read(calls.config(**changes), 2)
        metrics = Metrics(self.board.create, "llm", "1")
        self.service = LlmService(self.settings, metrics, self.log.append)

    def start(self, prompt=PROMPT, num_tokens=20, request_id="", outputs=calls.OUTPUTS, **asked):
        receiver = Receiver()
        inputs = calls.tensors(prompt, num_tokens, **asked)
        self.service.take(Incoming(inputs, request_id, outputs), receiver)
        return receiver

    def run(self, *arguments, **asked):
        return self.start(*arguments, **asked).wait()

    def load(self):
        return self.service._loop.load()

    def is_idle(self):
        until(lambda: self.load().num_running == self.load().num_waiting == 0)
        return self.load().num_used_blocks == 0


@pytest.fixture(scope="module")
def engine():
    one = Engine()
    yield one
    assert one.is_idle()
    one.service.close()


@pytest.fixture
def small():
    """Two places, room for 192 tokens, one may wait."""
    one = Engine(
        max_batch_size=2, max_queue_size=1, max_tokens_in_paged_kv_cache="192",
        max_attention_window_size="192",
    )  # fmt: skip
    yield one
    one.service.close()


def test_greedy_tokens_are_the_models_own(engine):
    """Against the same graph without paged attention, by OpenVINO's stateful inference."""
    import openvino

    core = openvino.Core()
    compiled = core.compile_model(
        calls.ENGINE / "openvino_model.xml", "CPU", {"INFERENCE_PRECISION_HINT": "f32"}
    )
    generated = engine.run(num_tokens=60).ids
    ids = [*PROMPT, *generated]
    inputs = {
        "input_ids": np.array([ids]),
        "attention_mask": np.ones((1, len(ids)), np.int64),
        "position_ids": np.arange(len(ids))[np.newaxis],
        "beam_idx": np.zeros(1, np.int32),
    }
    logits = compiled(inputs)[0][0]
    expected = logits[len(PROMPT) - 1 : len(ids) - 1].argmax(axis=1)
    # Rounding differs between the two ways of attending; a tie may fall the other way.
    assert np.mean(expected == generated) >= 0.95


def test_the_kv_cache_has_exactly_the_bytes_that_its_shape_says(engine):
    # 30 layers, 3 KV heads of 64, keys and values, 2 bytes
    assert engine.service.model.kv_bytes_per_token == 2 * 30 * 3 * 64 * 2 == 23_040


def test_a_stream_carries_new_tokens_only_and_ends_once(engine):
    whole = engine.run(num_tokens=30)
    stream = engine.run(num_tokens=30, streaming=True)
    assert len(whole.responses) == 1
    assert len(stream.responses) > 1
    assert stream.ids == whole.ids
    for response in stream.responses:
        assert response["sequence_length"].tolist() == [response["output_ids"].shape[1]] != [0]


def test_generation_ends_at_the_end_token_without_it(engine):
    free = engine.run(num_tokens=60, end_id=None)
    assert len(free.ids) == 60
    ended = engine.run(num_tokens=60)
    assert END not in ended.ids
    if END in free.ids:
        assert ended.ids == free.ids[: free.ids.index(END)]
    some = free.ids[9]  # any token can be the end
    assert engine.run(num_tokens=60, end_id=some).ids == free.ids[: free.ids.index(some)]


def test_stop_words_end_it_and_are_part_of_it(engine):
    free = engine.run(num_tokens=60, end_id=None).ids
    word = free[20:23]
    end = next(i for i in range(3, 61) if free[i - 3 : i] == word)
    found = engine.run(num_tokens=60, end_id=None, stop_words_list=calls.words([7, 7], word)).ids
    assert found == free[:end]


def test_company_changes_nothing(engine):
    """Seeds, greedy search, prompts of any length, guides: alone as in a crowd, bit for bit."""
    rng = np.random.default_rng(3)
    long_prompt = rng.integers(100, 40_000, 300).tolist()
    asked = [
        {"seed": 7, "runtime_top_k": 50},
        {"seed": 8, "runtime_top_p": 0.9, "temperature": 1.3},
        {"num_tokens": 90},
        {"prompt": long_prompt, "num_tokens": 40, "seed": 1, "runtime_top_p": 1.0},
        {"prompt": [5], "num_tokens": 30, "presence_penalty": 0.5},
        {"prompt": long_prompt[:129], "seed": 5, "runtime_top_k": 9},
    ]  # fmt: skip
    log_probs = {"return_log_probs": True, "outputs": (*calls.OUTPUTS, "output_log_probs")}
    alone = [engine.run(**one, **log_probs) for one in asked]
    for order in (range(6), [5, 3, 1, 0, 2, 4]):
        crowd = {
            index: engine.start(**asked[index], **log_probs, streaming=True) for index in order
        }
        for index, receiver in crowd.items():
            assert receiver.wait().ids == alone[index].ids
            found = receiver.joined("output_log_probs")
            assert found == alone[index].joined("output_log_probs")


def test_those_that_come_together_are_read_in_one_step(engine, monkeypatch):
    assert engine.is_idle()
    monkeypatch.setattr(inflight, "COMPANY_S", 10.0)  # however slow this machine is to send four
    forward, steps = engine.service.model.forward, []
    monkeypatch.setattr(
        engine.service.model, "forward", lambda slices: steps.append(slices) or forward(slices)
    )
    receivers = []
    for _ in range(4):
        receivers.append(engine.start(num_tokens=3))
        time.sleep(0.02)  # time enough to begin without the others
    for receiver in receivers:
        receiver.wait()
    assert [len(piece.tokens) for piece in steps[0]] == 4 * [len(PROMPT)]


def test_a_short_request_overtakes_a_long_one_that_runs(engine):
    long = engine.start(num_tokens=LONG, end_id=None, streaming=True)
    long.began.wait(PATIENCE_S)
    short = engine.run(num_tokens=5)
    assert len(short.ids) == 5
    assert not long.ended.is_set()
    long.is_gone = True
    long.wait()


def test_a_long_prompt_does_not_hold_up_who_generates(engine):
    talker = engine.start(num_tokens=LONG, end_id=None, streaming=True)
    talker.began.wait(PATIENCE_S)
    prompt = np.random.default_rng(0).integers(100, 40_000, 1800).tolist()
    reader = engine.start(prompt, 1)
    before = len(talker.responses)
    reader.wait()
    # 1800 tokens are read in 15 steps of at most 128; each of them carries the other one on.
    assert len(talker.ids) - before >= 10
    talker.is_gone = True
    talker.wait()


def test_admission_reserves_prompt_and_output_and_keeps_the_order(small):
    """192 tokens of cache are 6 blocks of 32: 16 + 130 take 5, 16 + 40 two, 16 + 10 one."""
    first = small.start(num_tokens=130, end_id=None, streaming=True)
    first.began.wait(PATIENCE_S)
    assert small.load().num_used_blocks == 5
    second = small.start(num_tokens=40, end_id=None, streaming=True)  # does not fit beside it
    third = small.start(num_tokens=10, end_id=None)
    assert third.error is not None  # one waits already
    second.wait()
    assert first.ended.is_set()
    assert len(first.ids) == 130
    assert len(second.ids) == 40
    assert small.is_idle()


def test_a_small_request_does_not_overtake_a_large_one_that_waits_for_room(engine):
    order = queue.SimpleQueue()
    engines = Engine(max_tokens_in_paged_kv_cache="192", max_attention_window_size="192")
    try:
        receivers = {}
        for name, num_tokens in (("first", 130), ("large", 140), ("small", 8)):
            receivers[name] = engines.start(num_tokens=num_tokens, end_id=None, streaming=True)
        for name, receiver in receivers.items():
            threading.Thread(
                target=lambda r=receiver, n=name: (r.began.wait(PATIENCE_S), order.put(n))
            ).start()
        assert order.get(timeout=PATIENCE_S) == "first"
        receivers["small"].wait()
        assert receivers["first"].ended.is_set()
        assert receivers["large"].began.is_set()
    finally:
        engines.service.close()


def test_a_full_queue_refuses_with_nvidias_message(small):
    running = [small.start(num_tokens=60, end_id=None, streaming=True) for _ in range(2)]
    for one in running:
        one.began.wait(PATIENCE_S)
    waiting = small.start(num_tokens=10)
    refused = small.run(num_tokens=10)
    text = "Maximum queue size of 1 has been reached, please try again later"
    assert str(refused.error) == text
    assert len(waiting.wait().ids) == 10  # nobody else noticed
    assert [len(one.wait().ids) for one in running] == [60, 60]


def test_what_the_cache_can_never_hold_is_refused(small):
    found = small.run(list(PROMPT) * 30, 5)
    assert "Prompt length (480) exceeds maximum input length (191)" in str(found.error)
    assert str(found.error).startswith("Executor failed process requestId ")


def test_output_beyond_the_window_is_clamped_as_nvidias_and_logged(small):
    found = small.run(num_tokens=1000, end_id=None)
    assert len(found.ids) == 192 - len(PROMPT)
    assert any("1000 tokens exceed the longest sequence, 192" in line for line in small.log)


@pytest.mark.parametrize("by", ["stop", "drop"])
def test_cancelling_frees_the_cache_for_others(small, by):
    """The cache is full and nothing else fits: what is computed next shows that it was freed."""
    running = small.start(num_tokens=176, end_id=None, streaming=True, request_id="9")
    running.began.wait(PATIENCE_S)
    assert small.load().num_used_blocks == 6
    waiting = small.start(num_tokens=60, end_id=None, streaming=True)
    num_before = len(running.ids)
    if by == "stop":
        stop = small.run(num_tokens=1, request_id="9", stop=True)
        assert stop.error is None
        assert stop.responses == []
    else:
        running.is_gone = True
    running.wait()
    num_steps = small.load().num_steps
    assert running.error is None
    # It ends at the next token boundary, or once its caller has been looked at (every 20 ms).
    assert len(running.ids) - num_before <= (3 if by == "stop" else 30)
    assert len(waiting.wait().ids) == 60
    # One step a token (the prompt's gives the first): nothing was computed for the one that left.
    assert small.load().num_steps - num_steps <= 60 + 1
    assert small.is_idle()


def test_a_waiting_request_that_is_stopped_never_runs(small):
    running = [small.start(num_tokens=60, end_id=None, streaming=True) for _ in range(2)]
    waiting = small.start(num_tokens=60, request_id="w")
    small.run(num_tokens=1, request_id="w", stop=True)
    assert waiting.wait().responses[0]["sequence_length"].tolist() == [0]
    assert not any(one.ended.is_set() for one in running)
    for one in running:
        one.wait()


def test_stopping_an_unknown_id_is_no_error_and_no_id_is_one(engine):
    assert engine.run(num_tokens=1, request_id="nobody", stop=True).error is None
    assert "request ID is not provided" in str(engine.run(num_tokens=1, stop=True).error)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"beam_width": 2}, "`beam_width` is `2`, which the CPU engine cannot honour"),
        ({"num_return_sequences": 2}, "`num_return_sequences` is `2`"),
        ({"return_context_logits": True}, "`return_context_logits` is `True`"),
        ({"draft_input_ids": [1]}, "`draft_input_ids` is"),
        ({"lora_task_id": 1}, "`lora_task_id` is"),
        ({"prompt_vocab_size": 1}, "`prompt_vocab_size` is"),
        ({"lookahead_window_size": [1]}, "`lookahead_window_size` is"),
        ({"runtime_top_p_min": 0.5}, "`runtime_top_p_min` is"),
        ({"early_stopping": True}, "`early_stopping` is"),
        ({"num_tokens": 0}, "`request_output_len` is `0`, must be at least 1"),
        ({"prompt": []}, "`input_ids` is empty"),
        ({"prompt": [49152]}, r"`input_ids` holds `49152`, must lie in [0, 49152)"),
        ({"prompt": [-1]}, "`input_ids` holds `-1`"),
        ({"bad_words_list": calls.words([60_000])}, "`bad_words_list` holds `60000`"),
        ({"end_id": 49152}, "EndId (49152) is not within acceptable range [-1, 49152)."),
        ({"temperature": -1.0}, "`temperature` is `-1.0`, must be 0 or more"),
        ({"presence_penalty": float("nan")}, "`presence_penalty` is `nan`"),
        ({"embedding_bias": [1.0, 2.0]}, "`embedding_bias` is `[2]`"),
        ({"stop_words_list": [[1, 2], [2, 1]]}, "Sparse list must not have non-increasing offsets"),
        ({"outputs": ("output_ids",)}, "sequence_length tensor must be present"),
        (guide("xml", "a"), "is `xml`, must be one of"),
        (guide("regex", None), "The guide string must be provided"),
        (guide("json_schema", "{"), "`json_schema`"),
        (guide("regex", "(a"), "`regex`"),
        (guide("ebnf_grammar", "x"), "`ebnf_grammar`"),
    ],
)  # fmt: skip
def test_what_cannot_be_honoured_is_refused_by_name_and_nobody_else_suffers(engine, asked, message):
    neighbour = engine.start(num_tokens=15)
    refused = engine.run(**asked)
    assert message in str(refused.error)
    assert refused.responses == []
    assert len(neighbour.wait().ids) == 15


def test_guides_need_a_tokenizer_that_is_set_up():
    one = Engine(guided_decoding_backend="", xgrammar_tokenizer_info_path="")
    try:
        found = one.run(guided_decoding_guide_type="json")
        assert "GuidedDecoder is not setup" in str(found.error)
    finally:
        one.service.close()


def test_a_schema_is_followed_token_by_token(engine):
    schema = {
        "type": "object",
        "properties": {
            "colour": {"enum": ["red", "green"]},
            "count": {"type": "integer", "minimum": 1, "maximum": 99},
            "name": {"type": "string", "maxLength": 12},
        },
        "required": ["colour", "count", "name"],
        "additionalProperties": False,
    }
    receivers = [
        engine.start(
            num_tokens=120, seed=seed, runtime_top_k=0, runtime_top_p=1.0, temperature=1.5,
            **guide("json_schema", json.dumps(schema)),
        )
        for seed in range(6)
    ]  # fmt: skip
    for one in receivers:
        jsonschema.validate(calls.is_json(one.wait().ids), schema)


def test_a_guide_ends_the_sequence_where_nothing_can_follow(engine):
    found = engine.run(num_tokens=50, end_id=None, **guide("regex", "(yes|no){3}"))
    assert re.fullmatch("(yes|no){3}", calls.text_of(found.ids))
    found = engine.run(num_tokens=9, **guide("ebnf_grammar", 'root ::= "a" | "b"'))
    assert calls.text_of(found.ids) in ("a", "b")
    found = engine.run(num_tokens=400, **guide("json", None), seed=2)
    assert calls.is_json(found.ids) is not None


def test_a_guide_that_takes_long_to_compile_holds_nobody_up(engine, monkeypatch):
    is_compiled = threading.Event()
    compile_guide = engine.service._guides.compile

    def slowly(text, check):
        assert is_compiled.wait(PATIENCE_S)
        return compile_guide(text, check)

    monkeypatch.setattr(engine.service._guides, "compile", slowly)
    guided = engine.start(num_tokens=9, **guide("regex", "[ab]"))
    assert len(engine.run(num_tokens=5, end_id=None).ids) == 5
    assert not guided.ended.is_set()
    is_compiled.set()
    assert calls.text_of(guided.wait().ids) in ("a", "b")


# Nested choices, of which xgrammar has 76 s to do, and a chain of names that takes gigabytes.
SLOW = '{"anyOf":[' * 900 + '{"type":"string"}' + "]}" * 900
CHAIN = json.dumps(
    {
        "$defs": {
            **{f"a{n}": {"$ref": f"#/$defs/a{n + 1}"} for n in range(60_000)},
            "a60000": {"type": "string"},
        },
        "$ref": "#/$defs/a0",
    }
)


@pytest.fixture
def strict(monkeypatch):
    """An engine that gives a guide two seconds and half a gigabyte."""
    limits = dataclasses.replace(guides.LIMITS, max_s=2.0, max_bytes=2**29)
    monkeypatch.setattr(guides, "LIMITS", limits)
    one = Engine()
    yield one
    one.service.close()


@pytest.mark.parametrize("schema", [SLOW, CHAIN], ids=["slow", "large"])
def test_a_guide_beyond_the_limits_is_refused_and_the_next_one_works(strict, schema):
    refused = strict.run(num_tokens=5, **guide("json_schema", schema))
    assert "takes more than" in str(refused.error)
    assert refused.error.code == "INVALID_ARG"
    assert calls.text_of(strict.run(num_tokens=9, **guide("regex", "yes")).ids) == "yes"


def test_a_grammar_does_not_wait_for_a_schema(engine):
    """Triage's lane and everybody's."""
    slow = engine.start(num_tokens=5, **guide("json_schema", SLOW))
    found = engine.run(num_tokens=9, **guide("ebnf_grammar", 'root ::= "a" | "c"'))
    assert calls.text_of(found.ids) in ("a", "c")
    assert not slow.ended.is_set()
    slow.is_gone = True  # which ends the work
    assert calls.text_of(engine.run(num_tokens=9, **guide("regex", "no")).ids) == "no"


def test_only_so_much_of_compiled_guides_is_kept(engine):
    kept = guides.Guides(engine.settings.tokenizer_info, 49152, 1)
    try:
        texts = [GuideText("regex", f"x{number}") for number in range(4)]
        for text in texts[:2]:
            kept.compile(text)
        kept._max_kept_bytes = int(2.5 * kept._kept[texts[1]][1])
        for text in texts[2:]:
            kept.compile(text)
        assert [kept._known(text) is not None for text in texts] == [False, False, True, True]
    finally:
        kept.close()


def test_a_guide_counts_with_its_automata(engine):
    """xgrammar tells 0.1 MiB of this one, which takes 3."""
    kept = guides.Guides(engine.settings.tokenizer_info, 49152, 1)
    try:
        names = [f"field_{number}" for number in range(20)]
        schema = {"type": "object", "required": names}
        schema["properties"] = {name: {"type": "string"} for name in names}
        kept.compile(GuideText("json_schema", json.dumps(schema)))
        [(compiled, num_bytes)] = kept._kept.values()
        assert num_bytes > 2**20 > compiled.memory_size_bytes
    finally:
        kept.close()


def test_a_step_that_fails_ends_whose_fault_it_is_alone(engine, monkeypatch):
    model = engine.service.model
    forward = model.forward

    def failing(slices):
        if any(40_001 in one.tokens for one in slices):
            raise RuntimeError("this token cannot be computed")
        return forward(slices)

    monkeypatch.setattr(model, "forward", failing)
    good = engine.start(num_tokens=40, end_id=None, streaming=True)
    bad = engine.start([5, 40_001], 10)
    assert "this token cannot be computed" in str(bad.wait().error)
    assert len(good.wait().ids) == 40
    monkeypatch.undo()
    assert engine.run(num_tokens=40, end_id=None).ids == good.ids


def test_token_counts_and_prompt_are_given_on_request(engine):
    outputs = (
        *calls.OUTPUTS,
        "num_input_tokens",
        "num_output_tokens",
        "cum_log_probs",
        "output_log_probs",
    )
    found = engine.run(
        num_tokens=12, end_id=None, outputs=outputs, return_num_input_tokens=True,
        return_num_output_tokens=True, return_log_probs=True, exclude_input_in_output=False,
    )  # fmt: skip
    (response,) = found.responses
    assert response["output_ids"][0, : len(PROMPT)].tolist() == list(PROMPT)
    assert response["sequence_length"].tolist() == [len(PROMPT) + 12]
    assert response["num_input_tokens"].tolist() == [len(PROMPT)]
    assert response["num_output_tokens"].tolist() == [12]
    assert response["cum_log_probs"][0] == pytest.approx(
        response["output_log_probs"].sum(), rel=1e-4
    )
    assert (response["output_log_probs"] <= 0).all()


def test_metrics_tell_the_load_under_nvidias_names(small):
    running = small.start(num_tokens=120, end_id=None, streaming=True)
    running.began.wait(PATIENCE_S)
    values = small.board.values
    until(lambda: values.get((KV_CACHE, "used")) == 5)  # 16 + 120 tokens in blocks of 32
    assert values[KV_CACHE, "max"] == 6
    assert values[KV_CACHE, "free"] == 1
    assert values[KV_CACHE, "tokens_per"] == 32
    assert values[REQUESTS, "active"] == values[REQUESTS, "scheduled"] == 1
    assert values[KV_BYTES, "per_token"] == 23_040
    assert values[KV_BYTES, "used"] == 5 * 32 * 23_040
    running.is_gone = True
    running.wait()
    until(lambda: values[KV_CACHE, "used"] == 0)
    assert values[REQUESTS, "active"] == 0
    assert values[INPUT_LENGTHS, "total_input_tokens"] == [len(PROMPT)]
    assert values[OUTPUT_LENGTHS, "total_output_tokens"] == [len(running.ids)]


def test_closing_ends_what_runs():
    one = Engine()
    running = one.start(num_tokens=LONG, end_id=None, streaming=True)
    running.began.wait(PATIENCE_S)
    one.service.close()
    assert running.ended.is_set()


def test_the_outputs_of_a_batch_of_prompts_are_refused(engine):
    inputs = calls.tensors()
    inputs["input_ids"] = np.repeat(inputs["input_ids"], 2, axis=0)
    receiver = Receiver()
    engine.service.take(Incoming(inputs), receiver)
    assert "batch" in str(receiver.wait().error).lower()


def test_answers_to_nothing_have_no_tokens(engine):
    asked = request.read(calls.tensors(), frozenset(calls.OUTPUTS), engine.settings)
    assert answer.nothing(asked)["output_ids"].shape == (1, 0)
