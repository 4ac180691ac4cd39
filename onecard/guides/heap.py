"""How much memory of its heap a process has in use, by glibc's own account (mallinfo2(3))."""

from __future__ import annotations

import ctypes

# malloc.h; `uordblks` is in use in all arenas, `hblkhd` in blocks of their own.
_FIELDS = (
    "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks",
    "keepcost",
)  # fmt: skip


class _Info(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in _FIELDS]


_mallinfo = getattr(ctypes.CDLL(None), "mallinfo2", None)  # glibc has it from 2.33 on
if _mallinfo is not None:
    _mallinfo.restype = _Info


def in_use() -> int | None:
    """Bytes, those of C++ libraries included; None where the C library does not tell."""
    if _mallinfo is None:
        return None
    info = _mallinfo()
    return int(info.uordblks + info.hblkhd)
