"""What the model may write of a part: xgrammar takes what cites the part's lines, and no more."""

from __future__ import annotations

import pytest
import xgrammar
from xgrammar.testing import _is_grammar_accept_string as accepts

from onecard.minutes import grammar

HEAD = '{"title": "The launch", "summary": "It moves, für alle."}\n'
ACTION = '{"action": [1, 3], "who": "Bob", "due": null, "priority": "high", "text": "fix it"}\n'


def takes(guide, text):
    return accepts(xgrammar.Grammar.from_ebnf(guide.text), text)


@pytest.mark.parametrize(
    ("text", "is_taken"),
    [
        (HEAD, True),
        (HEAD + ACTION, True),
        (HEAD + '{"topic": [1, 3], "text": "x"}\n{"quote": [2]}\n', True),
        (HEAD + '{"decision": [1, 2, 3, 1], "text": "x"}\n' + ACTION, True),
        ("", False),
        (ACTION, False),
        (HEAD + '{"decision": [4], "text": "a line that is not there"}\n', False),
        (HEAD + '{"decision": [0], "text": "x"}\n', False),
        (HEAD + '{"decision": [12], "text": "x"}\n', False),
        (HEAD + '{"decision": [], "text": "x"}\n', False),
        (HEAD + '{"decision": [1, 2, 3, 1, 2], "text": "x"}\n', False),
        (HEAD + '{"decision": [1], "text": ""}\n', False),
        (HEAD + '{"decision": [1], "text": "a "quote""}\n', False),
        (HEAD + '{"quote": [1], "text": "made up"}\n', False),
        (HEAD + ACTION.replace("high", "urgent"), False),
    ],
)
def test_findings_cite_lines_of_the_part(text, is_taken):
    assert takes(grammar.of_part(3), text) == is_taken


def test_after_a_closed_text_the_rest_goes_on():
    assert takes(grammar.of_part(3, "lines"), ACTION)
    assert takes(grammar.of_part(3, "lines"), "")
    assert takes(grammar.of_part(3, "text"), 'fix it"}\n' + ACTION)
    assert not takes(grammar.of_part(3, "lines"), HEAD)


@pytest.mark.parametrize("name", list(grammar.MAX_LETTERS))
def test_a_text_is_closed_when_it_has_outgrown_its_limit(name):
    line = f'{{"x": 1, "{name}": "' + "a" * grammar.MAX_LETTERS[name]
    assert grammar.closing(line) is None
    closed = grammar.closing(line + "b")
    assert closed is not None
    assert closed.text.endswith("\n") == (closed.goes_on == "lines")
    assert grammar.closing(line + 'b", ') is None


def test_an_answer_cites_or_there_is_none():
    guide = grammar.of_answer(2)
    assert takes(guide, '{"answer": null}\n')
    assert takes(guide, '{"answer": [2], "text": "May."}\n')
    assert not takes(guide, '{"answer": [3], "text": "May."}\n')
    assert not takes(guide, '{"answer": "May."}\n')
    assert takes(grammar.of_answer(2, "text"), 'May."}\n')
    assert grammar.of_answer(2, "lines") is None


def test_heads_and_single_texts():
    assert takes(grammar.of_whole(), HEAD)
    assert not takes(grammar.of_whole(), HEAD + HEAD)
    assert takes(grammar.of_text(), '{"text": "May."}\n')
    assert (grammar.of_whole("lines"), grammar.of_text("lines")) == (None, None)


def test_the_largest_part_has_a_grammar_that_compiles():
    assert takes(grammar.of_part(64), HEAD + '{"decision": [64], "text": "x"}\n')
