"""Decodes a JSON object of options into a dataclass: names, types, ranges, one form of message.

The fields of a dataclass, their types and their defaults are the options. A request may also give
them as KServe's parameters, where users of TensorRT-LLM and vLLM write them.
"""

from __future__ import annotations

import functools
import math
import types
import typing
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from onecard import documents
from onecard.contract import pipeline
from onecard.errors import InvalidRequest, named, shown
from onecard.options import names as option_names

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
MAX_LETTERS = 2**22  # of OPTIONS; a schema, a prompt and hot words have some thousands
_WANTED = "a JSON object, or `{}` for the defaults"

# Parameters of a request that are no options. The first row is Triton's: it reads them itself, and
# leaves them to the model where they come by way of `generate`. The second is ours.
_NO_OPTIONS = {
    "binary_data_output", "headers", "id", "priority", "timeout",
    pipeline.CODE_IN_MESSAGE, pipeline.UPLOAD, pipeline.PART, pipeline.IS_LAST,
}  # fmt: skip
# Triton's own, and HTTP headers where an operator forwards them (`--http-header-forward-pattern`).
_NO_OPTION_PREFIXES = ("sequence_", "triton_", "x-", "traceparent", "tracestate")


def parse(kind: type[Options], text: str | bytes, parameters: str = "") -> Options:
    """Options from a JSON object and from a request's parameters, as `decode`.

    Raises:
        InvalidRequest: as `decode`, or what `kind` itself refuses.
    """
    return kind(**decode(kind, text, parameters))


def decode(kind: type[Any], text: str | bytes, parameters: str = "") -> dict[str, Any]:
    """The caller's options by name; every name is a field of the dataclass `kind`.

    A whole number may be written `2.0`. Null is the default where the field cannot be null.
    Parameters that are Triton's or ours are passed over. Texts among them are read as JSON where
    the field takes no text, because old gRPC clients have no other parameters for fractions.

    Args:
        text: OPTIONS, a JSON object; empty for none.
        parameters: the request's as Triton gives them, a JSON object of single values.

    Raises:
        InvalidRequest: not a JSON object, an unknown name (the nearest known one is named), or an
            option with one value in OPTIONS and another one among the parameters.
    """
    found = _object(text)
    options = table(kind)  # type: ignore[arg-type]  # mypy: `type[Any]` is not hashable
    verify_names("OPTIONS", found, options)
    found = {name: options[name].number(value) for name, value in found.items()}
    for name, value in _beside(parameters, options).items():
        if name in found and found[name] != value:
            raise InvalidRequest(
                f"option `{name}` is {shown(found[name])} in OPTIONS and {shown(value)} among the "
                "request's parameters; give it once"
            )
        found[name] = value
    return {
        name: value
        for name, value in found.items()
        if value is not None or options[name].is_nullable
    }


def _object(text: str | bytes) -> dict[str, Any]:
    """OPTIONS."""
    text = text.decode(errors="replace") if isinstance(text, bytes) else text
    documents.verify_size("OPTIONS", text, MAX_LETTERS)
    found = (
        documents.read("OPTIONS", text, _WANTED, max_letters=MAX_LETTERS) if text.strip() else {}
    )
    if not isinstance(found, dict):
        raise InvalidRequest(
            f"OPTIONS is {documents.kind(found)}, must be an object; send {_WANTED}"
        )
    return found


def _beside(parameters: str, options: Mapping[str, Option]) -> dict[str, Any]:
    """The options among a request's parameters."""
    found = _parameters(parameters)
    if not _is_time(found.get("timeout", 0)):
        raise wrong(
            "timeout", found["timeout"], "a whole number of microseconds, or 0 for no limit"
        )
    given = {
        name: value
        for name, value in found.items()
        if name in options
        or not (name in _NO_OPTIONS or name.lower().startswith(_NO_OPTION_PREFIXES))
    }
    verify_names("the request beside OPTIONS", given, options)
    return {name: _parameter(value, options[name]) for name, value in given.items()}


