"""`onecard status`: how a server is doing."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import Any

from onecard_client import __version__
from onecard_client._client import Client
from onecard_client._output.console import EXIT_FAILED, EXIT_OK, escaped, printable

EPILOG = """\
exit codes: 0 the server is ready, 1 it answers and is not ready, 2 wrong usage, 3 no server at the
address
"""


def add(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "status", help="show the server's models and versions", epilog=EPILOG
    )
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    return parser


def verify(options: argparse.Namespace, error: Any) -> None:
    """Every combination is good."""


def run(client: Client, options: argparse.Namespace) -> int:
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
    return EXIT_OK if health.ready else EXIT_FAILED
