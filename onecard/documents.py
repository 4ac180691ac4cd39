"""Reads JSON from callers and writes JSON for them.

RFC 8259 leaves some cases to each reader: the depth of nesting, the size of numbers, a name that
comes twice, and half of a character. Here they are refused or replaced before other code sees them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from functools import partial
from typing import Any, NoReturn

from onecard.errors import InvalidRequest, named

MAX_DEPTH = 100  # lists and objects within one another; a schema of ten levels takes about 30
MAX_LETTERS = 2**28  # of one document; those of six hours of speech have some 50 million
MAX_DIGITS = 300  # of a whole number; Python's own limit is 4,300, that of a float 308

LETTERS_PER_VALUE = 32
MIN_VALUES = 100_000  # that every document may have

_TEXT = re.compile(r'"[^"]*"?')  # where none has a quotation mark inside
_HALF = re.compile("[\ud800-\udfff]")
_KINDS: dict[type, str] = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a number",
    list: "a list",
    str: "a text",
    type(None): "null",
}


def read(
    name: str, text: str, wanted: str, mended: bool = True, max_letters: int = MAX_LETTERS
) -> Any:
    """The value that the JSON `text` holds, U+FFFD in place of each half of a character.

    JavaScript's `slice` cuts an emoji in two, and JSON has the half as `\\ud83d`; no UTF-8 has it.
    A byte order mark at the beginning is passed over.

    Args:
        name: of the input, for messages.
        wanted: what to send in its place, for messages, such as `a JSON object`.
        mended: False leaves halves as they are, for texts that come back as they went in.

    Raises:
        InvalidRequest: it is empty or no JSON, too long as `verify_size` says, goes deeper than
            MAX_DEPTH, has a number that is not finite or has more than MAX_DIGITS digits, or gives
            one name two values.
    """
    verify_size(name, text, max_letters)
    text = text.removeprefix("\ufeff")
    if not text.strip():
        raise InvalidRequest(f"{name} is empty; send {wanted}")
    mend = valid if mended else str
    try:
        found = json.loads(
            text,
            object_pairs_hook=partial(_object, name, mend),
            parse_constant=partial(_refuse_number, name, "no number that JSON has"),
            parse_float=partial(_float, name),
            parse_int=partial(_int, name),
        )
        return _mended(name, found, mend, MAX_DEPTH)
    except ValueError as error:
        raise InvalidRequest(f"{name} is not JSON ({error}); send {wanted}") from error
    except RecursionError as error:
        raise _too_deep(name) from error


def verify_size(name: str, text: str, max_letters: int) -> None:
    """Refuse JSON that is too long, or whose values would take far more memory than its text.

    An empty list takes 72 bytes of Python and three characters of JSON. The longest document may
    have one value for each LETTERS_PER_VALUE characters.
    """
    if len(text) > max_letters:
        raise InvalidRequest(
            f"{name} has {len(text)} letters, must have at most {max_letters}; send less at a time"
        )
    max_values = max(MIN_VALUES, max_letters // LETTERS_PER_VALUE)
    if _num_marks(text) > max_values and _num_marks(_without_texts(text)) > max_values:
        raise InvalidRequest(
            f"{name} holds too many values (numbers, texts, lists, objects), must have at most "
            f"{max_values}; send less at a time"
        )


def _num_marks(text: str) -> int:
    """Count the marks that precede values: each value but the first has one."""
    return sum(map(text.count, ",[{:"))


def _without_texts(text: str) -> str:
    return _TEXT.sub("", text.replace(r"\\", "").replace(r"\"", ""))


class Json(str):
    """A document that is JSON text already; `write` puts it into an object as it is."""


def write(document: Any) -> str:
    """JSON that UTF-8 can carry, with U+FFFD in place of each half of a character.

    A member of `document` that is `Json` is neither read nor checked.
    """
    if not isinstance(document, Mapping) or not any(
        isinstance(value, Json) for value in document.values()
    ):
        return valid(json.dumps(document, ensure_ascii=False))
    members = (
        f"{write(name)}: {value if isinstance(value, Json) else write(value)}"
        for name, value in document.items()
    )
    return "{" + ", ".join(members) + "}"


def valid(text: str) -> str:
    """`text` with U+FFFD in place of each half of a character."""
    return text if text.isascii() else _HALF.sub("\ufffd", text)


def kind(value: Any) -> str:
    """JSON's name for the type of `value`, for messages: `a list`."""
    return _KINDS.get(type(value), type(value).__name__)


def _object(name: str, mend: Any, members: list[tuple[str, Any]]) -> dict[str, Any]:
    """Python takes the last value of a name, others the first: a caller would not know which."""
    found: dict[str, Any] = {}
    for key, value in members:
        key = mend(key)
        if key in found and found[key] != value:
            raise InvalidRequest(
                f"{name} has the name {named(key)} twice in one object, with different values; "
                "give it once"
            )
        found[key] = value
    return found


def _float(name: str, text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse_number(name, "too large", text)


def _int(name: str, text: str) -> int:
    if len(text) > MAX_DIGITS:
        _refuse_number(name, f"{len(text)} digits long", text)
    return int(text)


def _refuse_number(name: str, what: str, text: str) -> NoReturn:
    raise InvalidRequest(
        f"{name} has {named(text)}, which is {what}; give a finite number, or leave it out"
    )


def _mended(name: str, value: Any, mend: Any, depth: int) -> Any:
    if isinstance(value, str):
        return mend(value)
    if isinstance(value, (list, dict)):
        if not depth:
            raise _too_deep(name)
        places = enumerate(value) if isinstance(value, list) else value.items()
        for place, item in places:  # in place: the document is not held twice
            value[place] = _mended(name, item, mend, depth - 1)
    return value


def _too_deep(name: str) -> InvalidRequest:
    return InvalidRequest(
        f"{name} is not JSON that is read here: lists and objects lie within one another more than "
        f"{MAX_DEPTH} deep; send it flatter"
    )
