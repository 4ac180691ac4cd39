"""Minutes as a form asks for them, and what becomes of their events."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Any

from starlette.requests import Request

from onecard_client import InvalidRequest, OnecardError
from onecard_client.minutes import Answer, Minutes, MinutesEvent, MinutesSummary, event_to_dict
from onecard_gateway.errors import Refusal, refusal
from onecard_gateway.guards.request_log import facts
from onecard_gateway.keys.key import TEXT
from onecard_gateway.servers import servers
from onecard_gateway.speech.form import Fields

TEMPLATES = ["meeting", "interview", "call", "lecture", "medical", "custom"]
Document = dict[str, Any]
_TEXTS = ("template", "instructions", "question", "language")
_NUMBERS = ("part_tokens", "max_tokens", "seed")
_MAX_SHOWN = 80
VERIFY_S = 5.0


def options(fields: Fields) -> Document:
    """The server's options for minutes, `stream` among them. Raises Refusal as `Fields` does."""
    found: Document = {name: fields.text(name) for name in _TEXTS}
    found |= {name: fields.whole(name) for name in _NUMBERS}
    found |= {name: _object(fields, name) for name in ("schema", "speakers")}
    found |= {"stream": fields.flag("stream"), "temperature": fields.number("temperature")}
    return {name: value for name, value in found.items() if value is not None}


def _object(fields: Fields, name: str) -> Document | None:
    text = fields.text(name)
    if text is None:
        return None
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise Refusal(
            400,
            f"`{name}` is `{text[:_MAX_SHOWN]}`, must be a JSON object; correct it or leave it out",
            name,
        )
    return found


def verify_scopes(request: Request) -> None:
    """Refuse a key that may have recordings transcribed and no minutes made."""
    holder = facts(request).holder
    if holder is not None and TEXT not in holder.scopes:
        raise Refusal(
            403,
            f"the key `{holder.name}` has the scopes `{', '.join(holder.scopes)}`, must have "
            f"`{TEXT}` as well for minutes; use another key, or have one added",
            code="insufficient_permissions",
        )


async def verify(request: Request, options: Mapping[str, Any]) -> None:
    """Refuse options that the server refuses, before a recording is transcribed for them.

    It is asked for the minutes of nothing, which costs nothing. One that is not there is not waited
    for: what is accepted meanwhile is refused later.
    """
    known, found = facts(request), servers(request)
    told = {name: value for name, value in options.items() if name != "speakers"}  # nobody speaks
    try:
        with found.turn() as client:
            stream = client.minutes_stream(
                {"segments": []}, timeout_s=VERIFY_S, request_id=known.request_id, **told
            )
            async with aclosing(stream):
                async for _ in stream:
                    pass
    except InvalidRequest as error:
        raise refusal(error) from error
    except OnecardError:
        return


async def whole(events: AsyncIterator[MinutesEvent]) -> Document:
    """The minutes or the answer, with the account of the work."""
    document: Document = {}
    async for event in events:
        if isinstance(event, Minutes | Answer):
            document = event.to_dict()
        elif isinstance(event, MinutesSummary):
            document["account"] = event_to_dict(event)["summary"]
    return document
