"""What a model is known to do from its tokenizer's file, and what is refused for it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from onecard.errors import InvalidRequest
from onecard.options.transcribe import TranscribeOptions
from onecard.whisper import abilities
from onecard.whisper.abilities import Abilities, Config
from onecard.whisper.tokenizer import Tokenizer

ENGINE = Path(__file__).parents[3] / "engines" / "cpu" / "whisper"


@pytest.fixture(scope="module")
def whisper() -> Abilities:
    return abilities.load(Config(str(ENGINE), 5, "ctranslate2"))


def test_the_file_says_what_the_tokenizer_says(whisper: Abilities) -> None:
    tokenizer = Tokenizer(ENGINE / "tokenizer.json")
    assert list(whisper.languages) == list(tokenizer.languages.values())
    assert whisper.num_tokens == tokenizer.num_tokens


def test_a_model_of_english_only_has_no_languages(tmp_path: Path) -> None:
    names = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|zh|>", "<|translate|>"]
    special = [{"id": 50_256 + i, "content": name} for i, name in enumerate(names)]
    document = {"added_tokens": special, "model": {"vocab": {"a": 0}}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(document))
    found = abilities.load(Config(str(tmp_path), 1, "ctranslate2"))
    assert (list(found.languages), found.num_tokens) == ([], 50_261)
    with pytest.raises(InvalidRequest, match="`fr`, the model knows en; choose"):
        found.verify(TranscribeOptions(language="fr"))
    with pytest.raises(InvalidRequest, match="the model knows English only"):
        found.verify(TranscribeOptions(task="translate"))
    with pytest.raises(InvalidRequest, match="`multilingual` is true, the model knows English"):
        found.verify(TranscribeOptions(multilingual=True))
    found.verify(TranscribeOptions(language="en"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"language": "yue"}, "`yue`, the model knows af, .* did you mean `zh`"),
        ({"language": "Cantonese"}, "`yue`"),
        ({"beam_size": 6}, "`beam_size` is 6, the engine was built for at most 5"),
        ({"suppress_tokens": "51865"}, "numbers below 51865"),
        ({"suppress_tokens": "1;2"}, "suppress_tokens"),
    ],
)
def test_what_the_model_cannot_do_is_refused(whisper: Abilities, options, says: str) -> None:
    with pytest.raises(InvalidRequest, match=says):
        whisper.verify(TranscribeOptions(**options))


def test_what_it_can_do_is_not(whisper: Abilities) -> None:
    whisper.verify(TranscribeOptions())
    whisper.verify(TranscribeOptions(language="zh", task="translate", beam_size=5))


def test_the_large_model_knows_cantonese(whisper: Abilities) -> None:
    large = Abilities([*whisper.languages, "yue"], whisper.num_tokens + 1, 5)
    large.verify(TranscribeOptions(language="yue"))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"patience": 2.0}, "`patience` is `2.0`, and this server's engine, TensorRT-LLM"),
        ({"no_repeat_ngram_size": 3}, "`no_repeat_ngram_size` is `3`, .* `repetition_penalty`"),
        ({"without_timestamps": False}, "`without_timestamps` is `False`"),
    ],
)
def test_what_nvidias_backend_has_no_tensor_for_is_refused_there_alone(
    whisper: Abilities, options, says: str
) -> None:
    whisper.verify(TranscribeOptions(**options))
    with pytest.raises(InvalidRequest, match=says):
        dataclasses.replace(whisper, backend="tensorrtllm").verify(TranscribeOptions(**options))
