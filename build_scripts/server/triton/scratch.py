"""The empty folders that Triton's Python backends leave in /tmp when they are killed.

Each backend makes one for packed environments, `/tmp/python_env_XXXXXX`, removes it at its normal
end, and says its name to nobody (python_backend/src/pb_env.cc). Nothing here uses packed
environments, so ours are empty.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from build_scripts import processes

TMP = Path("/tmp")
LIST = "scratch"  # in a server's run directory: the names of its folders, one a line
SERVER = "tritonserver"
# From a server's start to its first model. One that lives and had begun this long before a folder
# was made, or later, did not make it.
FIRST_MODEL_S = 60.0


class Scratch:
    """The folders that appear in /tmp while one server starts."""

    def __init__(self, run: Path) -> None:
        self._run = run
        self._before = frozenset(_folders())
        self._noted: frozenset[str] = frozenset()

    def look(self) -> None:
        """Note what is new, for whoever cleans up after this server."""
        new = frozenset(_folders()) - self._before
        if not new <= self._noted:
            self._noted |= new
            (self._run / LIST).write_text("".join(f"{name}\n" for name in sorted(self._noted)))


def remove(run: Path) -> int:
    """Remove what a server that is gone noted in `run`; returns how many folders there were.

    Left alone: a folder that holds something, is another user's, or may be of another server that
    started at the same time and lives.
    """
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = (run / LIST).read_text().splitlines()
    starts = [processes.started_s(pid) for pid in processes.running(SERVER)]
    removed = 0
    for path in (TMP / Path(name).name for name in names):
        with contextlib.suppress(OSError):
            status = path.lstat()
            # Nothing was ever put into it, so this is when it was made.
            ages = (status.st_mtime - start_s for start_s in starts)
            if status.st_uid == os.getuid() and not any(0 <= x <= FIRST_MODEL_S for x in ages):
                path.rmdir()
                removed += 1
    (run / LIST).unlink(missing_ok=True)
    return removed


def _folders() -> Iterator[str]:
    with contextlib.suppress(OSError), os.scandir(TMP) as entries:
        for entry in entries:
            if entry.name.startswith("python_env_"):
                yield entry.name
