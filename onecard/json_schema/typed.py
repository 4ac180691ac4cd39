"""One place of a schema that has one type, in the form that engines follow."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Protocol

from onecard.json_schema import formats, keywords, patterns, searching
from onecard.json_schema.document import Document
from onecard.json_schema.keywords import NothingFits, nothing_fits, refusal
from onecard.json_schema.patterns import Unfollowed

Schema = dict[str, Any]

MAX_WRITTEN_LENGTH = 200  # of a text whose length is a pattern; longer ones compile for seconds
MAX_MULTIPLE = 1024  # of `multipleOf`, and below how many numbers between bounds: xgrammar's limits
MAX_MULTIPLE_RANGE = 10_000


class Rewriting(Protocol):
    """A rewriter for the places inside a schema."""

    document: Document

    def rewritten(self, schema: Any, place: str) -> Schema: ...


def meant(schema: Mapping[str, Any]) -> list[str]:
    """The types whose keywords stand in a schema that names none."""
    return [kind for kind, names in keywords.BY_TYPE.items() if set(names) & schema.keys()]


def rewritten(kind: str, schema: Schema, place: str, rewriting: Rewriting) -> Schema:
    """The part of `schema` that concerns values of type `kind`.

    Raises:
        NothingFits: nothing of that type is allowed.
        InvalidRequest: the engine cannot be held to it.
    """
    if kind == "string":
        return _string(schema, place)
    if kind in ("integer", "number"):
        return _number(kind, schema, place)
    if kind == "array":
        return _array(schema, place, rewriting)
    if kind == "object":
        return _Object(schema, place, rewriting).rewritten()
    return {"type": kind}


def _between(schema: Schema, least: str, most: str) -> tuple[int, float]:
    """Two counts, which JSON may write as `2.0`."""
    high = schema.get(most, math.inf)
    return int(schema.get(least, 0)), high if math.isinf(high) else int(high)


def _string(schema: Schema, place: str) -> Schema:
    shortest, longest = _between(schema, "minLength", "maxLength")
    if shortest > longest:
        raise nothing_fits(place, f"`minLength` {shortest} is more than `maxLength` {longest}")
    form = schema.get("format")
    if form in formats.UNFOLLOWED:
        raise refusal("format", place, "leave it out", f"`{form}` is not followed")
    pattern = schema.get("pattern")
    if form in formats.PATTERNS or form in formats.FOLLOWED:
        return _formatted(form, pattern, shortest, longest, place)
    if pattern is not None:
        try:
            return {"type": "string", "pattern": patterns.followed(pattern, shortest, longest)}
        except Unfollowed as error:
            cure = "write it without, or leave it out"
            raise refusal("pattern", place, cure, f"it has {error}") from error
    if not shortest and longest == math.inf:
        return {"type": "string"}
    if max(shortest, longest if longest < math.inf else 0) <= MAX_WRITTEN_LENGTH:
        return {"type": "string", "pattern": patterns.lengths(shortest, longest)}
    bounds = {"minLength": shortest, "maxLength": longest}
    return {"type": "string"} | {name: n for name, n in bounds.items() if n and n < math.inf}


# The lengths that every text of a format has, or that an engine may be trusted with: they are
# checked in the end.
_SHORTEST, _LONGEST = 1, 255


def _formatted(form: str, pattern: str | None, shortest: int, longest: float, place: str) -> Schema:
    if pattern is not None:
        raise refusal("pattern", place, "give one of them", f"it is beside `format` `{form}`")
    if shortest > _SHORTEST or longest < _LONGEST:
        name = "minLength" if shortest > _SHORTEST else "maxLength"
        raise refusal(name, place, "leave it out", f"it is beside `format` `{form}`")
    if form in formats.PATTERNS:
        return {"type": "string", "pattern": f"^{formats.PATTERNS[form]}$"}
    return {"type": "string", "format": form}


def _number(kind: str, schema: Schema, place: str) -> Schema:
    low, low_open = _bound(schema, "minimum", "exclusiveMinimum", max)
    high, high_open = _bound(schema, "maximum", "exclusiveMaximum", min)
    step = schema.get("multipleOf", 1)
    if "multipleOf" in schema and float(step).is_integer() and step != 0:
        kind, step = "integer", int(step)
    elif "multipleOf" in schema:
        raise refusal("multipleOf", place, "leave it out, or use whole numbers")
    if kind == "integer":
        return _integer(low, low_open, high, high_open, step, place)
    if low > high or (low == high and (low_open or high_open)):
        raise nothing_fits(place, f"no number lies between {low} and {high}")
    found: Schema = {"type": "number"}
    for value, is_open, name in ((low, low_open, "minimum"), (high, high_open, "maximum")):
        if math.isinf(value):
            continue
        if "e-" in repr(float(value)) or abs(value) > keywords.MAX_BOUND:
            cure = "give a bound of fewer digits"
            raise refusal(name, place, cure, f"`{value}` is not written out")
        found[f"exclusive{name.capitalize()}" if is_open else name] = value
    return found


def _bound(schema: Schema, name: str, exclusive: str, stricter: Any) -> tuple[Any, bool]:
    """The bound in force, and whether it is excluded itself; infinite where there is none."""
    none = -math.inf if stricter is max else math.inf
    bound, other = schema.get(name, none), schema.get(exclusive, none)
    if isinstance(other, bool):  # draft 4: whether `minimum` is excluded itself
        return bound, other
    found = stricter(bound, other)
    return found, found == other and not math.isinf(other)


def _integer(low: Any, low_open: bool, high: Any, high_open: bool, step: int, place: str) -> Schema:
    found: Schema = {"type": "integer"}
    if not math.isinf(low):
        found["minimum"] = math.floor(low) + 1 if low_open else math.ceil(low)
    if not math.isinf(high):
        found["maximum"] = math.ceil(high) - 1 if high_open else math.floor(high)
    bounds = [found[name] for name in ("minimum", "maximum") if name in found]
    for bound in bounds:
        if abs(bound) > keywords.MAX_BOUND:
            raise refusal("minimum/maximum", place, "use 64 bits", f"`{bound}` has more")
    if len(bounds) == 2 and bounds[0] > bounds[1]:
        raise nothing_fits(place, f"no whole number lies between {low} and {high}")
    if step != 1:
        few = len(bounds) == 2 and bounds[1] - bounds[0] < MAX_MULTIPLE_RANGE
        if step > MAX_MULTIPLE or not (few or not bounds):
            cure = (
                f"use at most {MAX_MULTIPLE}, with no bounds or with both, less than "
                f"{MAX_MULTIPLE_RANGE} apart"
            )
            raise refusal("multipleOf", place, cure)
        if bounds and bounds[1] // step * step < bounds[0]:
            raise nothing_fits(place, f"no multiple of {step} lies between {low} and {high}")
        found["multipleOf"] = step
    return found


def _array(schema: Schema, place: str, rewriting: Rewriting) -> Schema:
    first, rest = schema.get("prefixItems", []), schema.get("items")
    if isinstance(rest, list):  # before draft 2020-12
        first, rest = rest, schema.get("additionalItems")
    rest = schema.get("unevaluatedItems") if rest is None else rest
    low, high = _between(schema, "minItems", "maxItems")
    if schema.get("uniqueItems") and high > 1:
        raise refusal("uniqueItems", place, keywords.CURES["uniqueItems"])
    for name, number in (("minItems", low), ("maxItems", high)):
        if keywords.MAX_ITEMS < number < math.inf:
            raise refusal(name, place, f"ask for at most {keywords.MAX_ITEMS}")
    first = first[: int(min(high, len(first)))]
    if rest is None:
        rest = not first or low > len(first)
    found: Schema = {"type": "array", "items": False}
    if first:
        found["prefixItems"] = [
            rewriting.rewritten(item, f"{place}/prefixItems/{index}")
            for index, item in enumerate(first)
        ]
    if rest is not False and high > len(first):
        try:
            found["items"] = rewriting.rewritten(rest, f"{place}/items")
        except NothingFits:
            if low > len(first):
                raise
    most = high if found["items"] is not False else len(first)
    if low > most:
        raise nothing_fits(place, f"`minItems` is {low}, and there can be {most} at most")
    if low:
        found["minItems"] = low
    if high < math.inf and found["items"] is not False:
        found["maxItems"] = high
    return found


class _Object:
    """One place that is an object."""

    def __init__(self, schema: Schema, place: str, rewriting: Rewriting) -> None:
        self._schema = schema
        self._place = place
        self._rewriting = rewriting
        self._required = list(schema.get("required", ()))
        self._patterns: dict[str, Any] = schema.get("patternProperties", {})
        extra = schema.get("additionalProperties", schema.get("unevaluatedProperties"))
        is_bare = not (schema.get("properties") or self._patterns)
        # Where a schema names properties and says nothing of others, the engine allows none.
        self._extra = is_bare if extra is None else extra
        self._names = schema.get("propertyNames", True)

    def rewritten(self) -> Schema:
        self._verify()
        properties = self._properties()
        found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
        if self._required:
            found["required"] = self._required
        if self._patterns:
            found["patternProperties"] = self._pattern_schemas()
        elif self._extra is not False:
            place = f"{self._place}/additionalProperties"
            found["additionalProperties"] = self._rewriting.rewritten(self._extra, place) or True
        if self._names is not True and found["additionalProperties"] is not False:
            found["propertyNames"] = self._name_schema()
        return found | self._numbers(properties)

    def _verify(self) -> None:
        schema, place = self._schema, self._place
        if len(self._patterns) > 1:
            raise refusal("patternProperties", place, "use one pattern", "it has several")
        if self._patterns and isinstance(self._extra, dict) and self._extra:
            cure = "leave one of them out"
            raise refusal("additionalProperties", place, cure, "it is beside `patternProperties`")
        is_beside = bool(self._patterns or schema.get("properties"))
        if self._names is not True and is_beside and self._extra is not False:
            cure = "set `additionalProperties` to false"
            raise refusal("propertyNames", place, cure, "it is beside other properties")
        for pattern in self._patterns:
            if searching.can_explode(pattern):
                cure = "write it with fewer repetitions within one another"
                raise refusal("patternProperties", place, cure, "its pattern may take too long")

    def _properties(self) -> Schema:
        found = {}
        given: dict[str, Any] = self._schema.get("properties", {})
        for name in [*given, *(name for name in self._required if name not in given)]:
            try:
                found[name] = self._property(name, given.get(name))
            except NothingFits:
                if name in self._required or self._extra is not False:
                    raise
        return found

    def _property(self, name: str, schema: Any) -> Schema:
        place = f"{self._place}/properties/{name}"
        matching = [s for pattern, s in self._patterns.items() if searching.found(pattern, name)]
        if schema is None and not matching:
            if self._extra is False:
                raise nothing_fits(self._place, f"it requires `{name}`, which it does not allow")
            matching = [self._extra]
        if self._names is not True and self._rewriting.document.problem(name, self._names):
            raise nothing_fits(place, "`propertyNames` does not allow it")
        parts = matching if schema is None else [schema, *matching]
        return self._rewriting.rewritten(parts[0] if len(parts) == 1 else {"allOf": parts}, place)

    def _pattern_schemas(self) -> Schema:
        (pattern, schema), *_ = self._patterns.items()
        try:
            name = patterns.followed(pattern)
        except Unfollowed as error:
            cure = "write it without, or leave it out"
            raise refusal("patternProperties", self._place, cure, f"it has {error}") from error
        place = f"{self._place}/patternProperties"
        return {name: self._rewriting.rewritten(schema, place)}

    def _name_schema(self) -> Schema:
        names = self._names
        if isinstance(names, dict) and "type" not in names and "$ref" not in names:
            names = {"type": "string", **names}
        return self._rewriting.rewritten(names, f"{self._place}/propertyNames")

    def _numbers(self, properties: Schema) -> Schema:
        """How many properties. Names that come twice count once, and engines count them twice."""
        low, high = _between(self._schema, "minProperties", "maxProperties")
        is_open = bool(self._patterns) or self._extra is not False
        if low > high or len(self._required) > high or (not is_open and low > len(properties)):
            raise nothing_fits(self._place, f"it is to have {low} to {high} properties")
        low = 0 if low <= len(self._required) else low
        if low > 1 and (self._patterns or self._names is not True):
            cure = "name the properties in `properties` and `required`"
            raise refusal("minProperties", self._place, cure)
        numbers = {"minProperties": low, "maxProperties": high}
        neutral = {"minProperties": 0, "maxProperties": math.inf}
        return {name: number for name, number in numbers.items() if number != neutral[name]}
