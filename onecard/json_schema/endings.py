"""Places of a rewritten schema that no JSON of finite length can fill, and the schema without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from onecard.json_schema.keywords import nothing_fits

Schema = dict[str, Any]

NOTHING: Schema = {"anyOf": []}


def pruned(root: Schema, definitions: Mapping[str, Schema]) -> Schema | None:
    """The schema, its definitions among it, without such places; None where it is one itself.

    Raises:
        InvalidRequest: a definition begins with itself, which no grammar can read.
    """
    finite: set[str] = set()
    size = -1
    while size < len(finite):
        size = len(finite)
        finite |= {name for name, schema in definitions.items() if _ends(schema, finite)}
    if not _ends(root, finite):
        return None
    kept = {name: _pruned(definitions[name], finite) for name in definitions if name in finite}
    _verify_no_circle(kept)
    root = _pruned(root, finite)
    return {**root, "$defs": kept} if kept else root


def _ends(schema: Any, finite: set[str]) -> bool:
    if not isinstance(schema, dict):
        return True
    if "$ref" in schema:
        return _name(schema) in finite
    if "anyOf" in schema:
        return any(_ends(option, finite) for option in schema["anyOf"])
    needed = [schema["properties"][name] for name in schema.get("required", ())]
    needed += schema.get("prefixItems", [])
    if schema.get("minItems", 0) > len(schema.get("prefixItems", ())):
        needed.append(schema["items"])
    return all(_ends(inner, finite) for inner in needed)


def _pruned(schema: Any, finite: set[str]) -> Any:
    if not isinstance(schema, dict):
        return schema
    found = dict(schema)
    for name in ("anyOf", "prefixItems"):
        if name in schema:
            found[name] = [_pruned(s, finite) for s in schema[name] if _ends(s, finite)]
    for name in ("properties", "patternProperties"):
        if name in schema:
            inner = schema[name].items()
            found[name] = {key: _pruned(s, finite) for key, s in inner if _ends(s, finite)}
    for name in ("items", "additionalProperties"):
        if name in schema:
            found[name] = _ends(schema[name], finite) and _pruned(schema[name], finite)
    return found


def _name(schema: Schema) -> str:
    name: str = schema["$ref"].rsplit("/", 1)[-1]
    return name


def _verify_no_circle(definitions: Mapping[str, Schema]) -> None:
    firsts = {name: _begins_with(schema) for name, schema in definitions.items()}
    for start in firsts:
        seen: set[str] = set()
        waiting = list(firsts[start])
        while waiting:
            name = waiting.pop()
            if name == start:
                raise nothing_fits("#", "a `$ref` leads back to itself")
            if name not in seen:
                seen.add(name)
                waiting += firsts[name]


def _begins_with(schema: Schema) -> set[str]:
    if "$ref" in schema:
        return {_name(schema)}
    return set().union(*(_begins_with(option) for option in schema.get("anyOf", ())))
