"""Cues that people can read: what is in them, how it is broken, and when they are shown."""

# ruff: noqa: RUF001  (letters and punctuation of many scripts)
from __future__ import annotations

import re

import pytest

from tests.client.output.cues import MARKS, found, plain, said, transcript_of, untimed

# ---- scripts and spaces ----


@pytest.mark.parametrize("language", ["zh", "ja", "th", "my"])
@pytest.mark.parametrize("highlight", [False, True])
def test_english_keeps_its_spaces_in_any_language(language: str, highlight: bool) -> None:
    """The server times single letters there, so only the text tells where words end."""
    text = "ask not what your country can do"
    transcript = transcript_of([said(text, per_word_s=0.05, units="letters")], language)
    for cue in found(transcript, highlight_words=highlight):
        assert plain(cue.text).replace("\n", " ") == text
    assert f"\n{text}\n" in transcript.to_vtt().replace("do.", "do")
    assert transcript.text == text


def test_english_within_chinese_and_japanese_keeps_its_spaces() -> None:
    text = "我们用 Open AI 的模型"
    transcript = transcript_of([said(text, per_word_s=0.1, units="letters")], "zh")
    assert [cue.text for cue in found(transcript)] == [text]
    text = "今日はGoogle Mapsを使う"
    transcript = transcript_of([said(text, per_word_s=0.1, units="letters")], "ja")
    assert [cue.text for cue in found(transcript)] == [text]


def test_highlighting_underlines_whole_words_where_letters_are_timed() -> None:
    transcript = transcript_of([said("用 Open AI 做", per_word_s=0.1, units="letters")], "zh")
    underlined = re.findall("<u>(.*?)</u>", transcript.to_srt(highlight_words=True))
    assert underlined == ["用", "Open", "AI", "做"]


@pytest.mark.parametrize(
    ("language", "text", "forbidden"),
    [
        ("th", "สวัสดีครับวันนี้เราจะไปตลาดกันนะครับ", "ะาำ็่้๊๋์ัิีึืุู"),
        ("lo", "ສະບາຍດີທ່ານທັງຫຼາຍຍິນດີຕ້ອນຮັບ", "ະາຳິີຶືຸູ່້ັຼ"),
        ("km", "សួស្តីអ្នកទាំងអស់គ្នាថ្ងៃនេះយើងនឹងទៅផ្សារ", "្ាិីឹឺុូួើៀេែៃោៅំះ់"),
        ("my", "မင်္ဂလာပါကျွန်တော်တို့သည်ဒီနေ့ဈေးသွားမည်", "ာိီုူေဲံ့း္်ျြွှ"),
        ("bo", "བཀྲ་ཤིས་བདེ་ལེགས་ཁྱེད་རང་སྐུ་གཟུགས་བདེ་པོ་", "་ཱིེོུྲྱ"),
    ],
)
def test_scripts_without_spaces_break_between_clusters_and_get_no_spaces(
    language: str, text: str, forbidden: str
) -> None:
    transcript = transcript_of([said(text, per_word_s=0.1, units="letters")], language)
    shown = found(transcript, max_line_width=10, max_line_count=2)
    lines = [line for cue in shown for line in cue.text.split("\n")]
    assert len(lines) > 2
    assert "".join(lines) == text
    assert not any(line[0] in forbidden or line[-1] in "เแโใไເແໂໃໄ" for line in lines)
    assert all(len(line) <= 10 for line in lines)


def test_thai_breaks_between_words() -> None:
    transcript = transcript_of([untimed("สวัสดีครับวันนี้เราจะไปตลาด", 0.0, 4.0)], "th")
    lines = transcript.to_srt(max_line_width=14).split("\n")[2:4]
    assert lines in (["สวัสดีครับ", "วันนี้เราจะไปตลาด"], ["สวัสดีครับวัน", "นี้เราจะไปตลาด"])


def test_chinese_and_japanese_lines_begin_and_end_as_they_should() -> None:
    text = "「東京駅」まで、ちょっと行ってみました。それから、（少し）「休み」ました！"
    for width in range(4, 20):
        transcript = transcript_of([untimed(text, 0.0, 12.0)], "ja")
        shown = found(transcript, max_line_width=width)
        lines = [line for cue in shown for line in cue.text.split("\n")]
        assert "".join(lines) == text
        assert not any(line[0] in "」）、。！っょ" or line[-1] in "「（" for line in lines)


def test_wide_characters_take_two_columns() -> None:
    text = "今天我们去市场买了很多新鲜的蔬菜和水果然后回家做了一顿非常丰盛的晚餐大家都很开心"
    shown = found(transcript_of([said(text, per_word_s=0.15, units="letters")], "zh"))
    lines = [line for cue in shown for line in cue.text.split("\n")]
    assert max(len(line) for line in lines) <= 16
    assert "".join(lines) == text


