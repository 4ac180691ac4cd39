"""Reads `tools` and `tool_choice`: functions of a caller's, and a guide that holds calls to them.

An answer that may call is JSON as a whole: `{"tool_calls": [{"name": ..., "arguments": ...}]}`, or
`{"content": ...}` where the model may answer in text instead.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onecard import documents
from onecard.errors import InvalidRequest, shown
from onecard.guides.guide import Guide
from onecard.json_schema.document import Document
from onecard.json_schema.following import followed
from onecard.json_schema.keywords import MAX_BRANCHES
from onecard.llm.tool import Tool
from onecard.options import fields

MAX_TOOLS = MAX_BRANCHES  # the grammar is a choice of them
MAX_CALLS = 16  # of one answer
MAX_DESCRIPTION_LETTERS = 10_000
MAX_KEPT = 16  # sets of tools that were read, for callers who send theirs again
_NAME = re.compile("[A-Za-z0-9_-]{1,64}")
_WANTED = 'objects like `{"type": "function", "function": {"name": "...", "parameters": {...}}}`'
# A schema of these alone, and without properties, is that of a function that takes nothing.
_WITHOUT_ARGUMENTS = {"$schema", "description", "properties", "required", "title", "type"}
CHOICES = ("auto", "none", "required")
# What schemas are called where they are refused, and what they are here.
_SCHEMA = "the schema of `response_format`"
_TOGETHER = "option `tools` has functions whose schemas together"
Schema = dict[str, Any]


@dataclass(frozen=True)
class Toolset:
    """Tools that an answer may call.

    Attributes:
        tools: those that it may choose from.
        must_call: it may not answer in text.
        documents: of the schemas of the tools' arguments, by the tools' names.
        guide: for the engine.
    """

    tools: tuple[Tool, ...]
    must_call: bool
    documents: Mapping[str, Document]
    guide: Guide


def verify(tools: Any, choice: Any) -> None:
    """Refuse what is no list of functions, or no choice among them; schemas are not looked into."""
    found = [_tool(index, tool) for index, tool in enumerate(tools or [])]
    if len(found) > MAX_TOOLS:
        raise InvalidRequest(
            f"option `tools` has {len(found)} functions, must have at most {MAX_TOOLS}; offer fewer"
        )
    names = [tool.name for tool in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidRequest(f"option `tools` has the function `{name}` twice; name them apart")
    named = _named(choice)
    if named is not None and named not in names:
        raise fields.wrong("tool_choice", choice, f"a function of `tools`: {_told(names)}")
    if choice == "required" and not names:
        raise fields.wrong("tool_choice", choice, "left out where there are no `tools`")


def read(tools: Any, choice: Any, is_parallel: bool) -> Toolset | None:
    """The tools that the answer may call, as `verify` has allowed them; None where it may not.

    Raises:
        InvalidRequest: the engine cannot be held to the schema of one.
    """
    if not tools or choice == "none":
        return None
    found = [_tool(index, tool) for index, tool in enumerate(tools)]
    named = _named(choice)
    if named is not None:
        found = [tool for tool in found if tool.name == named]
    max_calls = MAX_CALLS if is_parallel and named is None else 1
    return _toolset(tuple(found), named is not None or choice == "required", max_calls)


@functools.lru_cache(MAX_KEPT)
def _toolset(tools: tuple[Tool, ...], must_call: bool, max_calls: int) -> Toolset:
    documents_of = {tool.name: _document(tool) for tool in tools}
    schemas = {f"t{index}": document.root for index, document in enumerate(documents_of.values())}
    calls = [
        _object(name={"const": tool.name}, arguments={"$ref": f"#/$defs/{place}"})
        for tool, place in zip(tools, schemas, strict=True)
    ]
    several = {"type": "array", "items": {"anyOf": calls}, "minItems": 1, "maxItems": max_calls}
    answers = [_object(tool_calls=several)]
    if not must_call:
        answers.insert(0, _object(content={"type": "string"}))
    whole: Schema = {
        "anyOf": answers,
        "$defs": {place: _moved(schema, place) for place, schema in schemas.items()},
    }
    try:
        guide = Guide("json_schema", documents.write(followed(Document(whole))))
    except InvalidRequest as error:
        raise InvalidRequest(str(error).replace(_SCHEMA, _TOGETHER)) from error
    return Toolset(tools, must_call, documents_of, guide)


def _document(tool: Tool) -> Document:
    """The schema of a tool's arguments, which the engine can be held to."""
    try:
        document = Document(json.loads(tool.parameters))
        followed(document)
    except InvalidRequest as error:
        told = f"option `tools` has the function `{tool.name}`: its schema"
        message = str(error).replace(_SCHEMA, told)
        raise InvalidRequest(message) from error
    return document


def _object(**properties: Schema) -> Schema:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _moved(schema: Any, place: str) -> Any:
    """A whole schema for a place among `$defs`; its references are to its own root."""
    moved = _with_references(schema, f"#/$defs/{place}")
    moved.pop("$schema", None)
    return moved


def _with_references(value: Any, root: str) -> Any:
    if isinstance(value, list):
        return [_with_references(item, root) for item in value]
    if not isinstance(value, dict):
        return value
    found = {}
    for name, inner in value.items():
        if name == "$ref" and isinstance(inner, str):
            found[name] = root + inner.removeprefix("#")
        elif name in ("const", "enum", "default", "example", "examples"):
            found[name] = inner
        else:
            found[name] = _with_references(inner, root)
    return found


def _tool(index: int, tool: Any) -> Tool:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or tool.get("type") != "function":
        raise fields.wrong("tools", tool, _WANTED)
    fields.verify_names(
        f"option `tools` at {index}", function, ("name", "description", "parameters", "strict")
    )
    name, description = function.get("name"), function.get("description") or ""
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise _wrong(index, "name", name, "1 to 64 letters, digits, `_` or `-`")
    if not isinstance(description, str) or len(description) > MAX_DESCRIPTION_LETTERS:
        wanted = f"a text of at most {MAX_DESCRIPTION_LETTERS} letters"
        raise _wrong(index, "description", description, wanted)
    parameters = function.get("parameters")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict) or parameters.get("type", "object") != "object":
        raise _wrong(index, "parameters", parameters, "a JSON schema of an object")
    schema = {"type": "object", **parameters}
    if not schema.get("properties") and not schema.keys() - _WITHOUT_ARGUMENTS:
        schema |= {"properties": {}, "additionalProperties": False}
    return Tool(name, description, documents.write(schema))


def _wrong(index: int, member: str, value: object, wanted: str) -> InvalidRequest:
    return InvalidRequest(
        f"option `tools` has the `{member}` {shown(value)} at {index}, must be {wanted}"
    )


def _named(choice: Any) -> str | None:
    """The function that `tool_choice` names; None for the other choices."""
    if choice is None or choice in CHOICES:
        return None
    function = choice.get("function") if isinstance(choice, dict) else None
    name = function.get("name") if isinstance(function, dict) else None
    if not isinstance(name, str) or choice.get("type") != "function":
        wanted = '`auto`, `none`, `required` or `{"type": "function", "function": {"name": "..."}}`'
        raise fields.wrong("tool_choice", choice, wanted)
    return name


def _told(names: list[str]) -> str:
    return ", ".join(f"`{name}`" for name in names[:5]) or "there are none"
