"""Texts as they are compared: OpenAI's normalizers for Whisper, which come with transformers.

They write numbers and contractions in one way and drop punctuation and case; English has its own.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from transformers.models.whisper.english_normalizer import (
    BasicTextNormalizer,
    EnglishTextNormalizer,
)

# Written without spaces: what the field counts there is characters.
BY_CHARACTER = frozenset({"ja", "zh", "yue", "th", "lo", "my"})


@lru_cache
def _normalizer(language: str) -> Any:
    if language == "en":
        return EnglishTextNormalizer({})
    return BasicTextNormalizer(split_letters=language in BY_CHARACTER)


def normalize(text: str, language: str) -> str:
    """As the field does before it counts word errors: OpenAI's normalizers.

    They leave `alright` apart from `all right`, and an ellipsis as a word of its own.
    """
    words = str(_normalizer(language)(text.replace("...", " "))).split()
    return " ".join("all right" if word == "alright" else word for word in words)
