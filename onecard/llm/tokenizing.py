"""Text to the ids of tokens, so that nobody else's Python has to wait for it."""

from __future__ import annotations

import os
from collections.abc import Collection

import tokenizers

from onecard.errors import InvalidRequest

# Texts with more letters for each token that there is room for are not even tokenized: that takes
# up to 4 s and 0.4 GB for a million digits. Prose has 4 letters a token; a long line of `=`, 10.
MAX_LETTERS_PER_TOKEN = 16

# A pool of threads for one text at a time is of no use, and forking after its start a warning.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


def ids(tokenizer: tokenizers.Tokenizer, text: str) -> list[int]:
    """The tokens of `text`, as `encode` has them; special ones are not added.

    `encode` holds Python's lock until it is done with the whole text; `encode_batch_fast` lets it
    go (huggingface/tokenizers, bindings/python/src/tokenizer.rs, `allow_threads`).
    """
    found = tokenizer.encode_batch_fast([text], add_special_tokens=False)[0]
    return list(found.ids)


def verify_size(name: str, texts: Collection[str], window: int) -> None:
    """Refuse what cannot fit `window` tokens, by its letters and its parts alone.

    Raises:
        InvalidRequest: there are more than MAX_LETTERS_PER_TOKEN letters, or more than one text,
            for each token of the window.
    """
    num_letters = sum(map(len, texts))
    max_letters = window * MAX_LETTERS_PER_TOKEN
    if len(texts) > window:
        found = f"{len(texts)} messages, and each takes a token at the least"
    elif num_letters > max_letters:
        found = f"{num_letters} letters, must have at most {max_letters}"
    else:
        return
    raise InvalidRequest(
        f"{name} has {found}: the model's context holds {window} tokens; shorten the conversation"
    )
