"""Bodies in JSON, whatever content type they are said to have."""

from __future__ import annotations

import json
import re
import reprlib
from typing import Any

from starlette.requests import Request

from onecard_gateway.errors import Refusal

# As much as the door of a server takes; a conversation that fits any context is far smaller.
MAX_JSON_BYTES = 64 * 2**20
_MAX_SHOWN = 80
_HALVES = re.compile("[\ud800-\udfff]")  # of a character, which UTF-8 cannot carry


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object in the body.

    Raises:
        Refusal: something else, or too much of it.
        ClientDisconnect: its sender left before the end.
    """
    data = bytearray()
    async for piece in request.stream():
        data += piece
        if len(data) > MAX_JSON_BYTES:
            raise Refusal(413, f"the body has more than {MAX_JSON_BYTES} bytes of JSON; shorten it")
    try:
        found = json.loads(bytes(data), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the body is not JSON ({error}); send one JSON object") from error
    if not isinstance(found, dict):
        raise Refusal(400, f"the body is {type(found).__name__}, must be a JSON object; send one")
    return found


def _refuse_constant(name: str) -> float:
    raise ValueError(f"it has `{name}`, which JSON does not have")


def flag(found: dict[str, Any], name: str, default: bool) -> bool:
    """Takes a truth value out of an object. Raises Refusal for another value."""
    value = found.pop(name, None)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise wrong(name, value, "true or false")
    return value


def text(found: dict[str, Any], name: str, default: str) -> str:
    """Takes a text out of an object. Raises Refusal for another value."""
    value = found.pop(name, None)
    if value is None:
        return default
    if not isinstance(value, str):
        raise wrong(name, value, "a text")
    return _HALVES.sub("\ufffd", value)


def wrong(name: str, value: object, wanted: str) -> Refusal:
    """The refusal of a value."""
    shown = reprlib.repr(value)[:_MAX_SHOWN]  # also of what is nested deeply
    return Refusal(400, f"`{name}` is `{shown}`, must be {wanted}; correct it", name)
