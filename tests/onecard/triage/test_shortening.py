"""Long mails: what stays, what goes, and that the text says what went."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecard.triage.shortening import Gap, shorten


def count(text: str) -> int:
    """A token is four letters, for these tests."""
    return -(-len(text) // 4)


def filler(name: str, num_lines: int) -> str:
    return "".join(f"{name} line {n} with some words in it\n" for n in range(num_lines))


THREAD = (
    "First words of the mail.\n"
    + filler("own", 100)
    + "On Mon, 2 Mar 2026 at 11:40, Ines wrote:\n"
    + "> quoted words\n"
    + "".join(f"> {line}\n" for line in filler("quoted", 100).splitlines())
    + "-----Original Message-----\n"
    + filler("old", 100)
    + "Last words of the mail."
)


def test_keeps_head_tail_and_the_borders_of_quotations():
    found = shorten(THREAD, 400, count)
    lines = found.splitlines()
    assert lines[0] == "First words of the mail."
    assert lines[-1] == "Last words of the mail."
    assert "On Mon, 2 Mar 2026 at 11:40, Ines wrote:" in lines
    assert "> quoted words" in lines
    assert "-----Original Message-----" in lines
    assert "own line 50 with some words in it" not in lines


def test_says_how_much_was_cut_and_where():
    found = shorten(THREAD, 400, count)
    cut = [int(letters) for letters in re.findall(r"\[\.\.\. (\d+) letters cut here", found)]
    assert len(cut) >= 3  # before, between and after the borders
    kept = re.sub(r"\n?\[\.\.\. \d+ letters cut here \.\.\.\]\n", "", found)
    assert abs(len(kept) + sum(cut) - len(THREAD)) <= len(cut)


@pytest.mark.parametrize(
    "border",
    [
        "Am 02.03.2026 um 11:40 schrieb Petra Lindner <lindner@example.net>:",
        "Le lun. 2 mars 2026 à 11:40, Luc Martel a écrit :",
        "El lun, 2 mar 2026 a las 11:40, Hugo escribió:",
        "-----Ursprüngliche Nachricht-----",
        "---------- Forwarded message ---------",
        "Begin forwarded message:",
        "________________________________",
        "> the first line of a block",
        ">> On Mon, Ines wrote:",
    ],
)
def test_knows_the_borders_of_quotations(border):
    text = filler("a", 100) + border + "\n" + filler("b", 100)
    assert border in shorten(text, 300, count).splitlines()
    assert border.strip("> ") in shorten(text, 300, count)


@pytest.mark.parametrize("text", ["x" * 1_000_000, "word " * 200_000, "a few words\n" * 80_000])
def test_a_megabyte_without_structure(text):
    found = shorten(text, 500, count)
    assert count(found) <= 520
    assert len(found) > 1500
    assert "letters cut here" in found


def test_a_thousand_borders_leave_room_for_head_and_tail():
    text = "head\n" + "On Mon, Ines wrote:\nwords\n" * 1000 + "tail"
    found = shorten(text, 300, count)
    assert found.startswith("head\n")
    assert found.endswith("tail")
    assert count(found) <= 320


@given(st.text(alphabet="ab >\n-", max_size=3000), st.integers(32, 400))
def test_never_far_over_the_room(text, max_tokens):
    assert count(shorten(text, max_tokens, count)) <= max_tokens + 16


def test_letters_that_were_left_out_before_are_told_with_the_others():
    head, tail = filler("own", 100), filler("old", 100)
    found = shorten(head + tail, 400, count, Gap(len(head), 5_000_000))
    cut = [int(letters) for letters in re.findall(r"\[\.\.\. (\d+) letters cut here", found)]
    kept = re.sub(r"\n?\[\.\.\. \d+ letters cut here \.\.\.\]\n", "", found)
    assert len(cut) == 1
    assert abs(len(kept) + cut[0] - len(head + tail) - 5_000_000) <= 2


def test_a_gap_is_told_where_everything_else_fits():
    assert shorten("one\ntwo\n", 400, count, Gap(4, 99)) == (
        "one\n\n[... 99 letters cut here ...]\ntwo"
    )


@pytest.mark.parametrize("line", ["a " * 15_000_000, "a" * 30_000_000])
def test_a_line_of_any_length_is_cut_in_time(line):
    began_s = time.process_time()
    found = shorten(line, 2000, count)
    assert (
        time.process_time() - began_s < 100
    )  # a quarter of an hour, if each piece copies the rest
    assert len(found) < 9000
