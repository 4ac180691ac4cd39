"""Which processes there are, what they run and which one listens where."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import time
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import psutil

_LISTEN = "0A"  # the state column of /proc/net/tcp
# A process may end, or refuse to be read, at any moment.
_GONE = (psutil.Error, OSError)


def command_lines() -> Iterator[tuple[int, list[str]]]:
    """pid and arguments of every process that can be read; a zombie has no arguments."""
    for process in psutil.process_iter(["cmdline"]):
        if process.info["cmdline"]:
            yield process.pid, process.info["cmdline"]


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
    found = []
    for process in _ours():
        with contextlib.suppress(*_GONE):
            if process.pid != os.getpid() and process.environ().get(name) == value:
                found.append(process.pid)
    return sorted(found)


def running(name: str) -> list[int]:
    """This user's processes whose program has this name."""
    found = []
    for process in _ours():
        with contextlib.suppress(*_GONE):
            if process.name() == name:
                found.append(process.pid)
    return found


def _ours() -> Iterator[psutil.Process]:
    for process in psutil.process_iter():
        with contextlib.suppress(*_GONE):
            if process.uids().effective == os.getuid():  # root could read everybody's
                yield process


def started_s(pid: int) -> float:
    """When a process was started, as `time.time` counts, to a second; 0 where it is gone."""
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return 0.0


def is_stopped(pid: int) -> bool:
    """Whether a signal keeps `pid` from running; a debugger's hold does not count."""
    return _status(pid) == str(psutil.STATUS_STOPPED)


def is_alive(pid: int) -> bool:
    """Whether `pid` is a process that has not ended; a zombie has."""
    return _status(pid) not in ("", psutil.STATUS_ZOMBIE)


def _status(pid: int) -> str:
    """psutil's word for the state of a process; empty where it is gone."""
    try:
        return str(psutil.Process(pid).status())
    except (psutil.Error, ValueError):  # ValueError: a number that is no pid
        return ""


def zombies(parent: int) -> list[int]:
    """Children of `parent` that have ended and that it has not looked after."""
    return [pid for pid in children(parent) if _status(pid) == psutil.STATUS_ZOMBIE]


def until_one_ends(pids: Collection[int], timeout_s: float) -> None:
    """Return when one of `pids` has ended, at the latest after `timeout_s`.

    Raises OSError where the kernel cannot say so (Linux before 5.3).
    """
    with contextlib.ExitStack() as stack:
        poll = select.poll()
        for pid in pids:
            try:
                ended = os.pidfd_open(pid)
            except ProcessLookupError:
                return
            stack.callback(os.close, ended)
            poll.register(ended, select.POLLIN)
        poll.poll(timeout_s * 1000)


def children(parent: int) -> list[int]:
    """The processes that `parent` started, zombies among them."""
    try:
        return [child.pid for child in psutil.Process(parent).children()]
    except psutil.Error:
        return []


def arguments(pid: int) -> list[str]:
    """What a process was started with; empty where it has ended or cannot be read."""
    try:
        found: list[str] = psutil.Process(pid).cmdline()
    except psutil.Error:
        return []
    return found


def processor_s(pid: int) -> float:
    """Processor seconds that `pid` has used so far; 0 when it is gone."""
    try:
        used = psutil.Process(pid).cpu_times()
    except psutil.Error:
        return 0.0
    return float(used.user + used.system)


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
    for process in psutil.process_iter():
        with contextlib.suppress(*_GONE):
            if any(_listens(connection, port) for connection in process.net_connections("tcp")):
                command = " ".join(arguments(process.pid) or ["?"])[:160]
                return f"pid {process.pid} (`{command.encode(errors='replace').decode()}`)"
    for user in _owners(port):
        return f"a process of the user with id {user}"
    return "a process that cannot be seen from here"


def _listens(connection: Any, port: int) -> bool:
    return bool(connection.status == psutil.CONN_LISTEN and connection.laddr.port == port)


def _owners(port: int) -> Iterator[str]:
    """User id of every listening TCP socket on `port`, which psutil does not say."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                columns = line.split()
                if columns[3] == _LISTEN and int(columns[1].rpartition(":")[2], 16) == port:
                    yield columns[7]
