"""Files that are written under another name, and replace the old file when complete."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import BinaryIO

from onecard_client._output.names import temporary


def create_beside(path: Path, ending: str) -> tuple[Path, BinaryIO]:
    """A new empty file in the folder of `path`, hidden, under a name that nobody can foresee.

    What somebody else planted there is neither opened nor followed; with predictable names others
    who may write to the folder could choose what is overwritten (CWE-377, CWE-59). Unlike those of
    `tempfile`, it has the permissions of any new file.

    Raises:
        OSError: it cannot be made.
    """
    chosen = temporary(path, f".{secrets.token_hex(8)}.{ending}")
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL  # which does not follow links either
    flags |= getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    return chosen, os.fdopen(os.open(chosen, flags, 0o666), "wb")
