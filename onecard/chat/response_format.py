"""Reads `response_format`: OpenAI's three forms, as a guide and as a check."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onecard import documents
from onecard.errors import InvalidRequest
from onecard.guides.guide import Guide
from onecard.json_schema import answers
from onecard.json_schema.document import Document
from onecard.json_schema.following import followed
from onecard.options import fields

# The engines' own guide for any JSON lets lists through as well.
ANY_OBJECT = {"type": "object", "additionalProperties": True}
MAX_KEPT = 64  # schemas that were read, for callers who send theirs again


@dataclass(frozen=True)
class Form:
    """A guide for the engine, and the schema that its answer is checked against."""

    guide: Guide
    document: Document

    def problem(self, text: str) -> str | None:
        """Where and why `text` is not of this form; None where it is."""
        return answers.problem(text, self.document)


def verify(form: Any) -> None:
    """Refuse what is none of the three forms; schemas are not looked into."""
    if form is not None:
        _schema(form)


def read(form: Mapping[str, Any] | None) -> Form | None:
    """The form; None where any text will do.

    Raises:
        InvalidRequest: it is none of the three, or the engine cannot be held to its schema.
    """
    schema = None if form is None else _schema(form)
    return None if schema is None else _form(json.dumps(schema, ensure_ascii=False))


@functools.lru_cache(MAX_KEPT)
def _form(text: str) -> Form:
    document = Document(json.loads(text))
    return Form(Guide("json_schema", documents.write(followed(document))), document)


def _schema(form: Mapping[str, Any]) -> Any:
    kind = form.get("type")
    known = ["type", "json_schema"] if kind == "json_schema" else ["type"]
    if form.get("json_schema") is None:
        form = {name: value for name, value in form.items() if name != "json_schema"}
    fields.verify_names("option `response_format`", form, known)
    if kind == "text":
        return None
    if kind == "json_object":
        return ANY_OBJECT
    if kind != "json_schema":
        raise fields.wrong(
            "response_format.type", kind, "one of `text`, `json_object`, `json_schema`"
        )
    schema = form.get("json_schema")
    # OpenAI puts it into an object with a name; a schema by itself has no `schema` inside.
    if isinstance(schema, dict) and isinstance(schema.get("schema"), (dict, bool)):
        schema = schema["schema"]
    if not isinstance(schema, (dict, bool)):
        raise fields.wrong("response_format.json_schema", schema, "a JSON schema")
    if schema is False:
        raise InvalidRequest(
            "the schema of `response_format` is `false`; send one that allows JSON"
        )
    return schema
