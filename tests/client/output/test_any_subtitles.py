"""What is true of the cues of any transcript."""

# ruff: noqa: RUF001  (letters and punctuation of many scripts)
from __future__ import annotations

import re
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from onecard_client import Transcript
from onecard_formats._subtitles.lines import columns
from tests.client.output.cues import LAYOUT, MARKS, found, plain, spoken, transcript_of, untimed

WORDS = {
    "en": ["I", "we", "the", "house,", "and", "go.", "-->", "a<b", "AT&T", "x" * 60, "naïve", "…"],
    "fr": ["Oui", "!", "«", "non", "»", "l’eau,", "et", "42"],
    "zh": ["我", "们", "，", "好", "。", "OK", "（", "）", "3.5%"],
    "ja": ["こ", "っ", "ゃ", "、", "「", "」", "Maps", "ー", "。"],
    "th": ["ส", "เ", "า", "ครับ", "ๆ", "ok"],
    "km": ["សួ", "ស្តី", "្", "ក"],
    "ar": ["مرحبا", "بكم،", "Google", "؟", "12"],
    "ko": ["안녕", "하세요."],
}


@st.composite
def transcripts(draw: st.DrawFn) -> Transcript:
    language = draw(st.sampled_from(sorted(WORDS)))
    separator = "" if language in ("zh", "ja", "th", "km") else " "
    time_s = draw(st.sampled_from([0.0, 0.4, 3590.0]))
    segments = []
    for _ in range(draw(st.integers(0, 6))):
        time_s += draw(st.sampled_from([-1.5, -0.1, 0.0, 0.3, 4.0]))
        start_s = max(0.0, time_s)
        texts = draw(st.lists(st.sampled_from(WORDS[language]), min_size=0, max_size=30))
        words = []
        for text in texts:
            time_s += draw(st.sampled_from([-0.1, 0.0, 0.0, 0.2, 2.5]))
            end_s = time_s + draw(st.sampled_from([0.0, 0.001, 0.3, 9.0]))
            word: dict[str, Any] = {"word": text}
            if draw(st.integers(0, 5)):
                word |= {"start": time_s, "end": end_s}
            words.append(word)
            time_s = end_s
        kind = draw(st.sampled_from(["timed", "timed", "timed", "untimed"]))
        segment = {
            "start": start_s,
            "end": time_s,
            "text": draw(st.sampled_from(["", " "])) + separator.join(texts),
            "words": words if kind == "timed" else [],
        }
        speaker = draw(st.sampled_from([None, "SPEAKER_00", "SPEAKER_01"]))
        segments.append(segment | ({"speaker": speaker} if speaker else {}))
    return transcript_of(segments, language, draw(st.sampled_from(["transcribe", "translate"])))


layouts = st.builds(
    dict,
    max_line_width=st.sampled_from([None, 1, 11, 42, 1000]),
    max_line_count=st.sampled_from([None, 1, 2, 3]),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(transcripts(), layouts)
def test_cues_are_in_order_and_hold_everything_once(
    transcript: Transcript, layout: dict[str, Any]
) -> None:
    shown = found(transcript, **layout)
    for cue in shown:
        assert cue.start_ms < cue.end_ms
        assert cue.text.strip() == cue.text != ""
        assert "\n\n" not in cue.text
        assert "-->" not in cue.text
        assert cue.end_ms - cue.start_ms <= 7000
        num_lines = layout["max_line_count"] or LAYOUT.lines
        assert cue.text.count("\n") < num_lines
    for before, after in pairwise(shown):
        assert before.end_ms < after.start_ms
    everything = "".join(segment.text for segment in transcript.segments).replace("-->", "->")
    everything = re.sub(r"\s", "", everything)
    if _talk_in_turn(transcript):
        assert spoken(shown) == everything
    assert sorted(spoken(shown)) == sorted(everything)


def _talk_in_turn(transcript: Transcript) -> bool:
    latest_s = 0.0
    for segment in transcript.segments:
        times = [time for word in segment.words for time in (word.start, word.end) if time]
        if min([segment.start, *times]) < latest_s:
            return False
        latest_s = max([latest_s, segment.start, segment.end, *times])
    return True


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(transcripts(), layouts)
def test_no_line_is_wider_than_asked_but_for_a_word_that_is(
    transcript: Transcript, layout: dict[str, Any]
) -> None:
    width = layout["max_line_width"] or LAYOUT.columns
    measure = len if layout["max_line_width"] else columns
    for cue in found(transcript, **layout):
        for line in re.sub(f"[{MARKS}]", "", cue.text).split("\n"):
            words = re.sub(r"^\[SPEAKER_\d+\]: ?", "", line)
            assert measure(line) <= width or len(words.split()) <= 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(transcripts(), layouts)
def test_highlighting_changes_what_is_underlined_and_nothing_else(
    transcript: Transcript, layout: dict[str, Any]
) -> None:
    whole = found(transcript, **layout)
    parts = found(transcript, highlight_words=True, **layout)
    assert {cue.text for cue in whole} == {re.sub("</?u>", "", cue.text) for cue in parts}
    for cue in parts:
        assert cue.start_ms < cue.end_ms
        assert cue.text.count("<u>") == cue.text.count("</u>") <= 1
    for before, after in pairwise(parts):
        assert before.end_ms <= after.start_ms
    assert (parts[0].start_ms if parts else 0) == (whole[0].start_ms if whole else 0)


@given(st.text(max_size=200), st.sampled_from(sorted(WORDS)))
@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_text_survives(text: str, language: str) -> None:
    transcript = transcript_of([untimed(text, 0.0, 3.0)], language)
    shown = found(transcript)
    kept = "".join(plain(cue.text) for cue in shown)
    wanted = re.sub(f"[{MARKS}\\s]", "", plain(text.replace("-->", "->")))
    assert re.sub(r"\s", "", kept) == wanted
