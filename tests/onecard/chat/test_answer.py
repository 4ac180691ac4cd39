"""The events of one answer, over an engine that says what it is told to say."""

from __future__ import annotations

import pytest

from onecard.chat.answer import Chat, joined
from onecard.chat.options import ChatOptions
from onecard.errors import Cancelled, InvalidRequest
from onecard.guides.guide import Guide
from onecard.llm import generation
from onecard.llm.generation import Piece
from onecard.llm.message import Message
from tests.onecard.chat.answers import CONFIG, END, HELLO, NUM_PROMPT, FakeLlm, ids_of, run


def test_text_usage_and_reason(chat):
    ids = ids_of(chat, "Grüße, 世界!")
    text, usage, done, _ = run(chat, FakeLlm(ids))
    assert text == "Grüße, 世界!"
    assert usage == {
        "event": "usage",
        "prompt_tokens": NUM_PROMPT,
        "completion_tokens": len(ids),
        "total_tokens": NUM_PROMPT + len(ids),
        "context_tokens": 100,
        "max_tokens": 20,
    }
    assert done == {"event": "done", "finish_reason": "stop", "engine": {"name": "llm"}}


def test_the_first_text_goes_out_before_the_second_token_is_asked_for(chat):
    llm = FakeLlm(ids_of(chat, "one two three"))
    events = chat.events(HELLO, ChatOptions(), llm)
    assert next(events) == {"event": "delta", "text": "one"}
    assert llm.num_said == 1
    events.close()
    assert llm.is_closed


def test_a_full_answer_was_cut(chat):
    ids = ids_of(chat, "one two three four")
    _, usage, done, _ = run(chat, FakeLlm(ids), max_tokens=len(ids))
    assert done["finish_reason"] == "length"
    assert usage["completion_tokens"] == usage["max_tokens"] == len(ids)


@pytest.mark.parametrize("end", [END, 0])
def test_an_end_token_in_the_last_place_is_an_end(chat, end):
    """Engines put those of several end tokens that are stop words into the output."""
    ids = ids_of(chat, "one two")
    text, usage, done, _ = run(chat, FakeLlm([*ids, end]), max_tokens=len(ids) + 1)
    assert (text, done["finish_reason"]) == ("one two", "stop")
    assert usage["completion_tokens"] == len(ids)


def test_what_comes_with_an_end_token_is_not_said(chat):
    one, two = ids_of(chat, "one two")
    text, usage, _, _ = run(chat, FakeLlm([Piece((one, END, two))]))
    assert (text, usage["completion_tokens"]) == ("one", 1)


def test_nothing_said_is_an_answer(chat):
    text, usage, done, deltas = run(chat, FakeLlm([]))
    assert (text, deltas, usage["completion_tokens"]) == ("", [], 0)
    assert done["finish_reason"] == "stop"


def test_half_a_character_at_the_limit_is_marked(chat):
    ids = ids_of(chat, "界")
    assert len(ids) > 1
    text, _, done, _ = run(chat, FakeLlm(ids[:-1]), max_tokens=len(ids) - 1)
    assert (text, done["finish_reason"]) == ("\ufffd", "length")


def test_a_stop_string_across_tokens_ends_the_answer_and_the_engine(chat):
    ids = ids_of(chat, "one two three four five")
    llm = FakeLlm(ids)
    text, usage, done, _ = run(chat, llm, stop=["wo thr", "five"])
    assert (text, done["finish_reason"]) == ("one t", "stop")
    assert llm.is_closed
    assert usage["completion_tokens"] == llm.num_said == 3


def test_a_stop_string_that_was_only_begun_is_said(chat):
    text, _, _, _ = run(chat, FakeLlm(ids_of(chat, "one two")), stop="two three")
    assert text == "one two"


def test_log_probabilities_are_one_a_token(chat):
    ids = ids_of(chat, "one two")
    pieces = [Piece((token,), (-index - 0.5,)) for index, token in enumerate([*ids, END])]
    _, usage, _, deltas = run(chat, FakeLlm(pieces), logprobs=True)
    found = [entry for delta in deltas for entry in delta["logprobs"]]
    assert found == [
        {"token": "one", "logprob": -0.5, "bytes": list(b"one")},
        {"token": " two", "logprob": -1.5, "bytes": list(b" two")},
    ]
    assert usage["completion_tokens"] == 2


def test_the_bytes_of_all_tokens_are_those_of_the_text(chat):
    wanted = "👩‍👩‍👧 Привет 日本 🇩🇪 ñ"
    pieces = [Piece((token,), (-1.0,)) for token in ids_of(chat, wanted)]
    text, _, _, deltas = run(chat, FakeLlm(pieces), logprobs=True, max_tokens=69)
    entries = [entry for delta in deltas for entry in delta["logprobs"]]
    assert text == wanted
    assert bytes(byte for entry in entries for byte in entry["bytes"]) == wanted.encode()
    for entry in entries:
        data = bytes(entry["bytes"])
        parts = "bytes:" + "".join(f"\\x{byte:02x}" for byte in data)
        assert entry["token"] in (data.decode(errors="replace"), parts)
        assert "\ufffd" not in entry["token"]
    assert any(entry["token"].startswith("bytes:") for entry in entries)


