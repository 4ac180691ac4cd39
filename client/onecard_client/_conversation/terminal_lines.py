"""Lines typed at a terminal, with readline's editing where Python has it."""

from __future__ import annotations

import contextlib
import importlib
import os
import select
import sys
from collections.abc import Iterator
from typing import Any, TextIO

from onecard_client._conversation.question import Lines
from onecard_client._output.console import complain, is_terminal

try:
    import termios
    import tty
except ImportError:  # Windows
    TERMINAL_ERRORS: tuple[type[Exception], ...] = (AttributeError, OSError, ValueError)
else:
    TERMINAL_ERRORS = (termios.error, OSError, ValueError)

# A paste without marks arrives in pieces, as the terminal and ssh send it; nobody types so fast.
PASTE_GAP_S = 0.05
READ_BYTES = 65536
# What a terminal that edits lines itself drops the rest of (Linux, termios(3), "Canonical and
# noncanonical mode").
MAX_LINE_BYTES = 4095


def open_lines() -> Lines:
    """The lines of standard input, which has to be a terminal."""
    if os.name == "nt":
        return ConsoleLines()
    if is_terminal(sys.stdout):  # else `input` edits nothing
        with contextlib.suppress(ImportError):
            return EditedLines(importlib.import_module("readline"))
    return PlainLines(sys.stdin, sys.stdout if is_terminal(sys.stdout) else sys.stderr)


class EditedLines:
    """Lines edited by readline, which reads byte by byte and leaves what follows a line unread."""

    def __init__(self, readline: Any) -> None:
        self._readline = readline
        self._fd = sys.stdin.fileno()
        readline.set_auto_history(False)  # a question of several lines is one entry
        if "libedit" not in (readline.__doc__ or ""):
            self._set_up_gnu()
        if hasattr(sys.stdin, "reconfigure"):  # what is no text must not end the conversation
            sys.stdin.reconfigure(errors="replace")

    def _set_up_gnu(self) -> None:
        # A paste is then one text, whatever is in it. Python turns that off, for its own prompt's
        # sake (python/cpython#86985). Dumb terminals have nothing of the kind.
        if os.environ.get("TERM", "dumb") != "dumb":
            self._readline.parse_and_bind("set enable-bracketed-paste on")
        # Ctrl-D while an answer is written: Linux keeps it for a terminal that edits lines, and
        # gives readline a NUL in its place.
        self._readline.parse_and_bind('"\\C-@": "\\C-d"')

    def read(self, prompt: str) -> str:
        return input(prompt)

    def are_waiting(self) -> bool:
        try:
            with _keys_unedited(self._fd):
                return is_readable(self._fd)
        except TERMINAL_ERRORS:  # the terminal is gone
            return False

    def remember(self, question: str) -> None:
        with contextlib.suppress(ValueError):  # a text that the terminal's charset does not have
            self._readline.add_history(question)


class PlainLines:
    """Lines edited by the terminal itself.

    What was read beyond a line is kept here, where it is seen to be waiting; Python's and C's
    buffers would hide it.
    """

    def __init__(self, source: TextIO, prompts: TextIO) -> None:
        self._fd = source.fileno()
        self._charset = source.encoding or "utf-8"
        self._prompts = prompts
        self._held = b""

    def read(self, prompt: str) -> str:
        print(prompt, end="", file=self._prompts, flush=True)
        while b"\n" not in self._held:
            block = self._read_block()
            if not block and not self._held:
                raise EOFError
            if not block:
                break
            self._held += block
        line, _, self._held = self._held.partition(b"\n")
        if len(line) == MAX_LINE_BYTES:
            complain(
                f"a line has {MAX_LINE_BYTES} bytes, the most that the terminal gives, and what "
                "followed is lost; give a long text as a file: onecard chat < FILE"
            )
        return line.decode(self._charset, "replace")

    def are_waiting(self) -> bool:
        return bool(self._held) or is_readable(self._fd)

    def remember(self, question: str) -> None:
        """Does nothing: there is no history."""

    def _read_block(self) -> bytes:
        try:
            return os.read(self._fd, READ_BYTES)
        except OSError:  # the terminal is gone
            return b""


class ConsoleLines:
    """Lines edited by the console of Windows, which does not tell whether more is waiting."""

    def read(self, prompt: str) -> str:
        return input(prompt)

    def are_waiting(self) -> bool:
        return False

    def remember(self, question: str) -> None:
        """The console has a history of its own, of lines."""


def is_readable(fd: int) -> bool:
    """Whether something can be read, now or after a moment."""
    try:
        return bool(select.select([fd], [], [], PASTE_GAP_S)[0])
    except (OSError, ValueError):  # the terminal is gone
        return False


@contextlib.contextmanager
def _keys_unedited(fd: int) -> Iterator[None]:
    """Between two lines of readline the terminal neither shows what arrives nor cuts it.

    It would cut at `MAX_LINE_BYTES`.
    """
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd, termios.TCSANOW)  # its default would drop what waits
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSANOW, before)
