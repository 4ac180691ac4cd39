"""Hides the shared memory in which Triton's Python backend keeps requests from other users."""

from __future__ import annotations

import contextlib
import os

FOLDER = "/dev/shm"
PRIVATE = 0o600


def hide(prefix: str) -> None:
    """Keep the regions of one server from other users.

    Boost, which makes them, sets their mode to 0644 whatever the umask is
    (boost/interprocess/shared_memory_object.hpp), so this is done as soon as they are seen.
    """
    with os.scandir(FOLDER) as found:
        for entry in found:
            if entry.name.startswith(prefix):
                with contextlib.suppress(OSError):  # it was removed meanwhile, or is another's
                    is_own = entry.is_file(follow_symlinks=False)
                    if is_own and entry.stat(follow_symlinks=False).st_mode & 0o077:
                        os.chmod(entry.path, PRIVATE)
