"""The events of one answer that may call tools."""

from __future__ import annotations

import dataclasses

from onecard.chat.answer import Chat, joined
from onecard.chat.options import ChatOptions
from onecard.llm.generation import Piece
from tests.onecard.chat.answers import CONFIG, END, HELLO, FakeLlm, ids_of, run
from tests.tool_offers import NOW

CALL = '{"tool_calls": [{"name": "now", "arguments": {}}]}'


def offered(**options: object) -> dict[str, object]:
    return {"tools": [NOW], "max_tokens": 30, **options}


def tool_chat(chat: Chat) -> Chat:
    return Chat(chat.tokenizer, dataclasses.replace(CONFIG, max_seq_len=400), {}, 49152)


def test_calls_are_told_in_parts_and_then_whole(chat):
    llm = FakeLlm([*ids_of(chat, CALL), END])
    events = list(tool_chat(chat).events(HELLO, ChatOptions(**offered()), llm))
    *parts, told, usage, done = events
    (call,) = told["tool_calls"]
    assert (call["name"], call["arguments"], len(call["id"])) == ("now", "{}", 9)
    assert (told["event"], usage["event"]) == ("tool_calls", "usage")
    assert done == {"event": "done", "finish_reason": "tool_calls", "engine": {}}
    assert {part["event"] for part in parts} == {"tool_call_delta"}
    first, *more = [one for part in parts for one in part["tool_calls"]]
    assert (first["index"], first["id"], first["name"]) == (0, call["id"], "now")
    assert "".join(one["arguments"] for one in (first, *more)) == "{}"
    assert llm.asked is not None
    assert llm.asked.guide == ChatOptions(**offered()).toolset.guide
    whole = joined(events)
    assert (whole["text"], whole["tool_calls"]) == ("", [call])


def test_a_call_is_told_before_it_is_whole(chat):
    llm = FakeLlm([*ids_of(chat, CALL), END])
    events = tool_chat(chat).events(HELLO, ChatOptions(**offered()), llm)
    assert next(events)["tool_calls"][0]["name"] == "now"
    assert llm.num_said < len(llm.pieces) - 1
    events.close()
    assert llm.is_closed


def logged(chat: Chat, text: str) -> tuple[FakeLlm, list[int]]:
    ids = ids_of(chat, text)
    pieces = [Piece((token,), (-0.25 * place,)) for place, token in enumerate(ids)]
    return FakeLlm([*pieces, END]), ids


def test_logprobs_beside_tools_are_those_of_the_text(chat):
    llm, ids = logged(chat, '{"content": "It is \\u00e9 \\"noon\\" \u4e16."}')
    answer = joined(tool_chat(chat).events(HELLO, ChatOptions(**offered(logprobs=True)), llm))
    found = answer["logprobs"]
    assert answer["text"] == 'It is \u00e9 "noon" \u4e16.'
    raw = bytes(byte for entry in found for byte in entry["bytes"]).decode()
    wanted = 'It is \\u00e9 \\"noon\\" \u4e16.'
    assert wanted in raw
    assert len(raw) <= len(wanted) + 4  # what shares a token with a letter
    first = ids.index(next(token for token in ids if chat.tokenizer.token(token).endswith("It")))
    assert found[0]["logprob"] == -0.25 * first
    assert len(found) < len(ids)


def test_logprobs_of_calls_are_those_of_all_their_tokens(chat):
    llm, ids = logged(chat, CALL)
    events = list(tool_chat(chat).events(HELLO, ChatOptions(**offered(logprobs=True)), llm))
    told = [entry for event in events for entry in event.get("logprobs", ())]
    assert bytes(byte for entry in told for byte in entry["bytes"]).decode() == CALL
    assert joined(events)["logprobs"] == told
    assert len(told) == len(ids)


def test_text_in_place_of_a_call_is_told_as_text(chat):
    ids = ids_of(chat, '{"content": "It is \\"noon\\"."}')
    text, _, done, deltas = run(tool_chat(chat), FakeLlm([*ids, END]), **offered())
    assert (text, done["finish_reason"]) == ('It is "noon".', "stop")
    assert len(deltas) >= 1


def test_a_stop_string_ends_the_text_and_not_its_json(chat):
    ids = ids_of(chat, '{"content": "It is noon."}')
    text, _, done, _ = run(tool_chat(chat), FakeLlm([*ids, END]), **offered(stop=["noon", '{"']))
    assert (text, done["finish_reason"]) == ("It is ", "stop")


def test_a_call_that_was_cut_is_no_call(chat):
    ids = ids_of(chat, CALL)[:-2]
    options = ChatOptions(**offered(max_tokens=len(ids)))
    *parts, _, done = tool_chat(chat).events(HELLO, options, FakeLlm(ids))
    assert {part["event"] for part in parts} == {"tool_call_delta"}
    assert done["finish_reason"] == "length"
    whole = joined([*parts, done])
    assert (whole["text"], "tool_calls" in whole) == ("", False)


def test_a_call_that_was_not_offered_is_invalid(chat):
    ids = ids_of(chat, CALL.replace("now", "then"))
    _, _, done, deltas = run(tool_chat(chat), FakeLlm([*ids, END]), **offered())
    assert (deltas, done["finish_reason"]) == ([], "invalid")
    assert "tool_calls[0]" in done["problem"]
