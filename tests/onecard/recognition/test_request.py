"""What a request's options make of prompts and answers, with an engine that answers as told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from onecard.errors import Unavailable
from onecard.options.transcribe import TranscribeOptions
from onecard.recognition.engine import Answer, Decode, Decoded, to_tensors
from onecard.recognition.fallback import Chunk
from onecard.recognition.request import Config, Request
from onecard.whisper.tokenizer import MAX_PREFIX_TOKENS, Tokenizer

ENGINE = Path(__file__).parents[3] / "engines" / "cpu" / "whisper"
CONFIG = Config("whisper", str(ENGINE), "ctranslate2", "int8", 4, 5, 5, 224, 448)
TEXTS = (" The first part.", " The second part.", " The third part.")


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer(ENGINE / "tokenizer.json")


def chunks(number: int = 3) -> list[Chunk]:
    """Of ten seconds each; which one it is stands in its features."""
    return [
        Chunk(10.0 * i, 10.0 * (i + 1), lambda i=i: np.full((10, 80), i, np.float16))  # type: ignore[misc]
        for i in range(number)
    ]


def run(
    tokenizer: Tokenizer,
    answer: Callable[[int, Decode], Answer],
    number: int = 3,
    previous: tuple[int, ...] | None = None,
    **options: Any,
) -> tuple[dict[str, Any], list[Decode], Request]:
    """SEGMENTS of some chunks, what the engine was asked for, and the request."""
    asked: list[Decode] = []

    def engine(requests: Iterable[Decode]) -> Iterator[Answer]:
        for decode in requests:
            asked.append(decode)
            yield answer(int(decode.features[0, 0]), decode)

    found = chunks(number)
    request = Request(
        tokenizer, CONFIG, TranscribeOptions(language="en", **options), "en", previous or ()
    )
    warnings = request.begin_with_prefix(found[0]) if previous is None else []
    request.run(found, engine)
    return {**request.outcome(found), "warnings": warnings + request.warnings}, asked, request


def said(tokenizer: Tokenizer, text: str, avg_logprob: float = -0.1) -> Decoded:
    tokens = tuple(tokenizer.encode(text))
    return Decoded(tokens, avg_logprob * (len(tokens) + 1))


def test_a_text_begins_with_the_prefix_which_the_engine_goes_on_from(tokenizer: Tokenizer) -> None:
    found, asked, _ = run(tokenizer, lambda i, _: said(tokenizer, TEXTS[i]), 2, prefix="Well then,")
    prefix = tokenizer.encode(" Well then,")
    assert list(asked[0].prompt[-len(prefix) :]) == prefix
    assert asked[0].prompt[-len(prefix) - 1] == tokenizer.no_timestamps == asked[1].prompt[-1]
    texts = [segment["text"] for segment in found["segments"]]
    assert texts == [" Well then, The first part.", TEXTS[1]]
    tokens = found["segments"][0]["tokens"]
    assert tokens == prefix + tokenizer.encode(TEXTS[0])
    assert len(found["segments"][0]["token_letters"]) == len(tokens)


def test_a_long_prefix_is_cut_and_a_later_part_has_none(tokenizer: Tokenizer) -> None:
    def answer(i: int, _: Decode) -> Answer:
        return said(tokenizer, TEXTS[i])

    found, asked, _ = run(tokenizer, answer, 1, prefix="word " * 300)
    assert len(asked[0].prompt) == 4 + MAX_PREFIX_TOKENS
    assert found["warnings"] == [
        f"`prefix` was cut after {MAX_PREFIX_TOKENS} tokens, the most that it may have"
    ]
    _, asked, _ = run(tokenizer, answer, 1, previous=(), prefix="Well then,")
    assert len(asked[0].prompt) == 4


def test_each_chunk_goes_on_from_the_text_before_it(tokenizer: Tokenizer) -> None:
    def answer(i: int, decode: Decode) -> Answer:
        if i == 1 and decode.temperature < 0.6:
            return said(tokenizer, TEXTS[1], -3.0)
        return said(tokenizer, TEXTS[i])

    options = {"best_of": 1, "no_speech_threshold": None}
    _, asked, request = run(tokenizer, answer, 3, condition_on_previous_text=True, **options)
    first = tokenizer.encode(TEXTS[0])
    prompts = {int(decode.features[0, 0]): list(decode.prompt) for decode in asked}
    assert len(prompts[0]) == 4
    assert prompts[1][: len(first) + 1] == [tokenizer.start_of_previous, *first]
    assert len(prompts[2]) == 4  # what took a high temperature is not gone on from
    assert request.previous == tokenizer.encode(TEXTS[2])
    order = [int(decode.features[0, 0]) for decode in asked]
    assert order == sorted(order)
    _, asked, request = run(tokenizer, answer, 3, **options)
    assert all(len(decode.prompt) == 4 for decode in asked)
    assert request.previous == []


def test_a_later_part_goes_on_from_the_part_before(tokenizer: Tokenizer) -> None:
    before = tuple(tokenizer.encode(TEXTS[0]))
    _, asked, request = run(
        tokenizer, lambda i, _: said(tokenizer, TEXTS[1]), 1, previous=before,
        condition_on_previous_text=True, initial_prompt="Hello.",
    )  # fmt: skip
    initial = tokenizer.encode(" Hello.")
    assert list(asked[0].prompt[1:-4]) == [*initial, *before]
    assert request.previous == [*before, *tokenizer.encode(TEXTS[1])]


def test_an_engine_that_fails_on_one_chunk_loses_no_other(tokenizer: Tokenizer) -> None:
    def answer(i: int, _: Decode) -> Answer:
        return RuntimeError("stub died") if i == 0 else said(tokenizer, TEXTS[i])

    found, _, _ = run(tokenizer, answer, 2, condition_on_previous_text=True)
    assert [segment["text"] for segment in found["segments"]] == [TEXTS[1]]
    assert found["dropped"][0]["reason"] == "engine error: stub died"
    with pytest.raises(Unavailable, match="on each of 1 chunks"):
        run(tokenizer, answer, 1, condition_on_previous_text=True)


def test_fewer_tokens_are_asked_for_and_a_cut_is_told(tokenizer: Tokenizer) -> None:
    def answer(i: int, decode: Decode) -> Answer:
        tokens = tokenizer.encode(TEXTS[i])[: decode.max_new_tokens]
        return Decoded(tuple(tokens), -0.1)

    found, asked, _ = run(tokenizer, answer, 1, max_new_tokens=2)
    assert asked[0].max_new_tokens == 2
    assert found["segments"][0]["text"] == " The first"
    assert "ends at the limit of 2 tokens" in found["warnings"][0]
    _, asked, _ = run(tokenizer, answer, 1)
    assert asked[0].max_new_tokens == CONFIG.max_new_tokens


def test_segments_are_cut_where_whisper_writes_times(tokenizer: Tokenizer) -> None:
    def at(time_s: float) -> int:
        return tokenizer.no_timestamps + 1 + round(time_s / 0.02)

    def answer(i: int, decode: Decode) -> Answer:
        one, two, three = (tokenizer.encode(text) for text in TEXTS)
        tokens = [at(0), *one, at(2.5), at(3), *two, at(4.04), at(5), *three]
        return Decoded(tuple(tokens), -1.0)

    found, asked, _ = run(tokenizer, answer, 2, without_timestamps=False)
    assert asked[0].prompt[-1] == tokenizer.transcribe
    spans = [(segment["start"], segment["end"]) for segment in found["segments"]]
    assert spans[:3] == [(0.0, 2.5), (3.0, 4.04), (5.0, 10.0)]
    assert spans[3:] == [(10 + start, 10 + end) for start, end in spans[:3]]
    assert [segment["text"] for segment in found["segments"]] == [*TEXTS, *TEXTS]
    assert found["segments"][1]["tokens"] == tokenizer.encode(TEXTS[1])


def test_times_stay_in_the_chunk_and_in_order(tokenizer: Tokenizer) -> None:
    word = tokenizer.encode(" word")
    begin = tokenizer.no_timestamps + 1
    found = tokenizer.timed([begin + 300, *word, begin + 200, begin + 1400, *word], 8.0)
    assert [(start, end) for start, end, _ in found] == [(6.0, 6.0), (8.0, 8.0)]


def test_the_search_is_told_to_the_engine(tokenizer: Tokenizer) -> None:
    asked: list[Decode]
    _, asked, _ = run(
        tokenizer, lambda i, _: said(tokenizer, TEXTS[i]), 1, patience=2.0, no_repeat_ngram_size=3
    )
    tensors = to_tensors(asked[0], tokenizer.end)
    assert (tensors["patience"][0], tensors["no_repeat_ngram_size"][0]) == (2.0, 3)
    _, asked, _ = run(tokenizer, lambda i, _: said(tokenizer, TEXTS[i]), 1)
    usual = to_tensors(asked[0], tokenizer.end)
    assert set(tensors) - set(usual) == {"patience", "no_repeat_ngram_size"}
