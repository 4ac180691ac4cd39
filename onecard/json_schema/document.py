"""A caller's schema as a document: valid, of bounded size, and with its references inside."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import jsonschema  # type: ignore[import-untyped]
import referencing
from jsonschema import exceptions, validators

from onecard.errors import InvalidRequest, clipped, named, shown
from onecard.json_schema import searching
from onecard.json_schema.keywords import (
    MAX_SCHEMA_DEPTH,
    MAX_SCHEMA_LETTERS,
    MAX_SCHEMA_OBJECTS,
    refusal,
)

Schema = dict[str, Any]

MAX_CHECKS = 50_000  # of keywords, in checking one answer: about a second
_OWN = ("$id", "id", "$anchor", "$dynamicAnchor")  # what gives a subschema a name of its own


class TooMuch(Exception):
    """A check would take too long."""


class Document:
    """A schema that the standard allows.

    Attributes:
        validator: of `jsonschema`, for the draft that the schema names; it fetches nothing, and
            looks for no pattern that could take long.
    """

    def __init__(self, schema: Any) -> None:
        """Raises InvalidRequest where it is none, too large, or refers to something outside."""
        _verify_shape(schema)
        size = len(json.dumps(schema))
        if size > MAX_SCHEMA_LETTERS:
            raise InvalidRequest(
                f"the schema of `response_format` has {size} letters of JSON, must have at most "
                f"{MAX_SCHEMA_LETTERS}; send a smaller one"
            )
        self.root = schema
        kind = validators.validator_for(schema, default=jsonschema.Draft202012Validator)
        _verify(kind, schema)
        _verify_references(schema, "#")
        self._num_checks = 0
        checked = {**kind.VALIDATORS, "pattern": _pattern}
        counted = {name: self._counted(check) for name, check in checked.items()}
        guarded = validators.extend(kind, counted)
        self.validator: Any = guarded(schema, registry=referencing.Registry())

    def at(self, reference: str, place: str) -> Any:
        """The schema that `reference` names: `#`, or `#/` and a JSON pointer."""
        found = self.root
        for step in unquote(reference).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            try:
                found = found[int(name)] if isinstance(found, list) else found[name]
            except (KeyError, IndexError, ValueError, TypeError):
                cure = "name something that is there"
                raise refusal("$ref", place, cure, f"{named(reference)} is not in it") from None
        if not isinstance(found, (dict, bool)):
            raise refusal("$ref", place, "name a schema", f"{named(reference)} is none")
        return found

    def problem(self, value: Any, schema: Any = None) -> str | None:
        """Where and why `value` is not as `schema` (or the whole one) wants it; None where it is.

        A check that would take too long, or go too deep, finds nothing wrong.
        """
        self._num_checks = 0
        validator = self.validator if schema is None else self.validator.evolve(schema=schema)
        try:
            error = exceptions.best_match(validator.iter_errors(value))
        except RecursionError:
            return "the whole: lists and objects lie too deep within one another to be checked"
        except TooMuch:
            return None
        if error is None:
            return None
        return f"`{clipped(error.json_path, 200)}`: {clipped(error.message, 300)}"

    def _counted(self, check: Any) -> Any:
        def counted(validator: Any, keyword: Any, value: Any, schema: Any) -> Iterator[Any]:
            self._num_checks += 1
            if self._num_checks > MAX_CHECKS:
                raise TooMuch
            yield from check(validator, keyword, value, schema) or ()

        return counted


def _verify_shape(schema: Any) -> None:
    """Refuse what is too deep or too much to be looked into."""
    level, depth, number = [schema], 0, 0
    while level:
        number += sum(isinstance(value, dict) for value in level)
        found = {"levels": (depth, MAX_SCHEMA_DEPTH), "objects": (number, MAX_SCHEMA_OBJECTS)}
        for name, (count, most) in found.items():
            if count > most:
                raise InvalidRequest(
                    f"the schema of `response_format` has more than {most} {name}, must have at "
                    f"most {most}; send a smaller one"
                )
        depth += 1
        nested = (value for value in level if isinstance(value, (dict, list)))
        level = [
            inner
            for value in nested
            for inner in (value.values() if isinstance(value, dict) else value)
        ]


def _verify(kind: Any, schema: Any) -> None:
    try:
        kind.check_schema(schema)
    except exceptions.SchemaError as error:
        place = "/".join(["#", *map(str, error.absolute_path)])
        raise InvalidRequest(
            f"the schema of `response_format` is not valid at `{clipped(place, 200)}` "
            f"({clipped(error.message, 200)}); mend it, as JSON Schema "
            f"{kind.META_SCHEMA.get('$schema', '')} has it"
        ) from error
    except RecursionError as error:
        raise InvalidRequest(
            "the schema of `response_format` goes too deep; send it flatter"
        ) from error


def _verify_references(schema: Any, place: str) -> None:
    """Every reference stays inside, and `#/` means the same in the whole document."""
    if isinstance(schema, list):
        for index, item in enumerate(schema):
            _verify_references(item, f"{place}/{index}")
        return
    if not isinstance(schema, dict):
        return
    reference = schema.get("$ref")
    if isinstance(reference, str) and reference != "#" and not reference.startswith("#/"):
        cure = "put what it names into `$defs`, and name it as `#/$defs/...`"
        raise refusal("$ref", place, cure, f"{shown(reference)} is not followed")
    for name in _OWN:
        if place != "#" and isinstance(schema.get(name), str) and not place.endswith("/properties"):
            raise refusal(name, place, "leave it out, and name things by `#/$defs/...`")
    for name, inner in schema.items():
        if name not in ("const", "enum", "default", "example", "examples"):
            _verify_references(inner, f"{place}/{name}")


def _pattern(validator: Any, pattern: str, value: Any, schema: Any) -> Iterator[Any]:
    """`pattern` where looking for it cannot take long; elsewhere the engine was held to it."""
    if validator.is_type(value, "string") and not searching.found(pattern, value):
        yield exceptions.ValidationError(f"{value!r} does not match {pattern!r}")
