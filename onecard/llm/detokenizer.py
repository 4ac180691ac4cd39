"""Token ids to text while they come, and never half a character."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable


class Detokenizer:
    """The text of one answer, piece by piece.

    What `push` and `flush` return, joined, is what decoding all ids at once gives: bytes that are
    no UTF-8 become U+FFFD there as well.

    Args:
        bytes_of: what a token adds to the text; nothing for special tokens.
        drop_first_space: for vocabularies that put one before the first word.
    """

    def __init__(self, bytes_of: Callable[[int], bytes], drop_first_space: bool = False) -> None:
        self._bytes_of = bytes_of
        self._token_space = drop_first_space
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._drop_space = drop_first_space

    def bytes_of(self, token_id: int) -> bytes:
        """The bytes that the next token adds; call this once for each token, in order."""
        data = self._bytes_of(token_id)
        if self._token_space and data:
            self._token_space = False
            data = data.removeprefix(b" ")
        return data

    def push(self, ids: Iterable[int]) -> str:
        """The text that `ids` complete."""
        text = self._decoder.decode(b"".join(map(self._bytes_of, ids)))
        if self._drop_space and text:
            self._drop_space = False
            text = text.removeprefix(" ")
        return text

    def flush(self) -> str:
        """The rest at the end: U+FFFD for a character that was never completed, or nothing."""
        return self._decoder.decode(b"", final=True)
