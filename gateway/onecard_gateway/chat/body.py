"""Bodies in JSON, whatever content type they are said to have."""

from __future__ import annotations

import json
import re
import reprlib
from typing import Any

from starlette.requests import Request

from onecard_gateway.errors import Refusal

# It is read at once while nobody else is answered: in 0.1 s. A conversation that fits any context
# is far smaller.
MAX_JSON_BYTES = 8 * 2**20
# Of what has a transcript: a day of speech, whose words have times.
MAX_TRANSCRIPT_BYTES = 32 * 2**20
_MAX_SHOWN = 80
_HALVES = re.compile("[\ud800-\udfff]")  # of a character, which UTF-8 cannot carry


async def read_object(request: Request, max_bytes: int = MAX_JSON_BYTES) -> dict[str, Any]:
    """The JSON object in the body.

    Raises:
        Refusal: something else, or too much of it.
        ClientDisconnect: its sender left before the end.
    """
    stated = request.headers.get("content-length", "")
    if stated.isdecimal() and int(stated) > max_bytes:
        raise _too_large(stated, max_bytes)
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > max_bytes:
            raise _too_large(f"more than {max_bytes}", max_bytes)
    try:
        found = json.loads(bytes(data), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the body is not JSON ({error}); send one JSON object") from error
    if not isinstance(found, dict):
        raise Refusal(400, f"the body is {type(found).__name__}, must be a JSON object; send one")
    return found


def _too_large(num_bytes: str, max_bytes: int) -> Refusal:
    return Refusal(
        413,
        f"the JSON has {num_bytes} bytes, must have at most {max_bytes}; send less",
    )


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it has `{name}`, which JSON does not have")


def take_flag(body: dict[str, Any], name: str, default: bool) -> bool:
    """Takes a truth value out of an object. Raises Refusal for another value."""
    value = body.pop(name, None)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise wrong(name, value, "true or false")
    return value


def take_text(body: dict[str, Any], name: str, default: str) -> str:
    """Takes a text out of an object. Raises Refusal for another value."""
    value = body.pop(name, None)
    if value is None:
        return default
    if not isinstance(value, str):
        raise wrong(name, value, "a text")
    return _HALVES.sub("\ufffd", value)


def wrong(name: str, value: object, wanted: str) -> Refusal:
    """The refusal of a value."""
    shown = reprlib.repr(value)[:_MAX_SHOWN]  # also of what is nested deeply
    return Refusal(400, f"`{name}` is `{shown}`, must be {wanted}; correct it", name)
