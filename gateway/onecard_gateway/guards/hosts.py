"""Keeps out requests that only a web page of somebody else would send.

A page can have its own name bound to this machine's address (DNS rebinding); the name is then in
`Host`. It can also send forms to any address; then its `Origin` is another one.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Collection
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from onecard_gateway.errors import Refusal

_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^:\[\]]+))(?::[0-9]{0,5})?")
_MAX_SHOWN = 80


class HostGuard:
    """Answers 403 to another name in `Host` than this machine's, and to another `Origin`.

    Args:
        hosts: names that are this gateway's as well, in lower case.
        origins: those whose pages may call.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str], origins: Collection[str]) -> None:
        self._app = app
        self._hosts = {"localhost", socket.gethostname().lower(), *hosts}
        self._origins = origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._refusal(Headers(scope=scope)) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        response = JSONResponse(found.body(scope["path"]), found.status)
        await response(scope, receive, send)

    def _refusal(self, headers: Headers) -> Refusal | None:
        host = headers.get("host")
        # a browser always sends one; what watches a service over HTTP/1.0 does not
        if host is not None and not self._is_own(host):
            return Refusal(
                403,
                f"the host is `{host[:_MAX_SHOWN]}`, must be an address, `localhost` or a name "
                "that the gateway knows; start it with that name in --allowed-hosts",
            )
        origin = headers.get("origin")
        if origin is not None and not self._may_call(origin, host or ""):
            return Refusal(
                403,
                f"the request is of a web page at `{origin[:_MAX_SHOWN]}`, must be of a program "
                "or of the gateway's own pages; start the gateway with it in --allowed-origins",
            )
        return None

    def _is_own(self, host: str) -> bool:
        found = _HOST.fullmatch(host.strip())
        if found is None:
            return False
        name = (found[1] or found[2]).lower().rstrip(".")
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts or name.endswith(".localhost")
        return True  # an address cannot be bound to another one

    def _may_call(self, origin: str, host: str) -> bool:
        try:
            name = urlsplit(origin).netloc
        except ValueError:  # half an address
            return False
        return origin in self._origins or name.lower() == host.lower()
