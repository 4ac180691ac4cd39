"""Grammars of what the model may write: lines of JSON that cite only lines of their part.

A part's lines have the numbers 1 to n, whatever their ids are: so a grammar depends on n alone, and
NVIDIA's executor, which never drops one, keeps few. No grammar limits the length of a text; the
reader closes one that has outgrown its limit (`closing`), and lets the model go on after it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from onecard.guides.guide import Guide
from onecard.guides.texts import FIRST, LETTER, quoted

Start = Literal["whole", "lines", "text"]  # where the model begins, or goes on

PRIORITIES = ("high", "normal", "low")
MAX_CITED = 4  # lines of one finding
# Letters of each text.
MAX_LETTERS = {"title": 100, "summary": 600, "text": 280, "who": 60, "due": 60}
# After these comes more of the same line, which is then written for the model.
_AFTER = {
    "title": '", "summary": "',
    "summary": '"}\n',
    "text": '"}\n',
    "who": '", "due": null, "priority": "normal", "text": "',
    "due": '", "priority": "normal", "text": "',
}
_TEXT = rf"{FIRST} {LETTER}*"


@dataclass(frozen=True)
class Closing:
    """What ends a text that has outgrown its limit, and where the model goes on."""

    text: str
    goes_on: Start


def closing(line: str) -> Closing | None:
    """How to close the text in which an unfinished line ends; None while it is within its limit."""
    if line.count('"') % 2 == 0:
        return None
    before, _, text = line.rpartition('"')
    name = before.removesuffix('": ').rpartition('"')[2]
    if len(text) <= MAX_LETTERS.get(name, len(text)):
        return None
    after = _AFTER[name]
    return Closing(after, "lines" if after.endswith("\n") else "text")


def of_part(num_lines: int, start: Start = "whole") -> Guide:
    """What is found in a part of `num_lines` lines: title, summary and findings."""
    rules = [
        *_begun(start, "finding*"),
        *(_head() if start == "whole" else ()),
        *_citations(num_lines),
        f"finding ::= {quoted('{')} (topic | decision | action | question) {_TAIL} | quote",
        f"topic ::= {_key('topic')} ids",
        f"decision ::= {_key('decision')} ids",
        f"question ::= {_key('question')} ids",
        f"action ::= {_key('action')} ids {_next('who')} name {_next('due')} name "
        f"{_next('priority')} priority",
        f"priority ::= {' | '.join(quoted(json.dumps(one)) for one in PRIORITIES)}",
        f'name ::= "null" | "\\"" {_TEXT} "\\""',
        f'quote ::= {quoted("{")} {_key("quote")} {quoted("[")} id {quoted("]}")} "\\n"',
        f"text ::= {_TEXT}",
    ]
    return _guide(*rules)


def of_answer(num_lines: int, start: Start = "whole") -> Guide | None:
    """The answer to a question that a part holds, or none."""
    if start != "whole":
        return _rest(start)
    root = f'{quoted("{")} {_key("answer")} ({quoted("null}")} "\\n" | ids {_TAIL})'
    return _guide(f"root ::= {root}", *_citations(num_lines), f"text ::= {_TEXT}")


def of_whole(start: Start = "whole") -> Guide | None:
    """Title and summary of all parts."""
    return (
        _guide("root ::= head", *_head(), f"text ::= {_TEXT}") if start == "whole" else _rest(start)
    )


def of_text(start: Start = "whole") -> Guide | None:
    """One text, made of several answers."""
    if start != "whole":
        return _rest(start)
    root = f'{quoted("{")} {_key("text")} "\\"" text "\\"}}\\n"'
    return _guide(f"root ::= {root}", f"text ::= {_TEXT}")


def _rest(start: Start) -> Guide | None:
    """The rest of a text with which an answer of one line ends; None at its end."""
    return _guide('root ::= text "\\"}\\n"', f"text ::= {_TEXT}") if start == "text" else None


def _guide(*rules: str) -> Guide:
    return Guide("ebnf_grammar", "\n".join(rules))


def _begun(start: Start, rest: str) -> list[str]:
    """The rule `root`: all, what comes after a line, or the rest of a text that was begun."""
    first = {"whole": "head ", "lines": "", "text": 'text "\\"}\\n" '}[start]
    return [f"root ::= {first}{rest}"]


def _head() -> list[str]:
    title, summary = _key("title"), _next("summary")
    return [f'head ::= {quoted("{")} {title} "\\"" text "\\"" {summary} "\\"" text "\\"}}\\n"']


def _citations(num_lines: int) -> list[str]:
    more = ""
    for _ in range(MAX_CITED - 1):
        more = f"({quoted(', ')} id {more})?".replace(" )", ")")
    return [
        f"ids ::= {quoted('[')} id {more} {quoted(']')}",
        f"id ::= {' | '.join(quoted(str(number)) for number in range(1, num_lines + 1))}",
    ]


def _key(name: str) -> str:
    return quoted(f'"{name}": ')


def _next(name: str) -> str:
    return quoted(f', "{name}": ')


_TAIL = f'{_next("text")} "\\"" text "\\"}}\\n"'
