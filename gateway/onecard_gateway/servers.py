"""The onecard servers behind a gateway, and which of them gets the next request."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request

from onecard_client import AsyncClient, ConnectionFailed
from onecard_gateway.settings import Settings

# A hiccup is waited for; whoever calls over HTTP is told of the rest, and asks again.
MAX_RETRIES = 2
# So long a server that did not answer gets nothing, if there is another one.
SHUNNED_S = 10.0


@dataclass
class _Server:
    client: AsyncClient
    num_in_flight: int = 0
    failed_s: float = float("-inf")  # when it last did not answer


class Servers:
    """The clients of all servers, one for each address.

    Raises ValueError for what is no address.
    """

    def __init__(self, settings: Settings) -> None:
        self.timeout_s = settings.timeout_s  # for one request
        self.engines: dict[str, Any] = {}  # by model, as the last results told
        headers = {"authorization": f"Bearer {settings.token}"} if settings.token else None
        self._servers = [
            _Server(
                AsyncClient(
                    url,
                    headers=headers,
                    root_certificates=settings.root_certificates,
                    certificate_chain=settings.certificate_chain,
                    private_key=settings.private_key,
                    max_retries=MAX_RETRIES,
                )
            )
            for url in settings.urls
        ]

    @contextmanager
    def turn(self) -> Iterator[AsyncClient]:
        """The client of the server with the least to do, for one request."""
        server = min(self._servers, key=_load)
        server.num_in_flight += 1
        try:
            yield server.client
        except ConnectionFailed:
            server.failed_s = time.monotonic()
            raise
        finally:
            server.num_in_flight -= 1

    async def close(self) -> None:
        """Ends every connection."""
        for server in self._servers:
            await server.client.close()


def servers(request: Request) -> Servers:
    """Those of the gateway that a request came to."""
    found: Servers = request.app.state.servers
    return found


def _load(server: _Server) -> tuple[bool, int]:
    is_shunned = time.monotonic() - server.failed_s < SHUNNED_S
    return is_shunned, server.num_in_flight
