"""Text comes in whole characters, and all of it, however the ids are cut."""

from __future__ import annotations

import codecs
from functools import cache
from itertools import pairwise
from pathlib import Path

import mistral_common
import pytest
import tokenizers
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from onecard.llm.detokenizer import Detokenizer
from onecard.llm.hf_tokenizer import HfTokenizer
from onecard.llm.tekken_tokenizer import TekkenTokenizer

DIRECTORY = Path(__file__).parents[3] / "engines" / "cpu" / "llm" / "tokenizer"
TEKKEN = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"
SAMPLE = "naïve café — 日本語テキスト, हिन्दी, 👩‍👩‍👧‍👦🏳️‍🌈 \u0301combining\r\n\ttab"


@cache
def hugging_face() -> tuple[HfTokenizer, tokenizers.Tokenizer]:
    """Ours, and the reference."""
    reference = tokenizers.Tokenizer.from_file(str(DIRECTORY / "tokenizer.json"))
    return HfTokenizer(DIRECTORY), reference


@cache
def tekken() -> tuple[TekkenTokenizer, Tekkenizer]:
    return TekkenTokenizer(TEKKEN), Tekkenizer.from_file(TEKKEN)


def pieces(detokenizer: Detokenizer, ids: list[int], cuts: list[int]) -> list[str]:
    edges = [0, *sorted(cut % (len(ids) + 1) for cut in cuts), len(ids)]
    found = [detokenizer.push(ids[a:b]) for a, b in pairwise(edges)]
    return [*found, detokenizer.flush()]


@settings(deadline=None, max_examples=200)
@given(st.text(max_size=60), st.lists(st.integers(0, 10**6), max_size=12))
@example(SAMPLE, list(range(200)))
def test_text_comes_back_whole_whatever_the_cuts(text, cuts):
    ours, reference = hugging_face()
    ids = reference.encode(text).ids
    found = pieces(ours.detokenizer(), ids, cuts)
    assert "".join(found) == reference.decode(ids)  # not `text`: the vocabulary lacks some bytes
    ours, reference = tekken()
    ids = reference.encode(text, bos=False, eos=False)
    found = pieces(ours.detokenizer(), ids, cuts)
    assert "".join(found) == text
    assert "\ufffd" in text or not any("\ufffd" in piece for piece in found)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 49_151), max_size=30), st.lists(st.integers(0, 99), max_size=8))
def test_any_ids_give_what_decoding_all_of_them_gives(ids, cuts):
    ours, reference = hugging_face()
    found = pieces(ours.detokenizer(), ids, cuts)
    assert "".join(found) == reference.decode(ids, skip_special_tokens=True)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(1000, 131_071), max_size=30), st.lists(st.integers(0, 99), max_size=8))
def test_any_tekken_ids_do_too(ids, cuts):
    ours, reference = tekken()
    assert "".join(pieces(ours.detokenizer(), ids, cuts)) == reference.decode(ids)


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_bytes_one_by_one(data):
    detokenizer = Detokenizer(lambda byte: bytes([byte]))
    found = [detokenizer.push([byte]) for byte in data]
    assert "".join(found) + detokenizer.flush() == data.decode(errors="replace")
    # What has come out is never taken back, and never waits for more than one character.
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    assert found == [decoder.decode(bytes([byte])) for byte in data]


@pytest.mark.parametrize("both", [hugging_face, tekken])
def test_special_tokens_say_nothing(both):
    tokenizer, _ = both()
    assert tokenizer.detokenizer().push(tokenizer.end_ids) == ""
    assert tokenizer.token(tokenizer.end_ids[0]) in ("<|im_end|>", "</s>")


def test_a_character_that_is_never_completed_is_marked_at_the_end():
    detokenizer = Detokenizer(lambda byte: bytes([byte]))
    assert detokenizer.push("é".encode()[:1]) == ""
    assert detokenizer.flush() == "\ufffd"
