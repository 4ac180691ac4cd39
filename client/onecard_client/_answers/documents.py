"""JSON documents to and from frozen dataclasses, with the place of a mismatch in its message.

Keys that a class does not have are kept in its `extra` field, so that a newer server's answer
survives a round trip. A field whose default is None is left out of the JSON while it is None.
"""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")
Decoder = Callable[[Any], Any]
EXTRA = "extra"


def parse(text: str | bytes) -> Any:
    """JSON, without the `NaN` and `Infinity` that Python adds. Raises: ValueError."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"found `{name}`, which JSON does not have")


class Mismatch(ValueError):
    """A document is not what its class wants; `path` leads to the value that is not."""

    def __init__(self, wanted: str, found: object) -> None:
        super().__init__(wanted, found)
        self.wanted = wanted
        self.found = found
        self.path: list[str] = []

    def __str__(self) -> str:
        found = repr(self.found)
        shown = found if len(found) <= 60 else found[:57] + "..."
        return f"`{'.'.join(self.path) or 'the document'}` is `{shown}`, must be {self.wanted}"


def decode(kind: type[T], document: object) -> T:
    """An instance of the dataclass `kind` from parsed JSON.

    Raises:
        Mismatch: a key is missing or a value has another type.
    """
    document_kind: Any = kind
    return typing.cast(T, _decoder(document_kind)(document))


def encode(value: object) -> Any:
    """Parsed JSON for what `decode` returned; shares no mutable part with it at the top level."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _encode_object(value)
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    return value


def _encode_object(value: Any) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if field.name == EXTRA or (item is None and field.default is None):
            continue
        document[field.name] = encode(item)
    document.update(encode(getattr(value, EXTRA, {})))
    return document


@cache
def _decoder(kind: Any) -> Decoder:
    origin = typing.get_origin(kind)
    arguments = typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _optional(arguments)
    if origin is tuple:
        return _sequence(_decoder(arguments[0]))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping(_decoder(arguments[1]))
    if dataclasses.is_dataclass(kind):
        return _object(kind)
    return _SCALARS.get(kind, _anything)


def _anything(value: Any) -> Any:
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise Mismatch("a text", value)
    return value


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Mismatch("a number", value)
    return float(value)


def _whole_number(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise Mismatch("a whole number", value)
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Mismatch("true or false", value)
    return value


_SCALARS: dict[Any, Decoder] = {str: _text, float: _number, int: _whole_number, bool: _truth}


def _optional(arguments: tuple[Any, ...]) -> Decoder:
    (kind,) = (argument for argument in arguments if argument is not type(None))
    inner = _decoder(kind)
    return lambda value: None if value is None else inner(value)


def _sequence(inner: Decoder) -> Decoder:
    def decode_sequence(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise Mismatch("a list", value)
        items = []
        for index, item in enumerate(value):
            with _At(str(index)):
                items.append(inner(item))
        return tuple(items)

    return decode_sequence


def _mapping(inner: Decoder) -> Decoder:
    def decode_mapping(value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise Mismatch("an object", value)
        items = {}
        for key, item in value.items():
            with _At(key):
                items[key] = inner(item)
        return items

    return decode_mapping


def _object(kind: Any) -> Decoder:
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind) if field.name != EXTRA}
    inner = {name: _decoder(hints[name]) for name in fields}
    required = {
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    }

    def decode_object(value: Any) -> Any:
        if not isinstance(value, dict):
            raise Mismatch("an object", value)
        values: dict[str, Any] = {}
        extra: dict[str, Any] = {}
        for key, item in value.items():
            if key in inner:
                with _At(key):
                    values[key] = inner[key](item)
            else:
                extra[key] = item
        for key in sorted(required - values.keys()):
            with _At(key):
                values[key] = inner[key](None)  # a missing key is as good as null, where null is
        return kind(**values, extra=extra)

    return decode_object


class _At:
    """Puts the step that led to a mismatch in front of its path; unless there is none."""

    __slots__ = ("step",)

    def __init__(self, step: str) -> None:
        self.step = step

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Mismatch):
            error.path.insert(0, self.step)
