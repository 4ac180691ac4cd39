"""Tokens of Mistral's vocabulary as callers see them, and answers that go on from a text."""

from __future__ import annotations

import shutil
from pathlib import Path

import mistral_common
import pytest

from onecard.llm import token_texts, tokenizer
from onecard.llm.message import Message
from onecard.llm.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tekken(tmp_path_factory: pytest.TempPathFactory) -> Tokenizer:
    directory = tmp_path_factory.mktemp("mistral")
    source = Path(mistral_common.__file__).parent / "data" / "tekken_240911.json"
    shutil.copy(source, directory / "tekken.json")
    return tokenizer.load(directory)


def test_bytes_of_tokens_are_the_text_and_no_token_is_half_a_character(tekken):
    wanted = "👩‍👩‍👧 Привет 日本 🇩🇪 ñ"
    talk = [Message("user", "Hi"), Message("assistant", wanted)]
    ids = tekken.encode_chat(talk, continued=True)
    text = tekken.detokenizer(continued=True)
    assert b"".join(map(text.bytes_of, ids)).endswith(wanted.encode())
    assert not any("\ufffd" in tekken.token(token) for token in ids)
    assert tekken.end_ids[0] not in ids


def test_part_of_a_character_is_written_as_its_bytes():
    assert token_texts.shown("日".encode()) == "日"
    assert token_texts.shown(b" \xf0\x9f") == "bytes:\\x20\\xf0\\x9f"
