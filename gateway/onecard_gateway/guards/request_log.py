"""A name and a line in the log for each request, without anything of its content."""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from onecard_gateway.keys.key import Key
from onecard_gateway.metrics import Metrics

LOG = logging.getLogger("onecard_gateway")
ID_HEADER = "x-request-id"
CLIENT_LEFT = 499  # nginx's status where nobody waits for the answer any more
_ID = re.compile(r"[\w.:@/+=-]{1,128}", re.ASCII)
_FACTS = "facts"


@dataclass
class Facts:
    """What a request is known by, and what it turned out to cost."""

    request_id: str
    holder: Key | None = None  # the caller's key
    audio_s: float | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    began_s: float = field(default_factory=time.monotonic)

    def shown(self) -> dict[str, Any]:
        """What the log has of it."""
        found = {
            "key": None if self.holder is None else self.holder.name,
            "audio_s": self.audio_s,
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": self.completion_tokens,
        }
        return {name: value for name, value in found.items() if value is not None}


def facts(request: Request) -> Facts:
    """The facts of a request that came through `RequestLog`."""
    found: Facts = request.scope["state"][_FACTS]
    return found


class RequestLog:
    """Gives each request an id, its caller's if that is one, and logs and counts its end."""

    def __init__(self, app: ASGIApp, metrics: Metrics, is_json: bool) -> None:
        self._app = app
        self._metrics = metrics
        self._is_json = is_json

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = Headers(scope=scope).get(ID_HEADER, "")
        known = Facts(given if _ID.fullmatch(given) else uuid.uuid4().hex)
        scope.setdefault("state", {})[_FACTS] = known
        status = CLIENT_LEFT

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[ID_HEADER] = known.request_id
            await send(message)

        self._metrics.in_flight.inc()
        try:
            await self._app(scope, receive, answer)
        finally:
            self._metrics.in_flight.dec()
            self._tell(scope, status, known)

    def _tell(self, scope: Scope, status: int, known: Facts) -> None:
        took_s = time.monotonic() - known.began_s
        route = getattr(scope.get("route"), "path", "none")  # a path may be anything
        self._count(scope["method"], route, status, took_s, known)
        line = {
            "method": scope["method"],
            "route": route,
            "status": status,
            "seconds": round(took_s, 3),
            **known.shown(),
            "id": known.request_id,
        }
        LOG.info(json.dumps(line) if self._is_json else _text(line))

    def _count(self, method: str, route: str, status: int, took_s: float, known: Facts) -> None:
        self._metrics.requests.labels(method, route, str(status)).inc()
        self._metrics.duration.labels(route).observe(took_s)
        self._metrics.audio.inc(known.audio_s or 0)
        self._metrics.tokens.labels("prompt").inc(known.prompt_tokens or 0)
        self._metrics.tokens.labels("completion").inc(known.completion_tokens or 0)


def _text(line: Mapping[str, Any]) -> str:
    begin = f"{line['method']} {line['route']} {line['status']}"
    rest = {
        name: value for name, value in line.items() if name not in ("method", "route", "status")
    }
    return " ".join([begin, *(f"{name}={value}" for name, value in rest.items())])
