"""Tools that callers offer: what is refused, by name, and what an answer is held to."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest

from onecard.chat import messages, tool_answer, tools
from onecard.chat import options as chat_options
from onecard.errors import InvalidRequest
from onecard.llm.tool import ToolCall
from tests.tool_offers import TOOLS, WEATHER, function, named

PAGE = Path(__file__).parents[3] / "docs" / "using" / "chat.md"


def allows(document: object, **given: object) -> bool:
    """Whether an answer may be this, with TOOLS and these options."""
    options = chat_options.read(json.dumps({"tools": TOOLS, **given}))
    assert options.toolset is not None
    assert options.form is None
    schema = json.loads(options.toolset.guide.text)
    return bool(jsonschema.Draft202012Validator(schema).is_valid(document))


def calls(*made: tuple[str, object]) -> dict[str, object]:
    return {"tool_calls": [{"name": name, "arguments": arguments} for name, arguments in made]}


TEXT = {"content": "It rains."}
PARIS = ("get_weather", {"city": "Paris", "unit": "C"})


def test_an_answer_is_a_text_or_calls():
    assert allows(TEXT)
    assert allows(calls(PARIS, ("now", {})))
    assert allows(calls(PARIS), tool_choice="auto")
    assert not allows({**TEXT, **calls(PARIS)})
    assert not allows(calls())
    assert not allows(calls(("rain", {})))


def test_every_tool_has_its_own_arguments():
    assert not allows(calls(("now", {"city": "Paris"})))
    assert not allows(calls(("get_weather", {})))
    assert not allows(calls(("get_weather", {"city": "Paris", "unit": "K"})))
    assert not allows(calls(("get_weather", {"city": "Llanfairpwll"})))


def test_required_is_a_call_of_any_and_a_name_is_one_call_of_that():
    assert not allows(TEXT, tool_choice="required")
    assert allows(calls(PARIS, ("now", {})), tool_choice="required")
    assert not allows(TEXT, tool_choice=named("now"))
    assert allows(calls(("now", {})), tool_choice=named("now"))
    assert not allows(calls(PARIS), tool_choice=named("now"))
    assert not allows(calls(("now", {}), ("now", {})), tool_choice=named("now"))


def test_several_calls_may_be_forbidden_and_are_bounded():
    two = calls(PARIS, PARIS)
    assert allows(two)
    assert not allows(two, parallel_tool_calls=False)
    assert not allows(calls(*[PARIS] * (tools.MAX_CALLS + 1)))


@pytest.mark.parametrize("given", [{"tools": []}, {"tools": TOOLS, "tool_choice": "none"}, {}])
def test_without_tools_any_text_will_do(given):
    assert chat_options.read(json.dumps(given)).toolset is None


def test_none_leaves_the_other_options_as_they_are():
    form = {"type": "json_object"}
    found = chat_options.read(
        json.dumps({"tools": TOOLS, "tool_choice": "none", "response_format": form})
    )
    assert found.form is not None


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"tools": [1]}, "`tools` is"),
        ({"tools": [{"type": "web_search"}]}, "`tools` is"),
        ({"tools": [{"function": {"name": "f"}}]}, "`tools` is"),
        ({"tools": [function(name="get weather")]}, "`tools` has the `name` `'get weather'` at 0"),
        ({"tools": [function(name="f" * 65)]}, "1 to 64 letters"),
        ({"tools": [function(description=1)]}, "the `description` `1` at 0"),
        ({"tools": [function(description="x" * 10_001)]}, "at most 10000 letters"),
        ({"tools": [function(parameters=[])]}, "the `parameters` `\\[\\]` at 0"),
        ({"tools": [function(parameters={"type": "string"})]}, "a JSON schema of an object"),
        ({"tools": [function(parameter={})]}, "did you mean `parameters`"),
        ({"tools": [WEATHER, WEATHER]}, "`get_weather` twice"),
        ({"tools": [function(name=f"f{n}") for n in range(65)]}, "at most 64"),
        ({"tools": TOOLS, "tool_choice": "always"}, "`tool_choice` is `'always'`"),
        ({"tools": TOOLS, "tool_choice": {"type": "function"}}, "`tool_choice` is"),
        ({"tools": TOOLS, "tool_choice": named("rain")}, "of `tools`: `get_weather`, `now`"),
        ({"tool_choice": "required"}, "where there are no `tools`"),
        ({"tools": TOOLS, "parallel_tool_calls": "no"}, "`parallel_tool_calls` is"),
        ({"tools": TOOLS, "continue_final_message": True}, "`continue_final_message` is given"),
        ({"tools": TOOLS, "response_format": {"type": "json_object"}}, "`response_format` is"),
    ],
)
def test_refuses_options(given, says):
    with pytest.raises(InvalidRequest, match=says) as refusal:
        chat_options.read(json.dumps(given))
    assert len(str(refusal.value)) < 700


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"not": {}}, "`f`: its schema has `not` at `#/not`"),
        ({"properties": {"x": {"type": "strin"}}}, "`f`: its schema is not valid"),
        ({"properties": {"x": {"$ref": "#/$defs/y"}}}, "`f`: its schema has `\\$ref`"),
        ({"properties": {"x": False}, "required": ["x"]}, "`f`: its schema allows nothing"),
    ],
)
def test_a_schema_that_cannot_be_followed_is_refused_by_its_function(parameters, says):
    options = chat_options.read(json.dumps({"tools": [WEATHER, function(parameters=parameters)]}))
    with pytest.raises(InvalidRequest, match=says):
        _ = options.toolset


def test_references_go_to_the_root_of_their_own_schema():
    tree = {
        "type": "object",
        "properties": {"name": {"const": "#"}, "below": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["name"],
    }
    options = chat_options.read(json.dumps({"tools": [WEATHER, function(parameters=tree)]}))
    assert options.toolset is not None
    validator = jsonschema.Draft202012Validator(json.loads(options.toolset.guide.text))
    leaf = {"name": "#"}
    assert validator.is_valid(calls(("f", {"name": "#", "below": [leaf, leaf]})))
    assert not validator.is_valid(calls(("f", {"name": "#", "below": [{"city": "Paris"}]})))


def test_the_pages_examples_are_read():
    found = re.findall(r"^```json\n(.*?)^```$", PAGE.read_text(), re.M | re.S)
    offer, told, event, conversation = found
    toolset = chat_options.read(offer).toolset
    assert toolset is not None
    (call,) = json.loads(event)["tool_calls"]
    first, *more = [part for one in json.loads(told) for part in one["tool_calls"]]
    assert (first["index"], first["id"], first["name"]) == (0, call["id"], call["name"])
    assert "".join(part["arguments"] for part in (first, *more)) == call["arguments"]
    answer = calls((call["name"], json.loads(call["arguments"])))
    assert tool_answer.calls(json.dumps(answer), toolset)[1] is None
    asked, result = messages.read(conversation)[1:]
    assert asked.tool_calls == (result.answers,) == (ToolCall(**call),)


def test_the_page_tells_the_limits():
    page = PAGE.read_text()
    assert f"up to {tools.MAX_TOOLS}: [tools]" in page
    assert f"An answer has up to {tools.MAX_CALLS} calls" in page
