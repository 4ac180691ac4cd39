"""The command line as a whole, with all commands."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Sequence
from typing import Any, NoReturn

from onecard_client import __version__
from onecard_client._cli import (
    chat_command,
    minutes_command,
    status_command,
    transcribe_command,
    triage_command,
)
from onecard_client._cli.parser import Parser, add_url, with_dashes

COMMANDS: tuple[Any, ...] = (
    transcribe_command,
    minutes_command,
    minutes_command.AskCommand,
    chat_command,
    triage_command,
    status_command,
)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line as a namespace with `command` and `run`, or SystemExit with code 2 or 0.

    Everything that is wrong is said at once.
    """
    namespace, unknown = _parser().parse_known_args(with_dashes(arguments))
    faults = [*getattr(namespace, "refusals", ()), *namespace.parser.faults(unknown)]

    def fault(message: str) -> NoReturn:
        faults.append(message)
        raise _Fault

    with contextlib.suppress(_Fault):
        namespace.verify(namespace, fault)
    if faults:
        namespace.parser.error("\n".join(faults))
    return namespace


class _Fault(Exception):
    """Ends a command's verification at the first thing that is wrong."""


def _parser() -> Parser:
    parser = Parser(
        prog="onecard",
        description="Transcribe speech, write minutes, chat, triage emails, on a onecard server.",
    )
    parser.add_argument("--version", "-V", action="version", version=f"onecard {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for module in COMMANDS:
        command = module.add(commands)
        command.set_defaults(parser=command, run=module.run, verify=module.verify)
        add_url(command, is_repeatable=module is transcribe_command)
    return parser