def test_without_being_asked_for_there_are_none(chat):
    _, _, _, deltas = run(chat, FakeLlm(ids_of(chat, "one")))
    assert all(set(delta) == {"event", "text"} for delta in deltas)


def test_options_reach_the_engine_and_the_plan_fills_the_rest(chat):
    llm = FakeLlm([])
    given = {"top_k": 5, "top_p": 0.5, "seed": 7, "min_tokens": 2, "presence_penalty": 1.0}
    run(chat, llm, max_tokens=9, response_format={"type": "json_object"}, **given)
    asked = llm.asked
    assert {name: getattr(asked, name) for name in given} == given
    assert (asked.max_tokens, asked.temperature, asked.end_ids) == (9, 0.7, (END, 0))
    any_object = '{"type": "object", "properties": {}, "additionalProperties": true}'
    assert asked.guide == Guide("json_schema", any_object)
    run(chat, llm, temperature=0.0)
    assert (llm.asked.max_tokens, llm.asked.temperature) == (20, 0.0)


def test_by_default_an_answer_takes_what_is_left_of_the_context(chat):
    llm = FakeLlm([])
    events = list(chat.events([Message("user", "word " * 55)], ChatOptions(), llm))
    usage = events[-2]
    assert usage["prompt_tokens"] + usage["max_tokens"] == 100
    assert llm.asked.max_tokens == usage["max_tokens"] < 20


@pytest.mark.parametrize(
    ("text", "given", "numbers"),
    [
        ("Hello", {"max_tokens": 70}, (31, 70, 100)),
        ("word " * 200, {"max_tokens": 1}, (231, 1, 100)),
        ("word " * 200, {}, (231, 20, 100)),
    ],
)
def test_what_exceeds_the_context_is_refused_with_all_three_numbers(chat, text, given, numbers):
    prompt, wanted, limit = numbers
    says = rf"takes {prompt} tokens .* take {wanted} .* holds {limit} tokens"
    with pytest.raises(InvalidRequest, match=says):
        list(chat.events([Message("user", text)], ChatOptions(**given), FakeLlm([])))


def test_the_context_can_be_filled_to_the_last_token(chat):
    _, usage, _, _ = run(chat, FakeLlm([]), max_tokens=100 - NUM_PROMPT)
    assert usage["max_tokens"] == 69


def test_more_tokens_at_least_than_at_most_are_refused(chat):
    with pytest.raises(InvalidRequest, match="`min_tokens` is 21"):
        list(chat.events(HELLO, ChatOptions(min_tokens=21), FakeLlm([])))


def test_what_was_said_until_the_time_was_up_is_accounted_for(chat):
    ids = ids_of(chat, "one two")
    text, usage, done, _ = run(chat, FakeLlm(ids, cancelled=True))
    assert (text, done["finish_reason"]) == ("one two", "cancelled")
    assert usage["completion_tokens"] == 2


def test_time_that_is_up_before_anything_was_said_is_an_error(chat):
    with pytest.raises(Cancelled):
        list(chat.events(HELLO, ChatOptions(), FakeLlm([], cancelled=True)))


def test_an_error_of_the_engine_ends_the_answer(chat):
    class Failing(FakeLlm):
        def stream(self, asked):
            yield from super().stream(asked)
            raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        list(chat.events(HELLO, ChatOptions(), Failing(ids_of(chat, "one"))))


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


@pytest.mark.parametrize(
    ("said", "reason", "problem"),
    [
        ('{"n": 3}', "stop", None),
        ('{"n": "x"}', "invalid", "`$.n`: 'x' is not of type 'integer'"),
        ('{"n": 3', "invalid", "not JSON"),
        ('{"n": 3, "n": 4}', "invalid", "the name `n` twice"),
    ],
)
def test_what_ends_by_itself_is_held_against_the_schema(chat, said, reason, problem):
    form = {"type": "json_schema", "json_schema": SCHEMA}
    _, _, done, _ = run(chat, FakeLlm(ids_of(chat, said)), response_format=form)
    assert done["finish_reason"] == reason
    assert (problem is None) == ("problem" not in done)
    assert problem is None or problem in done["problem"]


def test_what_was_cut_is_not_held_against_the_schema(chat):
    form = {"type": "json_object"}
    ids = ids_of(chat, '{"n": 3')
    _, _, done, _ = run(chat, FakeLlm(ids), response_format=form, max_tokens=len(ids))
    assert (done["finish_reason"], "problem" in done) == ("length", False)


