"""What the tests of the commands share: processes, terminals, mails."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from typing import Any


def spawn(
    url: str, *arguments: object, term: str = "dumb", **streams: Any
) -> subprocess.Popen[str]:
    """`onecard ARGUMENTS` for the server at `url`; standard output and error are pipes."""
    environment = {
        **os.environ,
        "ONECARD_URL": url,
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
        "TERM": term,
    }
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **streams}
    return subprocess.Popen(
        [sys.executable, "-m", "onecard_client", *map(str, arguments)],
        env=environment, text=True, **streams,
    )  # fmt: skip


class Terminal(io.StringIO):
    """A FAKE terminal: says that it is one."""

    def isatty(self) -> bool:
        return True


def mail(number: int) -> bytes:
    """A mail with the id `number@b.c`."""
    return f"From: a@b.c\nSubject: mail {number}\nMessage-Id: <{number}@b.c>\n\ntext\n".encode()


def ids_of(lines: str) -> list[str]:
    """The ids in JSONL."""
    return [json.loads(line)["id"] for line in lines.splitlines()]
