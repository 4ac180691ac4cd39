"""How deeply JSON is nested, told from its bytes as they come.

Triton's parser calls itself for each level: some megabytes of brackets overflow its stack and end
the server, whatever the stack's size.
"""

from __future__ import annotations

import numpy as np

MAX_DEPTH = 100

_QUOTE, _BACKSLASH = b'"', b"\\"


class Depth:
    """Takes JSON in pieces; `most` is the depth of the deepest place until now.

    Of what is no JSON it says something, and of JSON the truth.
    """

    def __init__(self) -> None:
        self.most = 0
        self._depth = 0
        self._is_in_text = False
        self._rest = b""

    def add(self, piece: bytes) -> None:
        """The next bytes: uint8 [N], of which each is looked at once."""
        text = self._rest + piece
        num_backslashes = len(text) - len(text.rstrip(_BACKSLASH))
        end = len(text) - num_backslashes % 2  # what it escapes comes with the next piece
        text, self._rest = text[:end], text[end:]
        text = text.replace(_BACKSLASH * 2, b"").replace(_BACKSLASH + _QUOTE, b"")
        letters = np.frombuffer(text, np.uint8)
        if not letters.size:
            return
        is_in_text = (np.cumsum(letters == ord(_QUOTE)) + self._is_in_text) % 2 == 1
        opened = ((letters == ord("[")) | (letters == ord("{"))) & ~is_in_text
        closed = ((letters == ord("]")) | (letters == ord("}"))) & ~is_in_text
        depths = self._depth + np.cumsum(opened.astype(np.int64) - closed)
        self.most = max(self.most, int(depths.max()))
        self._depth = int(depths[-1])
        self._is_in_text = bool(is_in_text[-1])
