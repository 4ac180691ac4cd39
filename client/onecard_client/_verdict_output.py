"""Where verdicts go: rows of a table for people, a line of JSON each for programs.

It knows what of a verdict is shown; it does not know how verdicts are had.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from onecard_client._console import complain, plural
from onecard_client._table import Column, Table
from onecard_client.mail import Email
from onecard_client.triage import Verdict

Show = Callable[[Verdict, Email], None]

COLUMNS = (
    Column("id", 8, share=0.1),
    Column("subject", 10, share=0.4),
    Column("category", 12),
    Column("priority", 8),
    Column("action", 8, share=0.5),
    Column("due", 10),
)
# A terminal that does not say how wide it is may be said to have no width at all.
MIN_WIDTH = 40


def rows(stream: TextIO) -> Show:
    """A table on a terminal; its header comes with the first row."""
    table = Table(COLUMNS, max(MIN_WIDTH, shutil.get_terminal_size().columns - 1))
    header = [table.header() + "\n"]

    def show(verdict: Verdict, mail: Email) -> None:
        cells = (
            verdict.id,
            mail.subject,
            verdict.category,
            verdict.priority or "",
            verdict.review_reason if verdict.needs_review else verdict.action,
            verdict.due or "",
        )
        stream.write("".join(header) + table.row([cell or "" for cell in cells]) + "\n")
        stream.flush()
        header.clear()

    return show


def lines(stream: TextIO) -> Show:
    """JSONL: each verdict as the server sent it."""

    def show(verdict: Verdict, mail: Email) -> None:
        stream.write(json.dumps(verdict.to_dict(), ensure_ascii=False) + "\n")
        stream.flush()

    return show


@contextlib.contextmanager
def file(path: Path, *, append: bool) -> Iterator[Show]:
    """JSONL in a file that appears under its name when it is whole, or that is added to.

    What there was when it went wrong is kept beside it, and said.
    """
    if append or (path.exists() and not path.is_file()):  # a pipe or a device cannot be renamed
        with path.open("a" if append else "w", encoding="utf-8", errors="replace") as stream:
            yield lines(stream)
        return
    path = path.resolve()  # a link stays one
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", errors="replace") as stream:
            yield lines(stream)
        os.replace(partial, path)
    except BaseException:
        _keep(partial)
        raise


def _keep(partial: Path) -> None:
    with contextlib.suppress(OSError):
        num_lines = partial.read_bytes().count(b"\n")
        if num_lines:
            complain(f"{plural(num_lines, 'verdict')} had come before, and are in `{partial}`")
        else:
            partial.unlink()