def test_korean_breaks_at_spaces_alone() -> None:
    text = "안녕하세요 오늘은 시장에 갑니다"
    shown = found(transcript_of([said(text)], "ko"), max_line_width=10)
    assert " ".join(line for cue in shown for line in cue.text.split("\n")) == text


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ("你好。", "今天好吗？", "你好。今天好吗？"),
        ("こんにちは。", "Hello", "こんにちは。Hello"),
        ("我会说 English", "你呢", "我会说 English 你呢"),
        ("สวัสดี", "ครับ", "สวัสดี ครับ"),
        ("Hello?", "Hello!", "Hello? Hello!"),
    ],
)
def test_text_joins_sentences_as_their_scripts_do(first: str, second: str, expected: str) -> None:
    segments = [untimed(first, 0.0, 1.0), untimed(second, 1.0, 2.0)]
    for language in ("en", "ja", "zh"):
        assert transcript_of(segments, language).text == expected


def test_translated_text_is_english_whatever_was_spoken() -> None:
    text = "Hello, hello. I did not know that you were there."
    transcript = transcript_of([untimed(text, 0.0, 5.0)], "ja", "translate")
    assert transcript.text == text
    shown = found(transcript, max_line_width=12, max_line_count=2)
    lines = [line for cue in shown for line in cue.text.split("\n")]
    assert " ".join(lines) == text
    assert max(map(len, lines)) <= 12


def test_right_to_left_text_is_whole_and_marked_where_a_player_would_turn_it_round() -> None:
    spoken_text = "مرحبا بكم، اليوم نذهب إلى Google."
    transcript = transcript_of([said(spoken_text, speaker="SPEAKER_00")], "ar")
    (cue,) = found(transcript)
    lines = cue.text.split("\n")
    assert plain(cue.text).replace("\n", " ") == spoken_text
    assert all(line.startswith("\u202b") and line.endswith("\u202c") for line in lines)
    (bare,) = found(transcript_of([said("שלום לכם")], "he"))
    assert bare.text == "שלום לכם"
    (english,) = found(transcript_of([said("He said שלום to us.")], "en"))
    assert not set(MARKS) & set(english.text)


def test_spaces_that_do_not_break_stay() -> None:
    text = "Vraiment\u00a0? Oui\u202f! Il a dit\u00a0: « non\u00a0»"
    shown = found(transcript_of([untimed(text, 0.0, 5.0)], "fr"), max_line_width=14)
    lines = [line for cue in shown for line in cue.text.split("\n")]
    assert " ".join(lines) == text
    assert not any(line[0] in "?!:»" or line[-1] == "«" for line in lines)


# ---- words without times ----


def test_a_long_translation_becomes_cues_by_proportion() -> None:
    sentence = "To reduce the volume of the conference, press on four or six."
    transcript = transcript_of([untimed(" ".join([sentence] * 6), 10.0, 37.0)], "fr", "translate")
    shown = found(transcript)
    assert [plain(cue.text).replace("\n", " ") for cue in shown] == [sentence] * 6
    assert shown[0].start_ms == 10_000
    assert shown[-1].end_ms == 37_000
    for index, cue in enumerate(shown):
        assert cue.start_ms == pytest.approx(10_000 + index * 4_500, abs=100)


def test_words_without_times_share_what_lies_between_their_neighbours() -> None:
    segment = said("one two three four five six", per_word_s=1.0)
    for word in segment["words"][2:4]:
        del word["start"], word["end"]
    shown = found(transcript_of([segment]), max_line_width=9, max_line_count=1)
    starts = {cue.text: cue.start_ms for cue in shown}
    assert starts == {
        "one two": 0,
        "three": 2000,
        "four": pytest.approx(2000 + 2000 * 5 / 9, abs=1),
        "five six": 4000,
    }


def test_a_corrected_text_is_shown_with_the_times_of_the_words() -> None:
    segment = said("Hello Jon. Good morning to you all.", per_word_s=1.0)
    segment["text"] = "Hello John! Good morning to you all."
    shown = found(transcript_of([segment]), max_line_width=11, max_line_count=1)
    assert " ".join(cue.text for cue in shown) == segment["text"]
    assert shown[1].start_ms == pytest.approx(2000, abs=150)


# ---- size ----


def test_the_label_counts_in_its_line() -> None:
    text = "Oh, I'm originally from Chicago also. I'm in New Jersey now, and they know it."
    transcript = transcript_of([said(text, speaker="SPEAKER_00")])
    for layout in ({}, {"max_line_width": 42, "max_line_count": 2}, {"max_line_width": 24}):
        shown = found(transcript, **layout)
        lines = [line for cue in shown for line in cue.text.split("\n")]
        assert max(map(len, lines)) <= layout.get("max_line_width", 42)
        assert all(cue.text.startswith("[SPEAKER_00]:") for cue in shown)


