"""A chat in the tokens of SmolLM2."""

from __future__ import annotations

import pytest

from onecard.chat.answer import Chat
from onecard.llm import tokenizer
from tests.onecard.chat.answers import CONFIG


@pytest.fixture(scope="module")
def chat() -> Chat:
    return Chat(tokenizer.load(CONFIG.tokenizer_dir), CONFIG, {"name": "llm"}, 49152)
