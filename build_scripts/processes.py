"""Which processes there are, what they run and which one listens where, read from /proc."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

_PROC = Path("/proc")
MAX_FILES = 2**20  # that a process is allowed to open, where the hard limit is none
_LISTEN = "0A"  # the state column of /proc/net/tcp


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """pid and arguments of every process that can be read; a zombie has no arguments."""
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                raw = (folder / "cmdline").read_bytes()
                if raw:
                    arguments = raw.rstrip(b"\0").decode(errors="replace").split("\0")
                    yield int(folder.name), arguments


def mentioning(fragment: str) -> list[int]:
    """Processes, other than this one, with an argument that contains `fragment`."""
    return sorted(
        pid
        for pid, arguments in command_lines()
        if pid != os.getpid() and any(fragment in argument for argument in arguments)
    )


def with_variable(name: str, value: str) -> list[int]:
    """This user's processes, other than this one, with `name`=`value` in their environment.

    An environment is what a process was started with, and is nobody else's to see: unlike an
    argument, it is not met by whoever looks for the text, and no other user can put it on show.
    """
    wanted = f"{name}={value}".encode()
    found = []
    for folder in _PROC.iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            with contextlib.suppress(OSError):
                is_ours = folder.stat().st_uid == os.getuid()  # root could read everybody's
                if is_ours and wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
    return sorted(found)


def running(name: str) -> list[int]:
    """This user's processes whose program has this name, of at most 15 letters."""
    found = []
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                is_ours = folder.stat().st_uid == os.getuid()
                if is_ours and (folder / "comm").read_text().rstrip("\n") == name:
                    found.append(int(folder.name))
    return found


def started_s(pid: int) -> float:
    """When a process was started, as `time.time` counts; 0 where it is gone."""
    try:
        ticks = int((_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[19])
    except (OSError, IndexError, ValueError):
        return 0.0
    since_boot_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.time() - since_boot_s + ticks / os.sysconf("SC_CLK_TCK")


def is_stopped(pid: int) -> bool:
    """Whether a signal keeps `pid` from running; a debugger's hold does not count."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (OSError, IndexError):
        return False


def is_alive(pid: int) -> bool:
    """Whether `pid` is a process that has not ended; a zombie has."""
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def children(parent: int) -> list[int]:
    """The processes that `parent` started and that have not been looked after.

    Asked several times a second, so without what is slow: paths, and files that do not matter.
    """
    found = []
    for name in os.listdir(_PROC):
        if name.isdigit():
            with contextlib.suppress(OSError), open(f"{_PROC}/{name}/stat", "rb") as file:
                if int(file.read().rpartition(b")")[2].split(None, 2)[1]) == parent:
                    found.append(int(name))
    return found


def zombies(parent: int) -> list[int]:
    """Children of `parent` that have ended and that it has not looked after."""
    found = []
    for folder in _PROC.iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                state, ppid = (folder / "stat").read_text().rpartition(")")[2].split()[:2]
                if state == "Z" and int(ppid) == parent:
                    found.append(int(folder.name))
    return found


def ended(status: int) -> str:
    """A status of `subprocess` as people name it: below 0 it is a signal's."""
    if status >= 0:
        return f"status {status}"
    with contextlib.suppress(ValueError):
        return f"signal {-status} ({signal.Signals(-status).name})"
    return f"signal {-status}"


def end(pids: list[int], patience_s: float) -> None:
    """SIGTERM, then, for those that are still there after `patience_s`, SIGKILL.

    Those that are not this user's to end are left alone.
    """
    for signal_number in (signal.SIGTERM, signal.SIGKILL):
        pids = [pid for pid in pids if kill(pid, signal_number)]
        deadline_s = time.monotonic() + patience_s
        while any(is_alive(pid) for pid in pids) and time.monotonic() < deadline_s:
            time.sleep(0.05)
        pids = [pid for pid in pids if is_alive(pid)]


def kill(pid: int, number: signal.Signals) -> bool:
    """Send a signal; False where there is no such process, or it is another user's."""
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def end_with_parent(number: signal.Signals = signal.SIGTERM) -> None:
    """For `preexec_fn`: the child gets that signal when whoever started it is killed."""
    ctypes.CDLL(None).prctl(1, number)  # PR_SET_PDEATHSIG


def stack_limit(wanted: int) -> tuple[int, int]:
    """The soft and hard limit under which every thread's stack may hold `wanted` bytes.

    Less where the hard limit is lower, and the limits in force where a stack that is not used
    counts all the same (strict overcommit, or a limit on addresses).
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_STACK)
    addresses = resource.getrlimit(resource.RLIMIT_AS)[0]
    if addresses != resource.RLIM_INFINITY or _is_overcommit_strict():
        return soft, hard
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    # Without a limit glibc gives a thread 2 MiB: `unlimited` is less than a number here.
    return (wanted if soft == resource.RLIM_INFINITY else max(soft, wanted)), hard


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
        return (_PROC / "sys/vm/overcommit_memory").read_text().strip() == "2"
    return False


def processor_s(pid: int) -> float:
    """Processor seconds that `pid` has used so far; 0 when it is gone."""
    try:
        columns = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(columns[11]) + int(columns[12])) / os.sysconf("SC_CLK_TCK")


def is_free(address: str, port: int) -> bool:
    """Whether a server could listen on `port` of `address` now."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # As servers do: connections in TIME_WAIT are no obstacle, a listener is.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
            probe.listen(1)
        except OSError:
            return False
    return True


def listener(port: int) -> str:
    """Who listens on `port`, for people: pid and command, or what can be known of it."""
    owner = "a process that cannot be seen from here"
    for inode, user in _listening(port):
        pid = _holder(inode)
        if pid is not None:
            arguments = dict(command_lines()).get(pid, ["?"])
            return f"pid {pid} (`{' '.join(arguments)[:160]}`)"
        owner = f"a process of the user with id {user}"
    return owner


def _listening(port: int) -> Iterator[tuple[str, str]]:
    """Inode and user id of every listening TCP socket on `port`."""
    for table in ("net/tcp", "net/tcp6"):
        with contextlib.suppress(OSError):
            for line in (_PROC / table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                    yield columns[9], columns[7]


def _holder(inode: str) -> int | None:
    wanted = f"socket:[{inode}]"
    for folder in _PROC.iterdir():
        if not folder.name.isdigit():
            continue
        with contextlib.suppress(OSError):
            for descriptor in (folder / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if os.readlink(descriptor) == wanted:
                        return int(folder.name)
    return None
