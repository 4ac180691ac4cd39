"""Texts as a compiled grammar lets them through, chosen at random."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import xgrammar

MAX_TOKENS = 400


def walk(compiled: Any, draw: random.Random, tokens: Sequence[str], mask: Any) -> str | None:
    """A text that the grammar lets through; None where it has not ended in time.

    Args:
        tokens: of the vocabulary; the last one ends a text.
        mask: what this version of xgrammar fills, [1, words] of 32 tokens each.
    """
    stop, closing = len(tokens) - 1, {tokens.index(letter) for letter in '"}],:'}
    matcher = xgrammar.GrammarMatcher(compiled)
    text = ""
    for _ in range(MAX_TOKENS):
        matcher.fill_next_token_bitmask(mask)
        words = np.asarray(mask).view(np.uint8)[0]
        allowed = np.flatnonzero(np.unpackbits(words, bitorder="little")[: len(tokens)]).tolist()
        if stop in allowed and (len(allowed) == 1 or draw.random() < 0.5):
            return text
        allowed = [token for token in allowed if token != stop]
        ending = [token for token in allowed if token in closing]
        token = draw.choice(ending if ending and draw.random() < 0.4 else allowed)
        assert matcher.accept_token(token), text + tokens[token]
        text += tokens[token]
    return None
