"""What one process took of a card, told from what NVML said before and says now."""

from __future__ import annotations

from build_scripts.gpus import Gpu


def taken(before: Gpu, now: Gpu, pid: int) -> int | None:
    """Bytes of the card that one process took, which was started after `before`.

    In a container it is one of the host's pids, the only one that was not there before; where the
    driver tells no processes it is what the card has grown by, if its memory is its own.
    """
    known = {one.pid for one in before.processes}
    fresh = {one.pid: one.bytes for one in now.processes if one.bytes and one.pid not in known}
    if pid in fresh:
        return fresh[pid]
    if len(fresh) == 1:
        return next(iter(fresh.values()))
    grown = now.used_bytes - before.used_bytes
    return grown if grown > 0 and not fresh and not now.unified else None