def test_a_label_as_wide_as_the_line_has_a_line_of_its_own() -> None:
    transcript = transcript_of([said("Good morning to you", speaker="SPEAKER_00")])
    shown = found(transcript, max_line_width=14, max_line_count=2)
    assert shown[0].text == "[SPEAKER_00]:\nGood morning"


def test_lines_break_where_the_sense_does() -> None:
    def lines(text: str, language: str = "en") -> list[str]:
        return [cue.text for cue in found(transcript_of([said(text)], language))]

    assert lines("I would have come to see you, but the car broke down.") == [
        "I would have come to see you,\nbut the car broke down."
    ]
    assert lines("We are looking for the people who lived in this old house.") == [
        "We are looking for the people\nwho lived in this old house."
    ]
    assert lines("Ich habe gestern lange gewartet, weil der Zug nicht kam.", "de") == [
        "Ich habe gestern lange gewartet,\nweil der Zug nicht kam."
    ]


def test_no_line_ends_with_an_article_where_another_break_is_near() -> None:
    text = "Yesterday afternoon they finally opened the enormous wooden gate of the castle"
    (cue,) = found(transcript_of([said(text, per_word_s=0.3)]))
    assert not re.search(r"\b(the|of|a)\n", cue.text)


def test_short_text_stays_in_one_line_and_a_sentence_in_one_cue() -> None:
    segments = [
        said("This is one sentence.", 0.0),
        said("Here is another one.", 1.7),
    ]
    assert [cue.text for cue in found(transcript_of(segments))] == [
        "This is one sentence.",
        "Here is another one.",
    ]


def test_quick_answers_of_one_speaker_share_a_cue() -> None:
    segments = [said(word, index * 0.3, per_word_s=0.25) for index, word in enumerate(
        ["Yes.", "No.", "Maybe.", "Well."]
    )]  # fmt: skip
    segments.append(said("And then?", 1.2, speaker="SPEAKER_01"))
    first, second = found(transcript_of(segments))
    assert (first.text, second.text) == ("Yes. No. Maybe. Well.", "[SPEAKER_01]: And then?")


def test_a_new_speaker_is_a_new_cue() -> None:
    segments = [
        said("Yes?", 0.0, speaker="SPEAKER_00"),
        said("No.", 0.4, speaker="SPEAKER_01"),
        said("Why?", 0.8),
    ]
    assert [cue.text for cue in found(transcript_of(segments))] == [
        "[SPEAKER_00]: Yes?",
        "[SPEAKER_01]: No.",
        "Why?",
    ]


# ---- times ----


def test_a_short_cue_stays_into_the_pause_behind_it() -> None:
    segments = [said("Yes.", 1.0, per_word_s=0.2), said("And so it was.", 6.0)]
    first, second = found(transcript_of(segments))
    assert (first.start_ms, first.end_ms) == (1000, 1833)
    assert second.start_ms == 6000


def test_fast_speech_stays_for_reading_but_not_longer_than_it_may_linger() -> None:
    text = "Incomprehensibilities notwithstanding, internationalization"
    (cue,) = found(transcript_of([said(text, per_word_s=0.4)]))
    assert cue.end_ms == 1200 + 1500


def test_cues_leave_two_frames_and_small_gaps_are_closed() -> None:
    first = said("They went out to the garden.", 0.0)
    second = said("The others stayed at home.", first["end"] + 0.3)
    shown = found(transcript_of([first, second]))
    assert shown[1].start_ms - shown[0].end_ms == 83


def test_a_gap_that_was_asked_for_is_left_though_speech_would_fill_it() -> None:
    first = said("They went out to the garden.", 0.0)
    second = said("The others stayed at home.", first["end"] + 0.6)
    shown = found(transcript_of([first, second]), min_gap_s=0.7)
    assert shown[1].start_ms - shown[0].end_ms == 700


def test_a_long_word_does_not_hold_its_cue_for_ever() -> None:
    shown = found(transcript_of([said("Bye.", 3.0, per_word_s=3600.0)]))
    assert [(cue.start_ms, cue.end_ms) for cue in shown] == [(3000, 10_000)]


def test_one_who_talks_into_another_is_shown_where_he_does() -> None:
    long = said("I went to the market, and then I met my sister there by chance.", 0.0)
    shout = said("Really?", 2.2, speaker="SPEAKER_01")
    long["speaker"] = "SPEAKER_00"
    shown = found(transcript_of([long, shout]), max_line_width=40, max_line_count=1)
    index = next(i for i, cue in enumerate(shown) if "Really" in cue.text)
    assert 0 < index < len(shown) - 1
    assert abs(shown[index].start_ms - 2200) < 500
