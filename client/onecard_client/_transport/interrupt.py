"""Holds back Ctrl-C and signals that end a process until gRPC has ended its call.

gRPC for Python guards its state with Python's locks. An exception that is raised between taking
one and releasing it leaves it taken. Cancelling the call or closing the channel then waits
indefinitely. So the signal is noted, and raised when gRPC has released its locks.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

# What systemd and `docker stop` send, and what comes of a terminal that is closed. Not on Windows.
_ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))


class Terminated(SystemExit):
    """A signal wants the process to end; its exit code is the one that shells expect."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number

    def __str__(self) -> str:
        return f"ended by {signal.Signals(self.number).name}"


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Inside of it an ending signal is raised as `Terminated`, so that work is put away in order.

    One that is ignored, as under `nohup`, stays so. Does nothing outside the main thread.
    """
    is_main = threading.current_thread() is threading.main_thread()
    ours = [number for number in _ENDING if is_main and signal.getsignal(number) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, _terminate)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    for ending in _ENDING:  # once is enough: what follows does not take long
        signal.signal(ending, signal.SIG_IGN)
    raise Terminated(number)


@contextlib.contextmanager
def held_back(cancel: Callable[[], object] | None = None) -> Iterator[None]:
    """Inside of it a signal calls `cancel`, and becomes its exception at the end.

    Only those that would be a KeyboardInterrupt or a Terminated: in the main thread, and unless the
    program has a handler of its own.
    """
    handlers = _raising()
    if not handlers:
        yield
        return
    noted: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        noted.append(number)
        if cancel is not None:
            cancel()

    for number in handlers:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in noted:
            handlers[number](number, None)


def _raising() -> dict[int, Any]:
    """The signals whose handlers raise an exception of ours or of Python's."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    # Ctrl-C comes last, and is given back last: after it a conversation goes on
    handlers = {number: signal.getsignal(number) for number in (*_ENDING, signal.SIGINT)}
    raising = (signal.default_int_handler, _terminate)
    return {number: handler for number, handler in handlers.items() if handler in raising}
