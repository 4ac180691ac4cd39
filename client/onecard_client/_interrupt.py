"""Ctrl-C while gRPC is at work: it ends the call first, and is raised when gRPC has let go.

gRPC for Python keeps its state under locks of Python's. A KeyboardInterrupt that is raised between
taking one and letting it go leaves it taken, and whoever cancels the call or closes the channel
then waits for ever. It knows signals; it does not know which call is made.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def held_back(cancel: Callable[[], object] | None = None) -> Iterator[None]:
    """Inside of it Ctrl-C calls `cancel`, and becomes a KeyboardInterrupt at its end.

    Only where Ctrl-C would be a KeyboardInterrupt: in the main thread, and unless the program has a
    handler of its own.
    """
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    pressed: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        pressed.append(number)
        if cancel is not None:
            cancel()

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        if pressed:
            raise KeyboardInterrupt
