"""What the model reads of tools, with a template that has places for them and with one without."""

from __future__ import annotations

import json

from onecard.chat import messages, tool_prompt
from onecard.chat import options as chat_options
from onecard.chat.tools import Toolset
from onecard.llm.message import Message
from tests.tool_offers import TOOLS

CALL = {"id": "call_1", "type": "function", "function": {"name": "now", "arguments": "{}"}}
CONVERSATION = [
    {"role": "user", "content": "When?"},
    {"role": "assistant", "content": None, "tool_calls": [CALL]},
    {"role": "tool", "tool_call_id": "call_1", "content": "12:00"},
]


def toolset(**given: object) -> Toolset | None:
    return chat_options.read(json.dumps({"tools": TOOLS, **given})).toolset


def read(*more: dict[str, object]) -> list[Message]:
    return messages.read(json.dumps([*CONVERSATION, *more]))


def test_a_template_with_places_gets_them_and_the_form_of_the_answer():
    conversation = read()
    system, *rest = tool_prompt.messages(conversation, toolset(), takes_tools=True)
    assert rest == conversation
    assert system.role == "system"
    assert "get_weather" not in system.content
    assert '{"content": "TEXT"}' in system.content


def test_a_template_without_places_gets_text():
    system, *rest = tool_prompt.messages(read(), toolset(), takes_tools=False)
    lines = system.content.splitlines()
    assert [json.loads(line)["name"] for line in lines if line.startswith("{")] == [
        "get_weather",
        "now",
    ]
    assert rest == [
        Message("user", "When?"),
        Message("assistant", '{"tool_calls": [{"name": "now", "arguments": {}}]}'),
        Message("user", "The function now has answered:\n12:00"),
    ]


def test_what_a_user_says_after_a_result_is_in_the_same_turn():
    found = tool_prompt.messages(read({"role": "user", "content": "And?"}), None, False)
    assert [message.role for message in found] == ["user", "assistant", "user"]
    assert found[-1].content.endswith("12:00\n\nAnd?")


def test_users_one_after_the_other_stay_apart():
    said = [Message("user", "a"), Message("user", "b")]
    assert tool_prompt.messages(said, None, False) == said


def test_what_the_system_says_stays_first_and_calls_may_be_required():
    conversation = [Message("system", "Be brief."), Message("user", "When?")]
    offered = toolset(tool_choice="required")
    system, user = tool_prompt.messages(conversation, offered, takes_tools=True)
    assert system.content.startswith("Be brief.\n\nCall a function.")
    assert "content" not in system.content
    assert user == conversation[1]
