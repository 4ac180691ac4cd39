"""How a module of this package runs in a process of its own: by which Python, with which paths."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

ROOT = str(Path(__file__).parents[1])


def python() -> str:
    """The interpreter; where it is part of another program, `python3` of its PATH."""
    if Path(sys.executable or "").name.startswith("python"):
        return sys.executable
    return shutil.which("python3") or "python3"


def environment(*before: str) -> dict[str, str]:
    """This process's, in which the package is found.

    Args:
        before: folders whose modules come before those of all others.
    """
    paths = [*before, ROOT, os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        # A pool of threads for each core counts as memory that is taken.
        "OPENBLAS_NUM_THREADS": "1",
    }
