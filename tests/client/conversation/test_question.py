"""Whole questions from the lines of a terminal: pastes, marks, commands, ends."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from onecard_client._conversation.question import (
    CONTINUATION,
    PROMPT,
    Questions,
    UnfinishedQuestion,
)

COMMANDS = frozenset({"/quit", "/help"})
CTRL_C, CTRL_D = "<ctrl-c>", "<ctrl-d>"


class Typist:
    """FAKE lines: the lines of a batch arrive together."""

    def __init__(self, batches: Sequence[Sequence[str]]) -> None:
        self._batches = [list(batch) for batch in batches]
        self.prompts: list[str] = []
        self.history: list[str] = []

    def read(self, prompt: str) -> str:
        self.prompts.append(prompt)
        while self._batches and not self._batches[0]:
            self._batches.pop(0)
        line = self._batches[0].pop(0) if self._batches else CTRL_D
        if line == CTRL_C:
            raise KeyboardInterrupt
        if line == CTRL_D:
            raise EOFError
        return line

    def are_waiting(self) -> bool:
        return bool(self._batches and self._batches[0])

    def remember(self, question: str) -> None:
        self.history.append(question)


def asked(typist: Typist) -> list[str]:
    """All questions and commands until the end."""
    questions = Questions(typist, COMMANDS)
    found: list[str] = []
    while True:
        try:
            found.append(questions.read())
        except KeyboardInterrupt:
            found.append(CTRL_C)
        except UnfinishedQuestion:
            return [*found, "unfinished"]
        except EOFError:
            return found


@pytest.mark.parametrize(
    ("batches", "questions"),
    [
        # one line each
        ([["one"], ["two"]], ["one", "two"]),
        ([["  one "], [""], ["   "]], ["one", "", ""]),
        # pastes
        ([["a", "b", "c"], ["d"]], ["a\nb\nc", "d"]),
        ([["a", "", "", "b"]], ["a\n\n\nb"]),
        ([["", " ", "  if x:", "    y ", "", ""]], ["  if x:\n    y"]),
        ([["a\nb\n\nc\n"]], ["a\nb\n\nc"]),  # with the terminal's marks it is one text
        ([["a", CTRL_D], ["b"]], ["a"]),
        ([["a", CTRL_C], ["b"]], [CTRL_C, "b"]),
        # between marks
        ([['"""'], ["a"], [""], ["b"], ['"""'], ["c"]], ["a\n\nb", "c"]),
        ([['"""a'], ['b"""']], ["a\nb"]),
        ([['  """  a '], ['b """  ']], ["  a \nb"]),
        ([['"""a"""'], ['""""""'], ['""" """']], ["a", "", ""]),
        ([['"""', "a", "b", '"""']], ["a\nb"]),
        ([['"""a\n\nb"""']], ["a\n\nb"]),
        ([['"""'], ["a", "/quit", "b"], ['"""']], ["a\n/quit\nb"]),
        ([['"""'], ['say """please""" to me'], ['"""']], ['say """please""" to me']),
        ([['"""'], ["a"], [CTRL_C], ["b"]], [CTRL_C, "b"]),
        ([['"""'], ["a"], [CTRL_D], ["b"]], ["unfinished"]),
        ([['"""', "a", CTRL_D]], ["unfinished"]),
        # marks that are part of the text
        ([['say """a"""'], ["b"]], ['say """a"""', "b"]),
        ([["def f():", '    """Says."""', "    return 1"]],
         ['def f():\n    """Says."""\n    return 1']),
        ([['"""Says."""', "", "import os"]], ['"""Says."""\n\nimport os']),
        ([['"""Says."""\nx = """y"""']], ['"""Says."""\nx = """y"""']),
        # commands
        ([["/help"], [" /quit "]], ["/help", "/quit"]),
        ([["a", "b", "/quit", "c"]], ["a\nb", "/quit", "c"]),
        ([['"""a', '"""', "/quit"]], ["a", "/quit"]),
        ([["/quit is what?"], ["/usr/bin"]], ["/quit is what?", "/usr/bin"]),
        ([["a\n/quit\n"]], ["a\n/quit"]),
    ],
)  # fmt: skip
def test_questions(batches: list[list[str]], questions: list[str]) -> None:
    assert asked(Typist(batches)) == questions


def test_prompts_and_history() -> None:
    typist = Typist([["a", "b"], ['"""'], ["c"], ['"""'], [""], ["/help"]])
    asked(typist)
    more = CONTINUATION
    assert typist.prompts == [PROMPT, more, PROMPT, more, more, PROMPT, PROMPT, PROMPT]
    assert typist.history == ["a\nb", '"""\nc\n"""']


def test_a_long_paste_is_read_in_one_pass() -> None:
    lines = [f'"""{number}' for number in range(50_000)]
    assert asked(Typist([[*lines, '"""']])) == ["\n".join(lines)[3:]]
