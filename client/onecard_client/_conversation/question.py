"""A question as people write it at a terminal: on a line, pasted, or between marks."""

from __future__ import annotations

import re
from typing import Protocol

PROMPT = "> "
CONTINUATION = "... "
# Begins and ends a question of several lines, as in other chats at a terminal
# (ollama/ollama#169).
MARK = '"""'


class Lines(Protocol):
    """The source of lines; `terminal_lines` has the implementations."""

    def read(self, prompt: str) -> str:
        """The next line without its end. Raises: EOFError, KeyboardInterrupt."""

    def are_waiting(self) -> bool:
        """Whether more has arrived already, or arrives at once."""

    def remember(self, question: str) -> None:
        """Puts a whole question into the history."""


class UnfinishedQuestion(EOFError):
    """The input ended between the marks of a question."""


class Questions:
    """Whole questions from lines.

    Lines that arrive together are one question, for a terminal without marks around a paste gives
    nothing else to tell them by. A command among them stands for itself.
    """

    def __init__(self, lines: Lines, commands: frozenset[str]) -> None:
        self._lines = lines
        self._commands = commands
        self._put_back: str | None = None
        self._is_ended = False

    def read(self) -> str:
        """The next question or command; empty where nothing was written.

        Raises:
            EOFError: there is none any more.
            KeyboardInterrupt: Ctrl-C, which drops what was written of it.
        """
        line = self._line(PROMPT)
        if line.strip() in self._commands:
            return line.strip()
        text = self._with_waiting(line)
        while is_open(text):
            text = self._with_waiting(f"{text}\n{self._rest()}")
        question = trimmed(unmarked(text))
        if question:
            self._lines.remember(trimmed(text))
        return question

    def _rest(self) -> str:
        try:
            return self._line(CONTINUATION)
        except EOFError as error:
            raise UnfinishedQuestion from error

    def _line(self, prompt: str) -> str:
        if self._put_back is not None:
            line, self._put_back = self._put_back, None
            return line
        if self._is_ended:
            raise EOFError
        return self._lines.read(prompt)

    def _with_waiting(self, text: str) -> str:
        """`text` with the lines that arrived with it."""
        lines = [text]
        while self._lines.are_waiting():
            try:
                line = self._line(CONTINUATION)
            except EOFError:
                self._is_ended = True
                break
            if line.strip() in self._commands and not is_open("\n".join(lines)):
                self._put_back = line
                break
            lines.append(line)
        return "\n".join(lines)


def is_open(text: str) -> bool:
    """Whether `text` begins with a mark and no line of it ends with another."""
    begun = text.lstrip()
    if not begun.startswith(MARK):
        return False
    return not any(ends(line) for line in begun[len(MARK) :].split("\n"))


def unmarked(text: str) -> str:
    """The text between the marks.

    A text that goes on behind the second mark is left as it is: a program, which begins with what
    it says of itself.
    """
    marked = text.strip()
    if not marked.startswith(MARK) or is_open(marked):
        return text
    lines = marked[len(MARK) :].split("\n")
    num_last = next(number for number, line in enumerate(lines) if ends(line))
    if num_last + 1 < len(lines):
        return text
    return "\n".join([*lines[:-1], lines[-1].removesuffix(MARK)])


def ends(line: str) -> bool:
    return line.rstrip().endswith(MARK)


def trimmed(text: str) -> str:
    """`text` without blank lines around it; the indentation of several lines stays."""
    whole = re.sub(r"\A\s*\n", "", text).rstrip()
    return whole if "\n" in whole else whole.strip()
