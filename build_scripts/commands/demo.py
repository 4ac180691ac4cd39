"""The verb demo: setup, then the play, in the interpreter that setup made."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from build_scripts import paths
from build_scripts.commands import setup
from build_scripts.console import say


def main(arguments: Sequence[str]) -> None:
    """Set up and replace this process by the play. Raises BuildError."""
    parser = argparse.ArgumentParser(prog="python -m build_scripts demo")
    add_arguments(parser)
    parser.parse_args(arguments)
    setup.main("setup", [])
    say("")
    python = str(paths.PYTHON)
    os.execv(python, [python, "-m", "build_scripts", "play", *arguments])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The flags of the play, which `demo` passes on."""
    parser.add_argument(
        "--verdicts", action="store_true", help="print what the model makes of each email"
    )
