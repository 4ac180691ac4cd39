"""`onecard-gateway`: serves until it is told to stop, then lets the requests in flight end."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence

import uvicorn
from opentelemetry import trace
from starlette.types import ASGIApp

from onecard_gateway import tls
from onecard_gateway.app import create_app
from onecard_gateway.guards import traces
from onecard_gateway.guards.json_lines import JsonLines
from onecard_gateway.guards.request_log import LOG
from onecard_gateway.keys import command
from onecard_gateway.settings import Settings, SettingsError, from_command_line

KEEP_ALIVE_S = 75


def main(arguments: Sequence[str] | None = None) -> int:
    """Serves, or with `keys` first, changes who may come in.

    Exit codes: 0 stopped or done, 1 the port cannot be had, 2 wrong settings.
    """
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["keys"]:
        return command.main(given[1:], os.environ)
    try:
        settings = from_command_line(given, os.environ)
        server = Server(settings)
    except (SettingsError, ValueError, OSError) as error:
        print(f"onecard-gateway: {error}", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    if settings.log_json:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JsonLines())
    _trace()
    # It tells of each form that is none, which is answered.
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    if settings.is_open and settings.tls_certificate is None:
        LOG.warning(
            "whatever callers send, keys too, can be read on its way to %s; give a certificate "
            "(--tls-certificate), or put a proxy with TLS in front",
            settings.host,
        )
    return _serve(server, settings)


def _trace() -> None:
    """Send spans, where OpenTelemetry's variables name a collector."""
    try:
        found = traces.provider(os.environ)
    except ImportError as error:
        LOG.warning("%s", error)
        return
    if found is not None:
        trace.set_tracer_provider(found)  # which sends what is left when the process ends


class Server(uvicorn.Server):
    """One gateway, whose callers that only watch do not hold up its end.

    Raises as `create_app` does.
    """

    def __init__(self, settings: Settings) -> None:
        self._on_stop: list[Callable[[], None]] = []
        super().__init__(_config(create_app(settings, self._on_stop.append), settings))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for call in self._on_stop:
            call()
        await super().shutdown(sockets)


def _serve(server: Server, settings: Settings) -> int:
    """Serves until a signal comes. Exit codes as those of `main`."""
    # uvicorn raises the signal again that ended it, for whoever waits for that: nobody here.
    for wanted in (signal.SIGINT, signal.SIGTERM):
        signal.signal(wanted, lambda number, frame: sys.exit(0))
    with contextlib.suppress(SystemExit):  # also uvicorn's own, whose codes are others
        server.run()
    if server.started:
        return 0
    LOG.error(
        "port %d of %s cannot be had: stop what listens there, or choose another with --port",
        settings.port,
        settings.host,
    )
    return 1


def _config(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        access_log=False,  # a line of it has the path, and so perhaps content
        log_config=None,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
        server_header=False,
        lifespan="on",
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        ssl_ciphers=tls.CIPHERS,
    )


if __name__ == "__main__":
    sys.exit(main())
