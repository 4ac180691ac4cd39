"""Memory that was freed: kept for the next time where that is faster, given back when none comes.

A process that works through a long recording frees as much as it takes, in pieces that the library
would rather keep for later; of several processes these add up. Of large blocks it keeps none: each
is mapped anew, and the kernel clears every page of it again.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable

PERIOD_S = 5.0  # from a call of `trim` to its effect: what is given back has to be had again
# Of the two blocks in which Whisper's encoder weighs all positions against each other, base's:
# 8 heads, 1500 by 1500 positions, 4 bytes: 69 MiB, twice in each of its layers.
KEPT = 80 << 20

# glibc's own; others have no such things. Parameters of mallopt(3), from malloc.h.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
_mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -2, -3, -8

_is_due = threading.Lock()  # held from a call until it has had its effect


def keep() -> None:
    """Have freed blocks of up to KEPT bytes used again until they are trimmed.

    To be called before there are threads: only the first one's heap can hold such blocks, so all
    have to use it (M_ARENA_MAX).
    """
    if _mallopt is not None:
        _mallopt(_ARENA_MAX, 1)
        for parameter in (_MMAP_THRESHOLD, _TRIM_THRESHOLD, _TOP_PAD):
            _mallopt(parameter, KEPT)


def trim() -> None:
    """Give back what will be free PERIOD_S from now (malloc_trim(3)), in a thread."""
    if _trim is not None and _is_due.acquire(blocking=False):
        timer = threading.Timer(PERIOD_S, _give_back, [_trim])
        timer.daemon = True  # a process that ends gives back everything
        timer.start()


def _give_back(trim_now: Callable[[int], int]) -> None:
    _is_due.release()
    trim_now(0)