def timeout_s(parameters: str) -> float | None:
    """KServe's `timeout` where `generate` leaves it among the parameters, in microseconds there.

    None is no limit. What is no time is passed over here and refused by `decode`.
    """
    try:
        found = _parameters(parameters).get("timeout")
    except InvalidRequest:
        return None
    return found / 1e6 if _is_time(found) and found else None


def _is_time(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _parameters(text: str) -> dict[str, Any]:
    found: dict[str, Any] = documents.read(
        "the request's parameters", text or "{}", "one of each", max_letters=MAX_LETTERS
    )
    return found


def _parameter(value: Any, option: Option) -> Any:
    if isinstance(value, str) and option.reads_json(value):
        try:
            value = documents.read("", value, "")
        except InvalidRequest:
            return value  # of a type that its option refuses by name
    return option.number(value)


def verify_names(where: str, names: Iterable[str], known: Collection[str]) -> None:
    """Refuse the first name that is not known, with the nearest one that is."""
    for name in names:
        if name not in known:
            hint = option_names.hint(name[:MAX_NAME_LETTERS], known)
            raise InvalidRequest(f"{where} has the unknown option {named(name)}; {hint}")


MAX_NAME_LETTERS = 100  # of an unknown one, that are compared with those known


def wrong(name: str, value: object, wanted: str) -> InvalidRequest:
    """An option's refusal; of a long value its beginning and its end are quoted."""
    return InvalidRequest(f"option `{name}` is {shown(value)}, must be {wanted}")


def verify_types(options: Any) -> None:
    """Refuse a field of a type that its annotation does not allow; of `list[str]`, the list."""
    known = table(type(options))  # type: ignore[arg-type]  # mypy: `type[Any]` is not hashable
    for name, option in known.items():
        value = getattr(options, name)
        if not option.accepts(value):
            raise wrong(name, value, option.wanted)


def verify_ranges(options: Any, ranges: Mapping[str, tuple[float, float]]) -> None:
    """Refuse a number that is not between its limits, which are allowed themselves.

    Every number needs both: engines take 32 bits of most of them.
    """
    for name, (low, high) in ranges.items():
        value = getattr(options, name)
        if value is not None and not low <= value <= high:
            wanted = f"at least {low}" if math.isinf(high) else f"between {low} and {high}"
            raise wrong(name, value, wanted)


@dataclass(frozen=True)
class Option:
    """The values that one option may have, by its field's annotation."""

    types: tuple[type, ...]  # JSON's idea of them: an int is a float, a bool is neither
    choices: tuple[Any, ...]  # of a `Literal`; empty for any value of the types
    wanted: str  # for messages

    @classmethod
    def from_hint(cls, hint: Any) -> Option:
        is_union = isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union
        members = typing.get_args(hint) if is_union else (hint,)
        choices = [
            choice
            for member in members
            if typing.get_origin(member) is typing.Literal
            for choice in typing.get_args(member)
        ]
        if choices:
            return cls((), tuple(choices), "one of " + ", ".join(f"`{c}`" for c in choices))
        kinds = tuple(typing.get_origin(member) or member for member in members)
        return cls(kinds, (), " or ".join(_JSON_NAMES.get(kind, "anything") for kind in kinds))

    @property
    def is_nullable(self) -> bool:
        return type(None) in self.types

    def accepts(self, value: Any) -> bool:
        if self.choices:
            return value in self.choices
        if isinstance(value, bool):
            return bool in self.types
        return isinstance(value, self.types) or (float in self.types and isinstance(value, int))

    def number(self, value: Any) -> Any:
        """`value`, of which 2.0 is the whole number 2 where only that is an option."""
        is_whole = isinstance(value, float) and value.is_integer()
        return int(value) if is_whole and int in self.types and float not in self.types else value

    def reads_json(self, text: str) -> bool:
        """Whether a parameter's text stands for something else, such as a list."""
        if self.choices:
            return False
        return str not in self.types or (list in self.types and text.lstrip().startswith("["))


@functools.cache
def table(kind: type) -> Mapping[str, Option]:
    """Each field's option; made once, because reading annotations takes longer than the rest."""
    return {name: Option.from_hint(hint) for name, hint in typing.get_type_hints(kind).items()}
