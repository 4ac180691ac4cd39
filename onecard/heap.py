"""Memory that was freed and that the C library keeps, given back to the kernel now and then.

A process that works through a long recording frees as much as it takes, in pieces that the library
would rather keep for later; of several processes these add up.
"""

from __future__ import annotations

import ctypes
import time

PERIOD_S = 5.0  # between two times in a process: what is given back has to be had again

_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's own; others have no such thing
_last_s = float("-inf")


def trim() -> None:
    """Give back what is free, unless that was done a moment ago (malloc_trim(3))."""
    global _last_s
    now_s = time.monotonic()
    if _trim is not None and now_s - _last_s >= PERIOD_S:
        _last_s = now_s
        _trim(0)