def test_a_schema_that_cannot_be_followed_is_refused_before_the_engine_is_asked(chat):
    llm = FakeLlm([])
    form = {"type": "json_schema", "json_schema": {"type": "array", "uniqueItems": True}}
    with pytest.raises(InvalidRequest, match="`uniqueItems`"):
        list(chat.events(HELLO, ChatOptions(response_format=form), llm))
    assert llm.asked is None


def test_all_of_an_answer_is_one_event(chat):
    ids = ids_of(chat, "one two")
    pieces = [Piece((token,), (-1.0,)) for token in ids]
    answer = joined(chat.events(HELLO, ChatOptions(logprobs=True), FakeLlm(pieces)))
    assert (answer["event"], answer["text"], answer["finish_reason"]) == (
        "answer",
        "one two",
        "stop",
    )
    assert [entry["token"] for entry in answer["logprobs"]] == ["one", " two"]
    assert answer["usage"]["completion_tokens"] == 2
    assert answer["engine"] == {"name": "llm"}
    assert set(joined(chat.events(HELLO, ChatOptions(), FakeLlm(ids)))) == set(answer) - {
        "logprobs"
    }


def test_other_tokens_may_end_an_answer(chat):
    one, two = ids_of(chat, "one two")
    llm = FakeLlm([one, two])
    text, usage, done, _ = run(chat, llm, stop_token_ids=[two])
    assert (text, done["finish_reason"], usage["completion_tokens"]) == ("one", "stop", 1)
    assert llm.asked.end_ids == (END, 0, two)


def test_biases_reach_the_engine_as_one_number_a_token(chat):
    llm = FakeLlm([])
    run(chat, llm, logit_bias={"7": -100, "9": 0.5}, top_k=-1)
    bias = generation.to_tensors(llm.asked)["embedding_bias"]
    assert (bias.shape, bias.dtype, bias[7], bias[9], bias.sum()) == (
        (49152,),
        "float32",
        -100,
        0.5,
        -99.5,
    )
    assert llm.asked.top_k == 0


@pytest.mark.parametrize("given", [{"logit_bias": {"49152": 1}}, {"stop_token_ids": [49152]}])
def test_tokens_that_the_engine_has_not_are_refused(chat, given):
    with pytest.raises(InvalidRequest, match="must be below 49152"):
        list(chat.events(HELLO, ChatOptions(**given), FakeLlm([])))


def test_an_answer_goes_on_from_the_last_message(chat):
    talk = [*HELLO, Message("assistant", "The sky <|im_end|> is ")]
    closed = chat.tokenizer.encode_chat(talk)
    opened = chat.tokenizer.encode_chat(talk, continued=True)
    head = chat.tokenizer.encode_chat(HELLO)
    assert opened[: len(head)] == head
    assert len(opened) < len(closed)
    assert END not in opened[len(head) :]
    said = chat.tokenizer.detokenizer(continued=True)
    assert said.push(opened[len(head) :]) + said.flush() == "The sky <|im_end|> is "
    llm = FakeLlm(ids_of(chat, " blue"))
    options = ChatOptions(continue_final_message=True)
    text = "".join(event.get("text", "") for event in chat.events(talk, options, llm))
    assert text == " blue"
    assert list(llm.asked.prompt_ids) == opened


@pytest.mark.parametrize("last", [Message("user", "x"), Message("assistant", " ")])
def test_nothing_goes_on_from_another_message(chat, last):
    options = ChatOptions(continue_final_message=True)
    with pytest.raises(InvalidRequest, match="`continue_final_message`"):
        list(chat.events([*HELLO, last], options, FakeLlm([])))


class Untokenized:
    """Stands in for a tokenizer that must not be asked."""

    def encode_chat(self, messages, continued=False):
        raise AssertionError("it was tokenized")


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([Message("user", "1" * 20_000_000)], "20000000 letters, must have at most 1600"),
        ([Message("user", "1" * 900), Message("user", "1" * 900)], "1800 letters"),
        ([Message("user", "")] * 101, "101 messages"),
    ],
)
def test_what_cannot_fit_is_refused_before_it_is_tokenized(messages, says):
    chat = Chat(Untokenized(), CONFIG, {"name": "llm"}, 49152)
    with pytest.raises(InvalidRequest, match=says):
        list(chat.events(messages, ChatOptions(), FakeLlm([])))


def test_a_conversation_of_too_many_letters_is_not_even_read(chat):
    assert chat.messages('[{"role": "user", "content": "Hello"}]') == HELLO
    with pytest.raises(
        InvalidRequest, match="MESSAGES has 100000 letters, must have at most 12800"
    ):
        chat.messages("[" * 100_000)
