"""Tables on a terminal: widths, wide characters, and nothing that a terminal would obey."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecard_client._output.console import printable
from onecard_client._output.table import Column, Table, cells, fit


@pytest.mark.parametrize(
    ("text", "width", "shown"),
    [
        ("abc", 5, "abc  "),
        ("abcdef", 5, "abcd…"),
        ("abcde", 5, "abcde"),
        ("", 3, "   "),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("日本語", 4, "日… "),
        ("e\u0301" * 5, 5, "e\u0301" * 5),
        ("a\n b\tc", 7, "a b c  "),
        ("👍👍👍", 5, "👍👍…"),
    ],
)
def test_fit(text: str, width: int, shown: str) -> None:
    assert fit(text, width) == shown


@given(st.text(), st.integers(2, 40))
def test_a_cell_is_as_wide_as_asked_and_commands_nothing(text: str, width: int) -> None:
    shown = fit(text, width)
    assert cells(shown) == width
    assert not any(unicodedata.category(one) in ("Cc", "Cs", "Zl", "Zp") for one in shown)


@pytest.mark.parametrize(
    "text",
    ["\x1b[2J", "\x1b]0;title\x07", "\x9b31m", "\rover", "a\bb", "\u202etxt.exe", "\x7f", "\ud800"],
    ids=ascii,
)
def test_what_commands_a_terminal_is_replaced(text: str) -> None:
    assert printable(text).count("\ufffd") >= 1
    assert printable("tab\tline\n日本 é👍") == "tab\tline\n日本 é👍"


def test_columns_share_what_is_left() -> None:
    table = Table([Column("id", 4), Column("subject", 4, share=0.5), Column("due", 4)], 40)
    assert table.header() == "id    subject           due"
    row = table.row(["m1", "a subject that is much too long", "now"])
    assert row == "m1    a subject that …  now"
    assert cells(row) == 4 + 2 + 16 + 2 + 3


def test_narrow_terminal_cuts_the_last_columns() -> None:
    table = Table([Column("id", 8), Column("subject", 10), Column("due", 10)], 16)
    assert cells(table.row(["m1", "a subject", "today"])) == 16
