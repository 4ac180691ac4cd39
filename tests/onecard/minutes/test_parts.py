"""Parts of a talk: every line is in one, none is too long, and they end at turns."""

from __future__ import annotations

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from onecard.minutes.parts import MAX_LINES, Cutter
from onecard.minutes.prompt import shown
from onecard.minutes.transcript import Line


def count(text: str) -> int:
    return len(text.split())


def lines_of(texts: list[tuple[str, str]]) -> list[Line]:
    return [
        Line(number, float(number), number + 1.0, speaker, text)
        for number, (speaker, text) in enumerate(texts)
    ]


TALKS = st.lists(st.tuples(st.sampled_from(["A", "B"]), st.text("ab ", min_size=1, max_size=60)))


@settings(max_examples=30)
@given(talk=TALKS, max_tokens=st.integers(8, 60), overlap=st.integers(0, 40))
def test_every_line_is_in_a_part_and_none_is_too_long(talk, max_tokens, overlap):
    lines = lines_of([(speaker, text.strip() or "a") for speaker, text in talk])
    parts = Cutter(shown, count, max_tokens, overlap).parts(lines)
    assert [part.number for part in parts] == list(range(1, len(parts) + 1))
    new = [line for part in parts for line in part.lines[part.num_overlapping :]]
    for line in lines:
        pieces = [one.text.replace(" ", "") for one in new if one.id == line.id]
        assert "".join(pieces) == line.text.replace(" ", "")
    for part, following in itertools.pairwise(parts):
        again = following.lines[: following.num_overlapping]
        assert part.lines[len(part.lines) - len(again) :] == again
    for part in parts:
        assert len(part.lines) <= MAX_LINES
        assert len(part.lines) > part.num_overlapping
        sizes = [count(shown(line)) + 1 for line in part.lines]
        assert sum(sizes) <= max_tokens or len(sizes) == part.num_overlapping + 1


def test_a_part_ends_where_the_speaker_changes():
    lines = lines_of([(speaker, "one two three") for speaker in "AAAABBBBB"])
    first, second = Cutter(shown, count, 40, 0).parts(lines)  # five lines would fit
    assert [line.speaker for line in first.lines] == list("AAAA")
    assert [line.speaker for line in second.lines] == list("BBBBB")


def test_a_segment_longer_than_a_part_keeps_its_id_and_its_times():
    line = Line(7, 10.0, 20.0, "A", " ".join(f"word{number}" for number in range(100)))
    parts = Cutter(shown, count, 30, 0).parts([line])
    pieces = [piece for part in parts for piece in part.lines]
    assert len(pieces) > 3
    assert {piece.id for piece in pieces} == {7}
    assert (pieces[0].start, pieces[-1].end) == (10.0, 20.0)
    assert all(one.end == other.start for one, other in itertools.pairwise(pieces))


def test_a_talk_without_a_word_has_no_parts():
    assert Cutter(shown, count, 30, 0).parts([]) == []
