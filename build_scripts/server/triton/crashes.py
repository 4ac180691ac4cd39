"""Counts how often a Triton ended by itself, and how long to wait before another is started.

Triton 2.51 can end by a signal when callers cancel unary requests to an ensemble (server issues
#7368 and #8034), so it is started again at once. Ends that follow each other more closely than
`STEADY_S` have a cause that starting again may not mend: then after a pause, which doubles, but
never for good, or whoever can end it three times has ended it for all.
"""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path

STEADY_S = 60.0  # from ready, for loading alone may take minutes
FIRST_PAUSE_S = 2.0
MAX_PAUSE_S = 300.0
# Triton's Python backend can abort while models load, rarely and without a cause that one could
# mend (`boost::interprocess::lock_exception`, as in tensorrtllm_backend issues #349 and #521), so
# an end by one of these is survived once before anything was ready, too.
ABORTS = (-signal.SIGABRT, -signal.SIGSEGV)


class Crashes:
    """The ends of one server since it last served for `STEADY_S`."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, served_s: float) -> None:
        """Count one, of a Triton that had been ready for `served_s` seconds."""
        self.count = 1 if served_s > STEADY_S else self.count + 1

    def is_survived_at_start(self, status: int) -> bool:
        """Whether another may do better than one that ended before anything was ever ready."""
        return status in ABORTS and not self.count

    @property
    def pause_s(self) -> float:
        """Seconds to wait before another is started."""
        if self.count < 2:
            return 0.0
        return min(FIRST_PAUSE_S * 2.0 ** min(self.count - 2, 30), MAX_PAUSE_S)


def kept(log: Path) -> Path:
    """`log` under a name that the next Triton's does not take; itself where that fails."""
    path = log.with_name(f"{log.stem}.crash-{time.strftime('%Y%m%d-%H%M%S')}.log")
    with contextlib.suppress(OSError):
        return log.replace(path)
    return log
