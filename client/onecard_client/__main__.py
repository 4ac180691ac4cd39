"""The `onecard` command, and the exit code for each way it can end."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Sequence

from onecard_client._cli.arguments import parse
from onecard_client._clients.blocking import Client
from onecard_client._errors import ConnectionFailed, OnecardError
from onecard_client._output.console import (
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    complain,
)
from onecard_client._transport.interrupt import Terminated, raised


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command and returns its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that it lacks ends no work
            stream.reconfigure(errors="backslashreplace")
    try:
        try:
            with raised():
                return _run(sys.argv[1:] if arguments is None else arguments)
        finally:
            if sys.stdout is not None:  # `>&-`
                sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output, such as `head`, has seen enough
        _discard_output()
        return EXIT_FAILED
    except OSError as error:  # such as a full disk behind `>`
        with contextlib.suppress(OSError):
            _discard_output()
        complain(f"{error.filename or 'standard output'}: {error.strerror or error}")
        return EXIT_FAILED


def _run(arguments: Sequence[str]) -> int:
    try:
        options = parse(arguments)
        client = Client(
            options.url,
            root_certificates=options.root_certificates,
            certificate_chain=options.certificate_chain,
            private_key=options.private_key,
            on_outage=_wait,
        )
        with client:
            code: int = options.run(client, options)
            return code
    except KeyboardInterrupt:
        complain("interrupted")
        return EXIT_INTERRUPTED
    except Terminated as error:
        complain(str(error))
        return 128 + error.number
    except ConnectionFailed as error:
        complain(str(error))
        return EXIT_UNREACHABLE
    except OnecardError as error:
        complain(str(error))
        return EXIT_FAILED
    except ValueError as error:  # the address
        complain(str(error))
        return EXIT_USAGE


def _wait(error: OnecardError) -> None:
    complain(
        "the server was there and is gone; waiting for it to come back for as long as --timeout-s "
        f"allows ({error})"
    )


def _discard_output() -> None:
    """Discards buffered output, which would fail once more when Python ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
