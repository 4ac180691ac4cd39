"""The six formats against WhisperX's own writers, and the faults of those that are mended here.

What cues are like without `whisperx_compat`: test_subtitles.py.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from fake_server import RESULT
from whisperx.utils import get_writer

from onecard_client import Transcript
from onecard_client.subtitles import SubtitleLayout
from onecard_client.writers import ALL_FORMATS, WRITERS

FORMATS = tuple(extension for extension in WRITERS if extension != "rttm")  # WhisperX's
# Cues are for readers, so srt and vtt are WhisperX's only where that is asked for.
FORMATS_WITHOUT_CUES = tuple(extension for extension in FORMATS if extension not in ("srt", "vtt"))
TEXTS = ["Hello", "there,", "AT&T", "a<b", "-->", "naïve", "42", "x" * 30, "—", "你好", "I"]


def transcript_of(segments: list[dict[str, Any]], language: str = "en") -> Transcript:
    return Transcript.from_dict({**RESULT, "segments": segments, "language": language})


def whisperx(transcript: Transcript, extension: str, layout: SubtitleLayout, folder: Path) -> str:
    """What WhisperX writes for the same result."""
    options = {
        "max_line_width": layout.max_line_width,
        "max_line_count": layout.max_line_count,
        "highlight_words": layout.highlight_words,
    }
    get_writer(extension, str(folder))(transcript.to_dict(), "talk.wav", options)
    return (folder / f"talk.{extension}").read_bytes().decode()


def random_segments(seed: int, texts: list[str], *, untimed: float = 0.15) -> list[dict[str, Any]]:
    """Segments as the pipeline makes them, some words without times, some long pauses."""
    chance = random.Random(seed)
    time_s = chance.choice([0.0, 0.4, 3590.0])
    segments = []
    for _ in range(chance.randrange(0, 7)):
        time_s += chance.choice([0.1, 0.5, 3.5])
        words: list[dict[str, Any]] = []
        start_s = time_s
        for _ in range(chance.randrange(1, 9)):
            time_s += chance.choice([0.0, 0.01, 0.0005, 0.2, 3.2])
            end_s = time_s + chance.random()
            word: dict[str, Any] = {"word": chance.choice(texts)}
            if chance.random() > untimed:
                word |= {"start": round(time_s, 4), "end": round(end_s, 4), "score": 0.5}
            words.append(word)
            time_s = end_s
        text = " " * chance.randrange(2) + " ".join(word["word"] for word in words)
        segment = {"start": start_s, "end": time_s, "text": text, "words": words}
        if chance.random() < 0.7:
            segment["speaker"] = chance.choice(["SPEAKER_00", "SPEAKER_01"])
        segments.append(segment)
    return segments


LAYOUTS = [
    SubtitleLayout(width, count, highlight, True)
    for width in (None, 1, 11, 24, 42)
    for count in (None, 1, 2)
    for highlight in (False, True)
]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("extension", FORMATS)
def test_compat_is_whisperx_to_the_byte(extension: str, seed: int, tmp_path: Path) -> None:
    segments = random_segments(seed, [*TEXTS, "tab\there", "line\nbreak", " spaced ", ""])
    transcript = transcript_of(segments, random.Random(seed).choice(["en", "ja", "zh"]))
    for layout in LAYOUTS:
        expected = whisperx(transcript, extension, layout, tmp_path)
        assert WRITERS[extension](transcript, layout) == expected, layout


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("extension", FORMATS_WITHOUT_CUES)
def test_default_is_whisperx_where_that_is_right(extension: str, seed: int, tmp_path: Path) -> None:
    transcript = transcript_of(random_segments(seed, ["Hello", "there,", "naïve", "42", "你好"]))
    layouts = [SubtitleLayout(), SubtitleLayout(highlight_words=True)]
    for layout in layouts:
        expected = whisperx(transcript, extension, layout, tmp_path)
        assert WRITERS[extension](transcript, layout) == expected


@pytest.mark.parametrize(
    ("extension", "compat"),
    [(extension, True) for extension in FORMATS]
    + [(extension, False) for extension in FORMATS_WITHOUT_CUES],
)
def test_without_alignment(extension: str, compat: bool, tmp_path: Path) -> None:
    """WhisperX takes another path if there is no `words` in its result."""
    segments = [
        {"start": 0.0, "end": 2.5, "text": " Good --> morning. ", "speaker": "SPEAKER_00"},
        {"start": 3.0, "end": 3600.25, "text": " Bye."},
    ]
    transcript = transcript_of(segments)
    document = transcript.to_dict()
    if extension != "json":
        for segment in document["segments"]:
            del segment["words"]
    options = {"max_line_width": None, "max_line_count": None, "highlight_words": False}
    get_writer(extension, str(tmp_path))(document, "talk.wav", options)
    expected = (tmp_path / f"talk.{extension}").read_text()
    assert WRITERS[extension](transcript, SubtitleLayout(whisperx_compat=compat)) == expected


def test_all_is_what_whisperx_calls_all(tmp_path: Path) -> None:
    layout = {"max_line_width": None, "max_line_count": None, "highlight_words": False}
    get_writer("all", str(tmp_path))(Transcript.from_dict(RESULT).to_dict(), "talk.wav", layout)
    assert {path.suffix[1:] for path in tmp_path.iterdir()} == set(ALL_FORMATS)


def test_methods_write_what_the_writers_write() -> None:
    transcript = Transcript.from_dict(RESULT)
    for extension, write in WRITERS.items():
        assert getattr(transcript, f"to_{extension}")() == write(transcript, SubtitleLayout())
    layout = {"max_line_width": 5, "max_line_count": 1, "highlight_words": True}
    assert transcript.to_srt(**layout) == WRITERS["srt"](transcript, SubtitleLayout(**layout))
    assert transcript.to_vtt(**layout) == WRITERS["vtt"](transcript, SubtitleLayout(**layout))


# What WhisperX does wrong; each test shows its output first, so that a mended WhisperX is noticed.


def words(text: str, start_s: float = 0.0) -> list[dict[str, Any]]:
    return [
        {"word": word, "start": start_s + index, "end": start_s + index + 0.5, "score": 0.9}
        for index, word in enumerate(text.split())
    ]


def segment(spoken: str, start_s: float = 0.0, **more: Any) -> dict[str, Any]:
    plain = {"start": start_s, "end": start_s + 5.0, "text": spoken}
    return {**plain, "words": words(spoken, start_s), **more}


def both(
    transcript: Transcript, layout: SubtitleLayout, folder: Path, extension: str = "srt"
) -> tuple[str, str]:
    theirs = whisperx(transcript, extension, layout, folder)
    return theirs, WRITERS[extension](transcript, layout)


def test_segments_that_were_not_aligned_stay(tmp_path: Path) -> None:
    transcript = transcript_of([segment("Good morning."), segment("Bye.", 9.0, words=[])])
    theirs, ours = both(transcript, SubtitleLayout(), tmp_path)
    assert "Bye." not in theirs
    assert "2\n00:00:09,000 --> 00:00:14,000\nBye.\n\n" in ours
    flowing = SubtitleLayout(max_line_width=40, max_line_count=2)
    assert "00:00:09,000 --> 00:00:14,000\nBye.\n" in transcript.to_srt(
        max_line_width=flowing.max_line_width, max_line_count=flowing.max_line_count
    )


def test_two_speakers_do_not_share_a_cue(tmp_path: Path) -> None:
    transcript = transcript_of(
        [segment("Yes?", speaker="SPEAKER_00"), segment("No.", 1.0, speaker="SPEAKER_01")]
    )
    theirs, ours = both(transcript, SubtitleLayout(40, 2), tmp_path)
    assert "[SPEAKER_00]: Yes? No." in theirs
    assert "[SPEAKER_00]: Yes?\n" in ours
    assert "[SPEAKER_01]: No.\n" in ours


@pytest.mark.parametrize("count", [None, 1, 2, 3])
def test_no_line_is_wider_than_its_limit(count: int | None, tmp_path: Path) -> None:
    transcript = transcript_of([segment("one two three four five six seven eight")])
    theirs, ours = both(transcript, SubtitleLayout(11, count), tmp_path)
    assert max(len(line) for line in text_lines(theirs)) > 11
    assert max(len(line) for line in text_lines(ours)) <= 11
    assert not any(line != line.rstrip() for line in ours.splitlines())
    assert " ".join(text_lines(ours)) == "one two three four five six seven eight"


def text_lines(srt: str) -> list[str]:
    return [line for block in srt.strip().split("\n\n") for line in block.splitlines()[2:]]


def test_highlighting_puts_no_spaces_into_japanese(tmp_path: Path) -> None:
    characters = segment("こ ん に", text="こんに")
    transcript = transcript_of([characters], "ja")
    theirs, ours = both(transcript, SubtitleLayout(highlight_words=True), tmp_path)
    assert "<u>こ</u> ん に" in theirs
    assert "<u>こ</u>んに" in ours


def test_arrows_in_speech_do_not_end_a_cue(tmp_path: Path) -> None:
    transcript = transcript_of([segment("left --> right")])
    theirs, ours = both(transcript, SubtitleLayout(), tmp_path)
    assert "left --> right" in theirs
    assert "left -> right" in ours


def test_vtt_is_escaped(tmp_path: Path) -> None:
    transcript = transcript_of([segment("a<b AT&T", speaker="R&D")])
    theirs, ours = both(transcript, SubtitleLayout(), tmp_path, "vtt")
    assert "a<b AT&T" in theirs
    assert "[R&amp;D]: a&lt;b AT&amp;T" in ours
    assert "<u>a&lt;b</u>" in transcript.to_vtt(highlight_words=True)
    assert "a<b AT&T" in transcript.to_srt()


def test_line_breaks_in_speech_stay_in_their_line(tmp_path: Path) -> None:
    broken = segment("one two", text="one\n\ntwo", words=[])
    transcript = transcript_of([broken])
    assert transcript.to_txt() == "one two\n"
    assert transcript.to_tsv() == "start\tend\ttext\n0\t5000\tone two\n"
    assert transcript.to_aud() == "0.0\t5.0\tone two\n"
    assert transcript.to_srt() == "1\n00:00:00,000 --> 00:00:05,000\none two\n\n"


def test_first_segment_without_words_does_not_hide_the_others_times(tmp_path: Path) -> None:
    transcript = transcript_of([segment("Hm.", words=[]), segment("Good morning.", 9.25)])
    assert "00:00:09,250 --> 00:00:10,750\nGood morning." in transcript.to_srt()


def test_empty_transcript() -> None:
    transcript = transcript_of([])
    assert transcript.to_srt() == ""
    assert transcript.to_vtt() == "WEBVTT\n\n"
    assert transcript.to_txt() == ""
    assert transcript.to_tsv() == "start\tend\ttext\n"
    assert transcript.to_aud() == ""


def test_unaligned_text_is_wrapped() -> None:
    transcript = transcript_of([segment("one two three four", words=[])])
    expected = "1\n00:00:00,000 --> 00:00:05,000\none two\nthree four\n\n"
    assert transcript.to_srt(max_line_width=10) == expected
    in_two = transcript.to_srt(max_line_width=10, max_line_count=1)
    assert text_lines(in_two) == ["one two", "three four"]
    assert in_two.count("-->") == 2
    japanese = transcript_of([segment("こんにちは", words=[])], "ja")
    assert "こんに\nちは\n" in japanese.to_srt(max_line_width=3)


@pytest.mark.parametrize("seed", range(20))
def test_cues_hold_every_word_in_order(seed: int) -> None:
    segments = random_segments(seed, [f"w{number}" for number in range(50)])
    for index, one in enumerate(segments):
        one.pop("speaker", None)
        if index % 3 == 2:
            one["words"] = []
    transcript = transcript_of(segments)
    spoken = " ".join(one["text"] for one in segments).split()
    for layout in LAYOUTS:
        if layout.highlight_words:
            continue
        srt = transcript.to_srt(
            max_line_width=layout.max_line_width, max_line_count=layout.max_line_count
        )
        assert " ".join(text_lines(srt)).split() == spoken


@pytest.mark.parametrize("first", [*"=+-@", *"\uff1d\uff0b\uff0d\uff20"])
def test_a_text_is_no_formula_of_a_spreadsheet(first: str) -> None:
    formula = f'{first}HYPERLINK("http://example.org","x")'
    transcript = transcript_of([segment("x", text=f" \t{formula}", words=[])])
    assert transcript.to_tsv().splitlines()[1] == f"0\t5000\t'{formula}"
    compatible = SubtitleLayout(whisperx_compat=True)
    assert WRITERS["tsv"](transcript, compatible).splitlines()[1] == f"0\t5000\t{formula}"
    assert transcript.to_txt() == f"{formula}\n"


@pytest.mark.parametrize("text", ["a = b", "5 - 3", "1+1", "'quoted'", "\u2013 a dash", ""])
def test_other_texts_stay_as_they_are_in_a_table(text: str) -> None:
    transcript = transcript_of([segment("x", text=text, words=[])])
    assert transcript.to_tsv().splitlines()[1] == f"0\t5000\t{text}"
