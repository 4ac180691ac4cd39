"""A caller's own schema as a form: a guide for the engine, and a check of what it wrote.

A property `cites`, a list of whole numbers anywhere in the schema, takes numbers of findings.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from onecard import documents
from onecard.errors import InvalidRequest, clipped, shown
from onecard.guides.guide import Guide
from onecard.json_schema import answers
from onecard.json_schema.document import Document
from onecard.json_schema.following import followed

CITES = "cites"
MAX_LETTERS = 20_000  # of a schema: it is part of a prompt as well
MAX_CITED = 8  # findings in one `cites`, where the schema says nothing
MAX_KEPT = 16  # schemas that were read, for callers who send theirs again
# What a schema is called where it is refused, and what it is here.
_CALLED, _SCHEMA = "the schema of `response_format`", "option `schema`"
_OF_SCHEMAS = ("properties", "patternProperties", "$defs", "definitions")
_SCHEMAS = ("items", "additionalProperties", "prefixItems", "anyOf", "oneOf", "allOf")


@dataclass(frozen=True)
class Form:
    """A schema that the engine can be held to.

    Attributes:
        text: the schema as JSON, for the model to read.
    """

    text: str
    document: Document

    def guide(self, num_findings: int) -> Guide:
        """What holds the engine to the schema, and `cites` to numbers of findings.

        Of the highest number it knows the next power of two, so that a schema has few guides:
        NVIDIA's executor never drops one. What lies above `num_findings` is dropped by `read`.
        """
        schema = json.loads(self.text)
        highest = 1 << max(0, num_findings - 1).bit_length()
        for cites in _cites(schema, "#"):
            cites["items"] = {"type": "integer", "minimum": 1, "maximum": highest}
            cites.setdefault("maxItems", max(MAX_CITED, cites.get("minItems", 0)))
        return Guide("json_schema", documents.write(followed(Document(schema))))

    def read(self, text: str, num_findings: int) -> tuple[Any, int]:
        """The document in `text` without citations that do not stand, and how many those were.

        An item of a list that cited nothing else goes with them.

        Raises:
            ValueError: it is not of this form; says where and why.
        """
        problem = answers.problem(text, self.document)
        if problem is None:
            standing = _Standing(num_findings)
            found = standing.of(json.loads(text))
            problem = self.document.problem(found)
            if problem is None:
                return found, standing.num_dropped
        raise ValueError(problem)


def read(schema: Mapping[str, Any]) -> Form:
    """The form of a schema.

    Raises:
        InvalidRequest: it is too large, or the engine cannot be held to it; says where and why.
    """
    return _read(json.dumps(schema, ensure_ascii=False))


@functools.lru_cache(MAX_KEPT)
def _read(text: str) -> Form:
    if len(text) > MAX_LETTERS:
        raise InvalidRequest(
            f"{_SCHEMA} has {len(text)} letters of JSON, must have at most {MAX_LETTERS}; "
            "send a smaller one"
        )
    try:
        form = Form(text, Document(json.loads(text)))
        form.guide(1)
    except InvalidRequest as error:
        raise InvalidRequest(str(error).replace(_CALLED, _SCHEMA)) from error
    return form


def _cites(schema: Any, place: str) -> Iterator[dict[str, Any]]:
    """Every schema of a property `cites`. Raises InvalidRequest where it is no list of numbers."""
    if not isinstance(schema, dict):
        return
    for name, inner in _inner(schema, place):
        yield from _cites(inner, name)
    properties = schema.get("properties")
    found = properties.get(CITES) if isinstance(properties, dict) else None
    if found is None:
        return
    kind = found.get("type") if isinstance(found, dict) else None
    items = found.get("items") if isinstance(found, dict) else None
    if kind != "array" or not isinstance(items, dict) or items.get("type") != "integer":
        raise InvalidRequest(
            f"{_CALLED} has {shown(found)} at `{clipped(place, 200)}/properties/{CITES}`, which "
            'names findings and must be `{"type": "array", "items": {"type": "integer"}}`; mend '
            "it, or give the property another name"
        )
    yield found


def _inner(schema: Mapping[str, Any], place: str) -> Iterator[tuple[str, Any]]:
    """Schemas directly inside of one, and where they are."""
    for keyword in _OF_SCHEMAS:
        named = schema.get(keyword)
        if isinstance(named, dict):
            yield from ((f"{place}/{keyword}/{name}", inner) for name, inner in named.items())
    for keyword in _SCHEMAS:
        found = schema.get(keyword)
        several = found if isinstance(found, list) else [found]
        yield from ((f"{place}/{keyword}", inner) for inner in several)


class _Standing:
    """Drops numbers of findings that are not there, and counts them."""

    def __init__(self, num_findings: int) -> None:
        self._num_findings = num_findings
        self.num_dropped = 0

    def of(self, value: Any) -> Any:
        if isinstance(value, list):
            return [self.of(item) for item in value if not self._cites_nothing(item)]
        if not isinstance(value, dict):
            return value
        return {
            name: self._standing(inner) if name == CITES else self.of(inner)
            for name, inner in value.items()
        }

    def _cites_nothing(self, item: Any) -> bool:
        """Whether an item cited findings, none of which are there."""
        cited = item.get(CITES) if isinstance(item, dict) else None
        if not isinstance(cited, list) or not cited or any(map(self._is_there, cited)):
            return False
        self.num_dropped += len(cited)
        return True

    def _standing(self, cited: Any) -> Any:
        if not isinstance(cited, list):
            return cited
        kept = list(dict.fromkeys(number for number in cited if self._is_there(number)))
        self.num_dropped += sum(not self._is_there(number) for number in cited)
        return kept

    def _is_there(self, number: Any) -> bool:
        return type(number) is int and 1 <= number <= self._num_findings
