"""What a child process is started with: an end when its parent ends, and its limits.

It needs nothing but the standard library, as `setup` starts children before there are packages.
"""

from __future__ import annotations

import contextlib
import ctypes
import resource
import signal
from pathlib import Path

MAX_FILES = 2**20  # that a process is allowed to open, where the hard limit is none


def end_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """For `preexec_fn`: the child gets that signal when whoever started it is killed."""
    ctypes.CDLL(None).prctl(1, number)  # PR_SET_PDEATHSIG


def stack_limit(num_bytes: int) -> tuple[int, int]:
    """The soft and hard limit under which every thread's stack may hold `num_bytes`.

    Less where the hard limit is lower, and the limits in force where a stack that is not used
    counts all the same (strict overcommit, or a limit on addresses).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    addresses = resource.getrlimit(resource.RLIMIT_AS)[0]
    if addresses != resource.RLIM_INFINITY or _is_overcommit_strict():
        return soft, hard
    if hard != resource.RLIM_INFINITY:
        num_bytes = min(num_bytes, hard)
    # Without a limit glibc gives a thread 2 MiB: `unlimited` is less than a number here.
    return (num_bytes if soft == resource.RLIM_INFINITY else max(soft, num_bytes)), hard


def file_limit(most: int = MAX_FILES) -> tuple[int, int]:
    """The soft and hard limit of open files: as many as the hard one allows, up to `most`.

    Every connection is one; where they run out, nobody else is let in, and Triton's HTTP server
    writes a line for each time that it tries.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
    is_unlimited = soft == resource.RLIM_INFINITY
    return (soft if is_unlimited else max(soft, allowed)), hard


def _is_overcommit_strict() -> bool:
    with contextlib.suppress(OSError):
        return Path("/proc/sys/vm/overcommit_memory").read_text().strip() == "2"
    return False
