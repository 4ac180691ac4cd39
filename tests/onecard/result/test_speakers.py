"""Who said each word, and where sentences are cut."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from onecard.result.speakers import Config, SpeakerTimeline, label

CONFIG = Config(max_gap_s=0.5, min_split_words=2, min_split_s=0.5)
A, B = "SPEAKER_00", "SPEAKER_01"


def turn(start: float, end: float, speaker: str) -> dict:
    return {"start": start, "end": end, "speaker": speaker}


def word(text: str, start: float | None = None, end: float | None = None) -> dict:
    return {"word": text} if start is None else {"word": text, "start": start, "end": end}


def segment(*words: dict, text: str | None = None, **more: object) -> dict:
    timed = [w for w in words if "start" in w]
    return {
        "start": timed[0]["start"] if timed else 0.0,
        "end": timed[-1]["end"] if timed else 1.0,
        "text": " ".join(w["word"] for w in words) if text is None else text,
        "words": list(words),
        **more,
    }


def speakers(found: list[dict]) -> list[list[str | None]]:
    return [[w.get("speaker") for w in part["words"]] for part in found]


def test_a_word_goes_to_the_speaker_of_most_of_it() -> None:
    timeline = SpeakerTimeline([turn(0, 1, A), turn(1, 1.2, B), turn(1.2, 2, A)], 0.5)
    assert timeline.speaker(0.9, 1.15) == B
    assert timeline.speaker(0.8, 1.15) == A
    # Two turns of A count together, though B's is the longest of the three.
    assert timeline.speaker(0.88, 1.3) == A


def test_a_word_beside_every_turn_takes_the_nearest_within_the_gap() -> None:
    timeline = SpeakerTimeline([turn(1, 2, A), turn(4, 5, B)], 0.5)
    assert timeline.speaker(0.2, 0.6) == A
    assert timeline.speaker(3.4, 3.7) == B
    assert timeline.speaker(2.6, 3.4) is None
    assert timeline.speaker(1.5, 1.5) == A  # no duration, inside a turn
    assert SpeakerTimeline([], 0.5).speaker(0.0, 1.0) is None


@given(
    st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40), st.sampled_from("ABC")), max_size=8),
    st.integers(0, 300),
    st.integers(0, 60),
)
def test_the_search_equals_looking_at_every_turn(gaps, start, length) -> None:
    turns, at = [], 0
    for duration, gap, name in gaps:
        turns.append(turn(at + gap, at + gap + duration, name))
        at += gap + duration
    end = start + length
    overlap = {name: 0 for name in "ABC"}
    for t in turns:
        overlap[t["speaker"]] += max(0, min(end, t["end"]) - max(start, t["start"]))
    distance = {
        name: min(
            (max(t["start"] - end, start - t["end"], 0) for t in turns if t["speaker"] == name),
            default=1000,
        )
        for name in "ABC"
    }
    found = SpeakerTimeline(turns, 10.0).speaker(start, end)
    if max(overlap.values()) > 0:
        assert overlap[found] == max(overlap.values())
    elif min(distance.values()) <= 10:
        assert distance[found] == min(distance.values())
    else:
        assert found is None


def test_a_sentence_is_cut_where_the_speaker_changes() -> None:
    words = [word("I", 0.0, 0.3), word("see.", 0.3, 0.9), word("So", 1.1, 1.4)]
    words.append(word("do", 1.4, 1.9))
    found = label(
        [segment(*words, avg_logprob=-0.2, aligner="ctc")],
        [turn(0, 1, A), turn(1, 2, B)],
        CONFIG,
    )
    assert [(p["start"], p["end"], p["text"], p["speaker"]) for p in found] == [
        (0.0, 0.9, "I see.", A),
        (1.1, 1.9, "So do", B),
    ]
    assert all(part["avg_logprob"] == -0.2 and part["aligner"] == "ctc" for part in found)
    assert speakers(found) == [[A, A], [B, B]]


@pytest.mark.parametrize(
    "words",
    [
        # one word of the other speaker
        [word("a", 0, 0.4), word("b", 0.4, 0.9), word("c", 1.0, 1.9)],
        # two words that last too short
        [word("a", 0, 0.4), word("b", 0.4, 0.9), word("c", 1.0, 1.1), word("d", 1.1, 1.3)],
    ],
)
def test_a_short_run_stays_in_its_segment_and_keeps_its_labels(words) -> None:
    found = label([segment(*words)], [turn(0, 0.95, A), turn(0.95, 2, B)], CONFIG)
    assert len(found) == 1
    assert speakers(found) == [[A, A] + [B] * (len(words) - 2)]


def test_a_flicker_inside_one_speakers_sentence_does_not_cut_it() -> None:
    words = [word("w", i, i + 0.9) for i in range(7)]
    turns = [turn(0, 3, A), turn(3, 4, B), turn(4, 7, A)]
    found = label([segment(*words)], turns, CONFIG)
    assert len(found) == 1
    assert found[0]["speaker"] == A
    assert speakers(found) == [[A, A, A, B, A, A, A]]


def test_text_without_spaces_is_cut_between_its_characters() -> None:
    words = [word(c, i * 0.5, i * 0.5 + 0.5) for i, c in enumerate("今日は晴れ")]
    found = label(
        [segment(*words, text="今日は晴れ")], [turn(0, 1.5, A), turn(1.5, 2.5, B)], CONFIG
    )
    assert [part["text"] for part in found] == ["今日は", "晴れ"]


def test_characters_are_cut_with_their_words() -> None:
    words = [word("ab", 0, 1), word("c", 1, 2), word("d", 2, 3), word("ef", 3, 4)]
    # Two spaces where the text has one: the characters are those of the text as it was written.
    chars = [{"char": c} for c in "ab  c d ef"]
    found = label([segment(*words, chars=chars)], [turn(0, 2, A), turn(2, 4, B)], CONFIG)
    assert ["".join(c["char"] for c in part["chars"]).strip() for part in found] == [
        "ab  c",
        "d ef",
    ]
    assert [part["text"] for part in found] == ["ab c", "d ef"]


def test_tokens_are_cut_with_their_words() -> None:
    words = [word("ab", 0, 1), word("c.", 1, 2), word("d", 2, 3), word("ef", 3, 4)]
    known = {"tokens": [5, 6, 7, 8, 9], "token_letters": [2, 1, 1, 2, 1], "temperature": 0.2}
    found = label([segment(*words, **known)], [turn(0, 2, A), turn(2, 4, B)], CONFIG)
    assert [part["tokens"] for part in found] == [[5, 6, 7], [8, 9]]
    assert [part["temperature"] for part in found] == [0.2, 0.2]


def test_a_word_without_a_time_goes_with_its_neighbour() -> None:
    turns = [turn(0, 1, A), turn(1, 3, B)]
    words = [word("7"), word("a", 0, 0.9), word("8"), word("b", 1.1, 2), word("c", 2, 2.9)]
    assert speakers(label([segment(*words)], turns, CONFIG)) == [[A, A, A], [B, B]]


def test_segments_without_words_take_the_speaker_of_their_time() -> None:
    found = label([{"start": 1.2, "end": 2.0, "text": "x", "words": []}], [turn(1, 3, B)], CONFIG)
    assert [part["speaker"] for part in found] == [B]


def test_nobody_nearby_leaves_the_key_out() -> None:
    found = label([segment(word("a", 10, 11))], [turn(0, 1, A)], CONFIG)
    assert "speaker" not in found[0]
    assert "speaker" not in found[0]["words"][0]


def test_the_input_is_not_changed() -> None:
    segments = [segment(word("a", 0, 1), word("b", 1, 2))]
    label(segments, [turn(0, 2, A)], CONFIG)
    assert segments == [segment(word("a", 0, 1), word("b", 1, 2))]


@given(st.lists(st.tuples(st.sampled_from(["a", "bc,", "d."]), st.booleans()), min_size=1))
def test_parts_hold_every_word_once_and_their_text(items) -> None:
    words = [word(text, i, i + 1) for i, (text, _) in enumerate(items)]
    turns = [turn(i, i + 1, A if first else B) for i, (_, first) in enumerate(items)]
    found = label([segment(*words)], turns, CONFIG)
    assert [w["word"] for part in found for w in part["words"]] == [text for text, _ in items]
    for part in found:
        assert part["text"] == " ".join(w["word"] for w in part["words"])
        assert part["start"] == part["words"][0]["start"]
        assert part["end"] == part["words"][-1]["end"]
