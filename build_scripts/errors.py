"""What a build script tells the person who ran it; the class carries the exit status.

BuildError
├── PlanError        a plan cannot be read or does not fit
├── MachineError     this machine lacks something that setup cannot bring
├── CheckpointError  a model file cannot be used, or not by the engine that the plan names
├── DownloadError    a package could not be fetched, or is not the one that was pinned
├── InstallError     a step of setup failed
├── PortTaken        something else listens where the server is to listen
└── ServerError      the server did not start, ended, or does not answer
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence


class BuildError(Exception):
    """Printed without a traceback; `exit_code` becomes the exit status."""

    exit_code = 1


class PlanError(BuildError):
    """A plan cannot be read, is contradictory or does not fit its card."""

    exit_code = 2


class MachineError(BuildError):
    """This machine lacks something that setup cannot bring by itself."""

    exit_code = 3


class DownloadError(BuildError):
    """A package could not be fetched, or its content is not the pinned one."""

    exit_code = 4


class InstallError(BuildError):
    """A step of setup failed after its downloads were there."""

    exit_code = 5


class PortTaken(BuildError):
    """Another process listens where the server is to listen."""

    exit_code = 6


class ServerError(BuildError):
    """The server did not start, ended, or does not answer."""

    exit_code = 7


class CheckpointError(BuildError):
    """A model file cannot be used, or not by the engine that the plan names."""

    exit_code = 8


def run(main: Callable[[Sequence[str]], None]) -> None:
    """Call the `main` of a module that is a program, and end the process where it cannot go on."""
    try:
        main(sys.argv[1:])
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(error.exit_code)
