"""What a segment's parts have of its decoding."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from onecard.contract import figures

CHUNK = {
    "start": 0.0, "end": 9.0, "text": " Hi there.  You?", "avg_logprob": -0.3,
    "compression_ratio": 0.9, "no_speech_prob": None, "temperature": 0.0,
    "tokens": [11, 12, 13, 14, 15], "token_letters": [2, 5, 1, 3, 1],
}  # fmt: skip
KNOWN = {"avg_logprob": -0.3, "compression_ratio": 0.9, "temperature": 0.0}


def test_each_part_has_the_figures_that_are_known_and_its_tokens() -> None:
    assert figures.of_parts(CHUNK, ["Hi there.", "You?"]) == [
        {**KNOWN, "tokens": [11, 12, 13], "token_letters": [2, 5, 1]},
        {**KNOWN, "tokens": [14, 15], "token_letters": [3, 1]},
    ]


def test_a_token_of_two_parts_is_the_first_ones() -> None:
    found = figures.of_parts(CHUNK, ["Hi th", "ere. You?"])
    assert [part["tokens"] for part in found] == [[11, 12], [13, 14, 15]]


def test_tokens_that_nobody_can_cut_are_left_out() -> None:
    for change in ({"tokens": None}, {"token_letters": None}, {"token_letters": [1]}):
        assert figures.of_parts({**CHUNK, **change}, ["Hi there.", "You?"]) == [KNOWN, KNOWN]
    assert figures.of_parts({"text": "x"}, ["x"]) == [{}]


def test_readers_see_nothing_of_the_cutting() -> None:
    (found,) = figures.told([CHUNK])
    assert found == {key: value for key, value in CHUNK.items() if key != "token_letters"}


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1))
def test_no_token_is_lost_and_cutting_twice_is_cutting_once(items) -> None:
    items = [(1, True), *items]  # more than one text
    letters = [number for number, _ in items]
    segment = {"tokens": list(range(len(items))), "token_letters": letters}
    texts, text = [], ""
    for number, ends in items:
        text += "x" * number
        if ends:
            texts.append(text)
            text = ""
    texts.append(text)
    parts = figures.of_parts(segment, texts)
    assert [token for part in parts for token in part["tokens"]] == segment["tokens"]
    halves = figures.of_parts(segment, ["".join(texts[:1]), "".join(texts[1:])])
    again = [*figures.of_parts(halves[0], texts[:1]), *figures.of_parts(halves[1], texts[1:])]
    assert [part["tokens"] for part in again] == [part["tokens"] for part in parts]
