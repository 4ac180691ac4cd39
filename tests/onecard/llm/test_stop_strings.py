"""Stop strings in text that comes in pieces, against looking at the whole text."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st

from onecard.llm.stop_strings import StopStrings

LETTERS = st.text("ab\n", max_size=14)
STOPS = st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=4)


def reference(text: str, stops: list[str]) -> tuple[str, str | None]:
    """The first stop string to be complete, the longest where several end at one place."""
    for end in range(len(text) + 1):
        for stop in sorted(stops, key=len, reverse=True):
            if text[:end].endswith(stop):
                return text[: end - len(stop)], stop
    return text, None


@given(st.lists(LETTERS, max_size=6), STOPS)
@example(["a", "b", "a"], ["bb", "aba"])
@example(["ab"], ["b", "ab"])
def test_is_what_looking_at_the_whole_text_finds(pieces, stops):
    strings = StopStrings(stops)
    text = "".join(strings.push(piece) for piece in pieces) + strings.flush()
    assert (text, strings.found) == reference("".join(pieces), stops)


@given(st.lists(LETTERS, max_size=6), STOPS)
def test_holds_back_only_what_could_become_a_stop_string(pieces, stops):
    strings = StopStrings(stops)
    seen = let_out = ""
    for piece in pieces:
        seen += piece
        let_out += strings.push(piece)
        if strings.found is not None:
            break
        held = seen[len(let_out) :]
        assert seen.startswith(let_out)
        assert not held or any(stop.startswith(held) and stop != held for stop in stops)


def test_nothing_comes_after_a_stop_string():
    strings = StopStrings(["END"])
    assert strings.push("one EN") == "one "
    assert strings.push("D two") == ""
    assert strings.push("three") == ""
    assert strings.flush() == ""
    assert strings.found == "END"
