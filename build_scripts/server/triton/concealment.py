"""Takes a secret out of the command line of a process of ours, where every user can read it.

Triton takes its secrets no other way. It has copied its arguments when it begins to log; after
that nothing reads the memory in which the kernel looks for /proc/PID/cmdline (proc(5)).
"""

from __future__ import annotations

from pathlib import Path

_ARG_START, _ARG_END = 45, 46  # of the columns of /proc/PID/stat after the name


def conceal(pid: int, secret: str) -> bool:
    """Write over `secret` in the arguments of the child `pid`; whether it is gone from there.

    False where the process has ended, or the kernel lets nobody write there (ptrace(2)).
    """
    process = Path("/proc") / str(pid)
    wanted = secret.encode()
    try:
        columns = (process / "stat").read_text().rpartition(")")[2].split()
        start, end = int(columns[_ARG_START]), int(columns[_ARG_END])
        with (process / "mem").open("r+b", buffering=0) as memory:
            memory.seek(start)
            found = memory.read(end - start)
            if wanted in found:
                memory.seek(start)
                memory.write(found.replace(wanted, b"x" * len(wanted)))
        return wanted not in (process / "cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return False
