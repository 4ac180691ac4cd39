"""A file lock that tells every model's process of a server whether speech is being processed.

Text work that can wait asks here first.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# The steps of one transcription follow each other with gaps in which none of them runs.
LINGER_S = 0.25
RUN_DIRECTORY = "ONECARD_RUN_DIR"  # set by `serve`; elsewhere the server's process id tells


def _file() -> Path:
    directory = os.environ.get(RUN_DIRECTORY)
    if directory:
        return Path(directory) / "speech"
    return Path(tempfile.gettempdir()) / f"onecard-{os.getuid()}-{os.getppid()}-speech"


@contextlib.contextmanager
def speech() -> Iterator[None]:
    """Hold the lock while a speech request is processed; any number of requests may.

    If the file cannot be opened, the work goes on unnoticed: no request fails for this.
    """
    try:
        file = os.open(_file(), os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:
        yield
        return
    try:
        fcntl.flock(file, fcntl.LOCK_SH)  # of this opening alone, so threads do not share it
        yield
    finally:
        os.utime(file)
        os.close(file)


def speech_in_flight() -> bool:
    """Whether a process holds `speech`, or did less than LINGER_S ago."""
    try:
        file = os.open(_file(), os.O_RDWR)
    except OSError:
        return False
    try:
        age_s = time.time() - os.fstat(file).st_mtime
        if 0 <= age_s < LINGER_S:  # less than nothing where the clock was set back meanwhile
            return True
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(file)
