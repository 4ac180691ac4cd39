"""A JSON object of options as a dataclass: names, types and ranges, in one form of message.

It knows no option; each dataclass's fields, their types and their defaults are the options.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import json
import math
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from onecard.errors import InvalidRequest

Options = TypeVar("Options")

_JSON_NAMES: dict[Any, str] = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a whole number",
    list: "a list",
    str: "a text",
    type(None): "null",
}


def parse(kind: type[Options], text: str | bytes) -> Options:
    """Options from a JSON object; an empty text means the defaults.

    Raises:
        InvalidRequest: not a JSON object, an unknown name (the nearest known one is named), or
            what `kind` itself refuses.
    """
    try:
        found = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise InvalidRequest(
            f"OPTIONS is not JSON ({error}); send a JSON object, or `{{}}` for the defaults"
        ) from error
    if not isinstance(found, dict):
        raise InvalidRequest(
            f"OPTIONS is a JSON {type(found).__name__}, must be an object; "
            "send `{}` for the defaults"
        )
    fields = dataclasses.fields(kind)  # type: ignore[arg-type]
    verify_names("OPTIONS", found, [field.name for field in fields])
    return kind(**found)


def verify_names(where: str, found: Iterable[str], known: list[str]) -> None:
    """Refuse the first name that is not known, with the nearest one that is."""
    for name in found:
        if name not in known:
            near = difflib.get_close_matches(name.replace("-", "_"), known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known options: {', '.join(known)}"
            raise InvalidRequest(f"{where} has the unknown option `{name}`; {hint}")


def wrong(name: str, value: object, wanted: str) -> InvalidRequest:
    return InvalidRequest(f"option `{name}` is `{value!r}`, must be {wanted}")


def verify_types(options: Any) -> None:
    """Refuse a field of a type that its annotation does not allow; of `list[str]`, the list."""
    hints = _hints(type(options))  # type: ignore[arg-type]  # mypy: `type[Any]` is not hashable
    for field in dataclasses.fields(options):
        value = getattr(options, field.name)
        allowed = _members(hints[field.name])
        choices = [choice for member in allowed for choice in _choices(member)]
        if choices:
            if value not in choices:
                raise wrong(field.name, value, "one of " + ", ".join(f"`{c}`" for c in choices))
        elif not any(_is_a(value, member) for member in allowed):
            names = [_JSON_NAMES[typing.get_origin(member) or member] for member in allowed]
            raise wrong(field.name, value, " or ".join(names))


@functools.cache
def _hints(kind: type) -> Mapping[str, Any]:
    """Types by field, read once: that took half of what `chat` does ahead of the engine."""
    return typing.get_type_hints(kind)


def verify_ranges(options: Any, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Refuse a number that is not between its limits, which are allowed themselves."""
    for name, (low, high) in ranges.items():
        value = getattr(options, name)
        if value is not None and not low <= value <= high:
            wanted = f"at least {low}" if math.isinf(high) else f"between {low} and {high}"
            raise wrong(name, value, wanted)


def _members(hint: Any) -> tuple[Any, ...]:
    is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
    return typing.get_args(hint) if is_union else (hint,)


def _choices(member: Any) -> tuple[Any, ...]:
    return typing.get_args(member) if typing.get_origin(member) is typing.Literal else ()


def _is_a(value: object, kind: Any) -> bool:
    """JSON's idea of types: an int is a float, a bool is neither."""
    if isinstance(value, bool):
        return kind is bool
    return isinstance(value, (int, float) if kind is float else typing.get_origin(kind) or kind)
