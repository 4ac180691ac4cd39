"""One setup at a time in a checkout."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator

from build_scripts import paths
from build_scripts.console import say


@contextlib.contextmanager
def alone() -> Iterator[None]:
    """Hold the checkout's lock; a second setup waits for the first."""
    paths.TRITON.mkdir(exist_ok=True)
    with (paths.TRITON / "setup.lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            say("another setup of this checkout is running; waiting for it")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
