"""glibc malloc settings: reuse large freed blocks, and return free memory now and then.

A process that works through a long recording frees as much memory as it takes. glibc keeps small
freed blocks for later, which adds up over several processes. It keeps no block above 32 MiB: each
is mapped again, and the kernel clears every page of it again.
"""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable

PERIOD_S = 5.0  # between two trims of a process: returned memory has to be mapped again
# Whisper's encoder weighs all positions against each other in two blocks a layer. Those of base
# have 69 MiB each (8 heads, 1500 by 1500 positions, 4 bytes); a larger model's stay as they were.
KEPT = 80 << 20

# glibc's own; others have no such things. Parameters of mallopt(3), from malloc.h.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
_mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8

_is_due = threading.Lock()  # held from a call of `trim` until what it asked for begins
_next_s = 0.0  # of time.monotonic


def keep() -> None:
    """Have freed blocks of up to KEPT bytes used again until they are trimmed.

    To be called before there are threads that want such blocks: only the first one's heap can hold
    them, so all have to use it (M_ARENA_MAX). glibc takes the size from 2.35 on.
    """
    if _mallopt is not None and _mallopt(_MMAP_THRESHOLD, KEPT):
        for parameter, value in ((_ARENA_MAX, 1), (_TRIM_THRESHOLD, KEPT), (_TOP_PAD, KEPT)):
            _mallopt(parameter, value)


def trim() -> None:
    """Give back what is free (malloc_trim(3)): at once, or PERIOD_S after the last time.

    In a thread, so that nobody's answer waits for it. If no thread can be started, nothing is done.
    """
    if _trim is None or not _is_due.acquire(blocking=False):
        return
    timer = threading.Timer(max(0.0, _next_s - time.monotonic()), _give_back, [_trim])
    timer.daemon = True  # a process that ends gives back everything
    try:
        timer.start()
    except RuntimeError:
        _is_due.release()


def _give_back(trim_now: Callable[[int], int]) -> None:
    global _next_s
    _next_s = time.monotonic() + PERIOD_S
    _is_due.release()  # first: a call that comes meanwhile may be too late for this time
    trim_now(0)
