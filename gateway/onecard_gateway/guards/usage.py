"""What a key has used of its limits."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable

from onecard_gateway.errors import RETRY_AFTER_S, Refusal
from onecard_gateway.keys.key import SPEECH, Key

MINUTE_S, DAY_S = 60.0, 86_400.0
# What comes within this part of a window is counted as one.
_GRAIN = 0.001


class Window:
    """Amounts of the last `span_s` seconds. Times are a clock's that never goes back."""

    def __init__(self, span_s: float) -> None:
        self._span_s = span_s
        self._entries: deque[tuple[float, float]] = deque()  # when, how much
        self._sum = 0.0

    def used(self, now_s: float) -> float:
        """The sum of what is not older."""
        while self._entries and self._entries[0][0] <= now_s - self._span_s:
            self._sum -= self._entries.popleft()[1]
        return self._sum if self._entries else 0.0

    def add(self, now_s: float, amount: float) -> None:
        self._sum = self.used(now_s) + amount
        if self._entries and now_s - self._entries[-1][0] < self._span_s * _GRAIN:
            when, before = self._entries.pop()
            self._entries.append((when, before + amount))
        else:
            self._entries.append((now_s, amount))

    def wait_s(self, now_s: float, limit: float) -> float:
        """Seconds until less than `limit` is left; 0 for now."""
        left = self.used(now_s)
        for when, amount in self._entries:
            if left < limit:
                return 0.0
            left -= amount
            if left < limit:
                return when + self._span_s - now_s
        return 0.0


class Usage:
    """What one key has under way and has used.

    Args:
        keep: called with seconds of audio that are counted, for a file.
    """

    def __init__(self, keep: Callable[[float], None] = lambda audio_s: None) -> None:
        self._keep = keep
        self._requests = Window(MINUTE_S)
        self._audio = Window(DAY_S)
        self._num_streams = 0

    def begin(self, key: Key, work: str | None, now_s: float) -> None:
        """Counts a request; `work` is the scope of what it has done, None for a mere look.

        Raises Refusal for one over a limit; it is not counted.
        """
        self._verify(key, work, now_s)
        self._requests.add(now_s, 1)
        self._num_streams += work is not None

    def end(self, work: str | None, audio_s: float | None, now_s: float) -> None:
        """The request has ended, and this much was recognized for it."""
        self._num_streams -= work is not None
        if audio_s:
            self._audio.add(now_s, audio_s)
            self._keep(audio_s)

    def count(self, audio_s: float) -> None:
        """This much was recognized for a request that was answered before."""
        self._audio.add(time.monotonic(), audio_s)
        self._keep(audio_s)

    def take_up(self, audio_s: float, when_s: float) -> None:
        """This much was recognized by an earlier gateway; to be told in order of time."""
        self._audio.add(when_s, audio_s)

    def _verify(self, key: Key, work: str | None, now_s: float) -> None:
        limits = key.limits
        if limits.requests_a_minute is not None:
            wait_s = self._requests.wait_s(now_s, limits.requests_a_minute)
            what = f"made {self._requests.used(now_s):.0f} requests within a minute"
            _verify_wait(key, "requests_a_minute", what, wait_s)
        if work and limits.streams is not None and self._num_streams >= limits.streams:
            what = f"{self._num_streams} requests under way"
            raise _over(key, "streams", what, RETRY_AFTER_S, "when one of them has ended")
        if work == SPEECH and limits.audio_seconds_a_day is not None:
            wait_s = self._audio.wait_s(now_s, limits.audio_seconds_a_day)
            what = f"had {self._audio.used(now_s):.0f} s of audio recognized within 24 hours"
            _verify_wait(key, "audio_seconds_a_day", what, wait_s)


def _verify_wait(key: Key, limit: str, what: str, wait_s: float) -> None:
    if wait_s > 0:
        seconds = math.ceil(wait_s)
        raise _over(key, limit, what, seconds, f"in {seconds} s")


def _over(key: Key, limit: str, what: str, wait_s: int, when: str) -> Refusal:
    return Refusal(
        429,
        f"the key `{key.name}` has {what}, may have at most {getattr(key.limits, limit):g} "
        f"(`{limit}`); ask again {when}",
        code="rate_limit_exceeded",
        retry_after_s=wait_s,
    )
