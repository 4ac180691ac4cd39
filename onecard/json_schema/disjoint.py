"""Whether two schemas can be told apart for certain, so that `oneOf` is `anyOf`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from onecard.json_schema.merging import types_of

Resolve = Callable[[Any], Mapping[str, Any]]

_JSON_TYPES: dict[type, str] = {
    bool: "boolean",
    dict: "object",
    float: "number",
    int: "number",
    list: "array",
    str: "string",
    type(None): "null",
}
MAX_DEPTH = 8  # properties within properties that are looked at


def are_disjoint(one: Any, other: Any, resolve: Resolve, depth: int = 0) -> bool:
    """False also means that it cannot be told.

    Args:
        resolve: a subschema without `$ref` and `const`.
    """
    first, second = resolve(one), resolve(other)
    if not _kinds(first) & _kinds(second):
        return True
    if "enum" in first and "enum" in second:
        return not any(value in second["enum"] for value in first["enum"])
    if _kinds(first) & _kinds(second) != {"object"} or depth > MAX_DEPTH:
        return False
    return _has_telling_property(first, second, resolve, depth)


def _kinds(schema: Mapping[str, Any]) -> set[str]:
    """JSON's types: a whole number is a number."""
    named = {"number" if kind == "integer" else kind for kind in types_of(schema)}
    values = {_JSON_TYPES[type(value)] for value in schema.get("enum", ())}
    return named & values if values else named


def _has_telling_property(
    first: Mapping[str, Any], second: Mapping[str, Any], resolve: Resolve, depth: int
) -> bool:
    for one, other in ((first, second), (second, first)):
        for name in one.get("required", ()):
            if name in other.get("required", ()):
                here, there = (each.get("properties", {}).get(name, True) for each in (one, other))
                if are_disjoint(here, there, resolve, depth + 1):
                    return True
            elif name not in other.get("properties", {}) and _is_closed(other):
                return True
    return False


def _is_closed(schema: Mapping[str, Any]) -> bool:
    """Whether it has no property but those that it names."""
    return schema.get("additionalProperties") is False and not schema.get("patternProperties")
