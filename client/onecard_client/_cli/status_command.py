"""`onecard status`: how a server is doing."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from dataclasses import asdict
from typing import Any

from onecard_client import __version__
from onecard_client._cli import server_load
from onecard_client._clients.blocking import Client
from onecard_client._errors import OnecardError
from onecard_client._output.console import EXIT_FAILED, EXIT_OK, escaped, printable
from onecard_client._transport.channel import Address
from onecard_client.health import Health

METRICS_VARIABLE = "ONECARD_METRICS_URL"
METRICS_PORT = 8002
WATCH_S = 2.0  # from one look to the next
# Where the terminal's cursor goes before the next look, and what was there is erased.
_HOME = "\033[H\033[J"
EPILOG = """\
exit codes: 0 the server is ready, 1 it answers and is not ready, 2 wrong usage, 3 no server at the
address
"""


def add(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "status",
        usage="onecard status [OPTION ...]",
        help="show the server's models and versions",
        epilog=EPILOG,
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.add_argument(
        "--watch",
        nargs="?",
        type=float,
        const=WATCH_S,
        metavar="SECONDS",
        help=f"show the load again and again, every {WATCH_S:g} s, until Ctrl-C",
    )
    parser.add_argument(
        "--metrics-url",
        default=os.environ.get(METRICS_VARIABLE),
        help="where the server's metrics are, for --watch; by default port "
        f"{METRICS_PORT} of its host, or what {METRICS_VARIABLE} says",
    )
    return parser


def verify(options: argparse.Namespace, error: Any) -> None:
    """Calls `error` with a message for what cannot be followed."""
    if options.watch is not None and options.watch <= 0:
        error(f"--watch is {options.watch:g}, must be more than 0")
    if options.watch is not None and options.json:
        error("--watch is for a terminal, --json for programs; give one of them")


def run(client: Client, options: argparse.Namespace) -> int:
    if options.watch is not None:
        return _watch(client, options)
    return _show(client, options)


def _watch(client: Client, options: argparse.Namespace) -> int:
    """Show the load until Ctrl-C; where the first look fails the address is wrong."""
    url = options.metrics_url or _metrics_url(options.url)
    start = _HOME if sys.stdout.isatty() else ""
    before, looked_s = None, time.monotonic()
    while True:
        now_s = time.monotonic()
        try:
            load = server_load.fetched(url)
            state = "ready" if client.health().ready else "not ready"
            lines = server_load.lines(load, before, now_s - looked_s)
            before, looked_s = load, now_s
        except OnecardError as error:
            if before is None:
                raise
            state, lines = f"no answer: {error}", []  # it may be started again meanwhile
        shown = [f"{time.strftime('%H:%M:%S')}  {options.url}: {state}", *lines]
        print(start + "\n".join(map(printable, shown)), flush=True)
        time.sleep(options.watch)


def _metrics_url(url: str) -> str:
    host = Address.parse(url).target.rpartition(":")[0]
    return f"http://{host}:{METRICS_PORT}/metrics"


def _speech(health: Health) -> list[str]:
    """The Whispers, where there is one to choose."""
    if len(health.speech_models) < 2:
        return []
    width = max(len(model.name) for model in health.speech_models)
    lines = ["models for speech, the usual one first:"]
    for model in health.speech_models:
        absent = "not loaded, on demand" if model.on_demand else "not ready"
        lines.append(f"  {model.name:<{width}}  {'loaded' if model.loaded else absent}")
    return lines


def _show(client: Client, options: argparse.Namespace) -> int:
    health = client.health()
    if options.json:
        document = {"url": options.url, "client_version": __version__, **asdict(health)}
        print(escaped(json.dumps(document)))
    else:
        state = "ready" if health.ready else "live, not ready" if health.live else "not live"
        server = f"{health.server_name} {health.server_version}"
        print(printable(f"{options.url}: {state}"))
        print(printable(f"server {server}, client onecard {__version__}"))
        width = max(len(model.name) for model in health.models)
        for model in health.models:
            ready = "ready" if model.ready else "not ready"
            print(printable(f"  {model.name:<{width}}  {ready}"))
        for line in _speech(health):
            print(printable(line))
    return EXIT_OK if health.ready else EXIT_FAILED
