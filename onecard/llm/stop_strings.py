"""Text as it comes, up to the first of several strings.

What could still become a stop string is held back, and nothing else is.
"""

from __future__ import annotations

from collections.abc import Sequence


class StopStrings:
    """The text of one answer, cut before the stop string that is complete first.

    Of those that end at the same place it is the longest. How the text is cut into pieces makes no
    difference.

    Attributes:
        found: the stop string that ended the text; None until one did.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""
        self.found: str | None = None

    def push(self, text: str) -> str:
        """The text that can be let out now; nothing once a stop string was found."""
        if not self._stops:
            return text
        if self.found is not None:
            return ""
        text = self._held + text
        places = [(text.find(stop), stop) for stop in self._stops]
        whole = [(start + len(stop), start, stop) for start, stop in places if start >= 0]
        if whole:
            _, start, self.found = min(whole)
            self._held = ""
            return text[:start]
        start = len(text) - max(_num_begun(text, stop) for stop in self._stops)
        self._held = text[start:]
        return text[:start]

    def flush(self) -> str:
        """The text that was held back, when the text has ended."""
        held, self._held = self._held, ""
        return held


def _num_begun(text: str, stop: str) -> int:
    """How many letters of `stop`, but not all, the end of `text` could be the beginning of."""
    most = min(len(stop) - 1, len(text))
    return next((size for size in range(most, 0, -1) if text.endswith(stop[:size])), 0)
