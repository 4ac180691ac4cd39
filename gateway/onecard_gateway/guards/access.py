"""Lets in who has a key for what is asked, as far as its limits go.

What a route needs is said where it is declared, by `needs`.
"""

from __future__ import annotations

import base64
import time
from contextlib import ExitStack
from typing import Any

from fastapi import Depends, Security
from fastapi.security import HTTPBearer
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onecard_gateway.errors import Refusal
from onecard_gateway.guards.request_log import facts
from onecard_gateway.guards.usage_file import Used
from onecard_gateway.keys.key import Key
from onecard_gateway.keys.keyring import Keyring

_ENTRY = "entry"
HOW = "send it as `Authorization: Bearer KEY`, as the password of Basic, or as `api-key`"
_TOLD = Security(HTTPBearer(scheme_name="key", description=f"A key: {HOW}.", auto_error=False))


class Access:
    """Holds the keys and what they have used.

    A request's use ends before the last of its answer is sent: whoever has that may ask again.

    Args:
        used: what keys have used, by their hashes.
    """

    def __init__(self, app: ASGIApp, keyring: Keyring, used: Used) -> None:
        self._app = app
        self._keyring = keyring
        self._used = used

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with ExitStack() as held:
            scope["state"][_ENTRY] = (self, held)
            await self._app(scope, receive, _ending(send, held))

    def admit(self, request: Request, held: ExitStack, scopes: tuple[str, ...]) -> None:
        """Raises Refusal for who has no key, not the scope, or used its limits."""
        if not self._keyring.is_needed():
            return
        key = self._key(request.headers)
        known = facts(request)
        known.holder = key
        if not {*scopes} & {*key.scopes}:
            raise Refusal(
                403,
                f"the key `{key.name}` has the scopes `{', '.join(key.scopes)}`, must have "
                f"`{'` or `'.join(scopes)}` for this; use another key, or have one added with "
                f"`--scopes {scopes[0]}`",
                code="insufficient_permissions",
            )
        usage = self._used[key.sha256]
        work = scopes[0] if request.method == "POST" else None
        usage.begin(key, work, time.monotonic())
        held.callback(lambda: usage.end(work, known.audio_s, time.monotonic()))

    def knows(self, request: Request) -> bool:
        """Whether a caller has a key, where one is needed."""
        if not self._keyring.is_needed():
            return True
        return self._keyring.find(_given(request.headers)) is not None

    def _key(self, headers: Headers) -> Key:
        given = _given(headers)
        if not given:
            raise _stranger(f"the request has no key, must have one of this gateway's; {HOW}")
        key = self._keyring.find(given)
        if key is None:
            raise _stranger(
                "the key is none that this gateway knows; correct it, or have one made with "
                "`python -m onecard_gateway keys add NAME`"
            )
        return key


def _ending(send: Send, held: ExitStack) -> Send:
    async def ending(message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            held.close()
        await send(message)

    return ending


def is_known(request: Request) -> bool:
    """Whether a caller of what is open to all has a key, where the gateway asks for keys."""
    access, _ = request.scope["state"][_ENTRY]
    known: bool = access.knows(request)
    return known


def needs(*scopes: str, of_forms: tuple[str, ...] = ()) -> Any:
    """A dependency of routes that are for callers whose key has one of these scopes.

    It has `scopes` as an attribute of what it calls.

    Args:
        of_forms: in place of `scopes` where a form comes, which brings a recording.
    """

    # `told` is for the OpenAPI document; it knows no other place of a key than Bearer.
    async def admitted(request: Request, told: Any = _TOLD) -> None:
        access, held = request.scope["state"][_ENTRY]
        kind = request.headers.get("content-type", "").strip().lower()
        is_form = bool(of_forms) and kind.startswith("multipart/form-data")
        access.admit(request, held, of_forms if is_form else scopes)

    admitted.scopes = scopes  # type: ignore[attr-defined]
    return Depends(admitted)


def _stranger(message: str) -> Refusal:
    return Refusal(401, message, code="invalid_api_key")


def _given(headers: Headers) -> list[str]:
    """Whatever a request has where a key may be."""
    found = [_authorization(one) for one in headers.getlist("authorization")]
    return [one for one in (*found, *headers.getlist("api-key")) if one]


def _authorization(value: str) -> str:
    """The key in a header; empty where there is none."""
    kind, _, rest = value.strip().partition(" ")
    if kind.lower() == "bearer":
        return rest.strip()
    if kind.lower() != "basic":
        return ""
    try:
        return base64.b64decode(rest.strip(), validate=True).decode().partition(":")[2]
    except ValueError:
        return ""
