"""Prompts and token sets against faster-whisper's and WhisperX's, on the served vocabulary."""

from __future__ import annotations

from pathlib import Path

import faster_whisper.tokenizer
import pytest
import tokenizers
from faster_whisper.transcribe import get_suppressed_tokens
from whisperx.asr import find_numeral_symbol_tokens

from onecard.errors import InvalidRequest
from onecard.options.transcribe import TranscribeOptions
from onecard.whisper.tokenizer import MAX_PREVIOUS_TOKENS, Tokenizer

PATH = Path(__file__).parents[3] / "engines" / "cpu" / "whisper" / "tokenizer.json"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(PATH)


@pytest.fixture(scope="module")
def reference() -> faster_whisper.tokenizer.Tokenizer:
    return faster_whisper.tokenizer.Tokenizer(
        tokenizers.Tokenizer.from_file(str(PATH)), True, "transcribe", "en"
    )


def test_languages_are_the_models(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.languages) == 99
    assert (tokenizer.languages[50_259], tokenizer.languages[50_357]) == ("en", "su")
    assert set(tokenizer.languages.values()) <= set(faster_whisper.tokenizer._LANGUAGE_CODES)


@pytest.mark.parametrize(
    "text",
    [
        " So this is the sick corpus.  I have a cold 🙂, á é.",
        "マッピルマナのぎ、キャンプの外れの伝注に、電球が止まっていた。",
        " 한국어는 띄어쓰기가 있다.", " ไม่มีช่องว่าง", "👩\u200d👩\u200d👧🏽 \u3000x", "",
    ],
)  # fmt: skip
def test_letters_of_tokens_are_those_of_the_text_up_to_each(
    tokenizer: Tokenizer, text: str
) -> None:
    tokens = tokenizer.encode(text)
    letters = tokenizer.num_letters(tokens)
    assert len(letters) == len(tokens)
    for index in range(len(tokens) + 1):
        begun = tokenizer.decode(tokens[:index])
        if not begun.endswith("\ufffd"):  # else a character has not ended there
            assert sum(letters[:index]) == len("".join(begun.split()))


def test_letters_of_bytes_that_are_no_text_end_somewhere(tokenizer: Tokenizer) -> None:
    byte = tokenizer.encode("伝")[0]  # begins a character
    assert tokenizer.decode([byte]) == "\ufffd"
    letters = tokenizer.num_letters([byte] * 9)
    assert len(letters) == 9
    assert sum(letters) >= 8


def test_prompts(tokenizer: Tokenizer) -> None:
    plain = tokenizer.prompt("de", TranscribeOptions(task="translate"))
    assert plain == [50_258, 50_261, 50_358, 50_363]
    told = tokenizer.prompt("en", TranscribeOptions(initial_prompt="Hello there.", hotwords="Xu"))
    before = [50_361, *tokenizer.encode(" Xu"), *tokenizer.encode(" Hello there.")]
    assert told == [*before, 50_258, 50_259, 50_359, 50_363]


def test_previous_text_is_trimmed_to_its_share(tokenizer: Tokenizer) -> None:
    options = TranscribeOptions(initial_prompt="one two three four " * 100, hotwords="five six")
    previous = tokenizer.prompt("en", options)[1:-4]
    assert len(previous) == MAX_PREVIOUS_TOKENS
    assert previous[:2] == tokenizer.encode(" five six")
    assert tokenizer.decode(previous).endswith("three four")


def test_callers_cannot_smuggle_in_special_tokens(tokenizer: Tokenizer) -> None:
    options = TranscribeOptions(initial_prompt="a <|endoftext|><|nospeech|> b")
    assert all(token < tokenizer.end for token in tokenizer.prompt("en", options)[1:-4])


def test_suppressed_tokens_equal_faster_whispers(tokenizer: Tokenizer, reference) -> None:
    assert tokenizer.suppressed(TranscribeOptions()) == list(get_suppressed_tokens(reference, [-1]))
    listed = TranscribeOptions(suppress_tokens="11, 13")
    assert tokenizer.suppressed(listed) == list(get_suppressed_tokens(reference, [11, 13]))


def test_suppressed_numerals_equal_whisperxs(tokenizer: Tokenizer, reference) -> None:
    numerals = set(find_numeral_symbol_tokens(reference))
    options = TranscribeOptions(suppress_numerals=True, suppress_tokens="")
    plain = tokenizer.suppressed(TranscribeOptions(suppress_tokens=""))
    assert set(tokenizer.suppressed(options)) - set(plain) == numerals


@pytest.mark.parametrize("text", ["x", "1,-2", "51865", "1;2"])
def test_what_is_no_list_of_tokens_is_refused(tokenizer: Tokenizer, text: str) -> None:
    with pytest.raises(InvalidRequest, match="suppress_tokens"):
        tokenizer.suppressed(TranscribeOptions(suppress_tokens=text))


def test_an_unknown_language_is_refused(tokenizer: Tokenizer) -> None:
    assert tokenizer.language("EN") == "en"
    with pytest.raises(InvalidRequest, match="`english`, the model knows af, am"):
        tokenizer.language("english")


@pytest.mark.parametrize("text", [" Grüße aus 東京", " Привет, мир", " naïve 🎉"])
def test_text_survives(tokenizer: Tokenizer, text: str) -> None:
    tokens = [50_258, *tokenizer.encode(text), tokenizer.end]
    assert tokenizer.decode(tokens) == text
