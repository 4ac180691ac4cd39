"""Lines that a long-running verb prints while it works, and units for them."""

from __future__ import annotations

import contextlib
import datetime
import json
import sys
import time
from collections.abc import Callable

GIB = 2**30
MIB = 2**20
LOG_FORMATS = ("text", "json")
# How a line of a log of JSON lines begins; those of models come as they are.
JSON_LINE = '{"time": "'
_LEVELS = ("warning", "error", "fatal")


class Steps:
    """Numbered steps, one line when each begins and one when it ends."""

    def __init__(self, verb: str, num_steps: int) -> None:
        self._verb = verb
        self._num_steps = num_steps
        self._step = 0
        self._started_s = time.monotonic()

    def begin(self, what: str) -> None:
        """Announce the next step."""
        self._step += 1
        say(f"[{self._step}/{self._num_steps}] {what}")

    def done(self, how: str) -> None:
        """Say how the step that was begun ended."""
        detail(how)

    def end(self, how: str) -> None:
        """The last line, with the seconds that everything took."""
        say(f"{self._verb}: {how} ({time.monotonic() - self._started_s:.0f} s)")


def detail(line: str) -> None:
    """Print one line about the step that was begun."""
    say(f"      {line}")


def say(line: str) -> None:
    """Print one line at once, also into a pipe."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def say_json(line: str) -> None:
    """Print one line as a JSON object of a server's log."""
    if not line.startswith(JSON_LINE):
        now = datetime.datetime.now(tz=datetime.timezone.utc).isoformat(timespec="milliseconds")
        label, colon, _ = line.partition(": ")
        level = label if colon and label in _LEVELS else "info"
        line = json.dumps({"time": now, "level": level, "source": "serve", "message": line})
    say(line)


def undisturbed(say: Callable[[str], None]) -> Callable[[str], None]:
    """`say` of what goes on where nobody can be told: the disk is full, or the reader left."""

    def say_if_possible(line: str) -> None:
        with contextlib.suppress(OSError):
            say(line)

    return say_if_possible


def aside(line: str) -> None:
    """Print one line beside what is printed for machines."""
    sys.stderr.write(line + "\n")


def mib(num_bytes: int) -> str:
    """A size for people."""
    return f"{num_bytes / MIB:.0f} MiB"
