"""Shows verdicts: rows of a table for people, lines of JSON for programs."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TextIO

from onecard_client._output.console import escaped
from onecard_client._output.table import Column, Table
from onecard_client._verdicts.disk import OutputFailed, reason
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
        row = "".join(header) + table.row([cell or "" for cell in cells]) + "\n"
        charset = stream.encoding or "utf-8"
        stream.write(row.encode(charset, "replace").decode(charset))
        stream.flush()
        header.clear()

    return show


def lines(stream: TextIO) -> Show:
    """JSONL: each verdict as the server sent it, escaped where a terminal would obey."""

    def show(verdict: Verdict, mail: Email) -> None:
        document = verdict.to_dict()
        line = escaped(json.dumps(document, ensure_ascii=False))
        try:
            line.encode(stream.encoding or "utf-8")
        except UnicodeEncodeError:  # another charset, or half an emoji: escapes are always JSON
            line = escaped(json.dumps(document))
        stream.write(line + "\n")
        stream.flush()

    return show


@contextlib.contextmanager
def device(path: Path, *, append: bool) -> Iterator[Show]:
    """JSONL to a pipe or a device, which keeps nothing. Raises: OSError, OutputFailed."""
    with path.open("ab" if append else "wb", buffering=0) as file:

        def show(verdict: Verdict, mail: Email) -> None:
            line = json.dumps(verdict.to_dict(), ensure_ascii=False).encode("utf-8", "replace")
            try:
                file.write(line + b"\n")
            except BrokenPipeError:  # the reader has seen enough
                raise
            except OSError as error:
                raise OutputFailed(
                    f"`{path}` cannot be written ({reason(error)}), and keeps nothing; name a file "
                    "on a disk with room for the output"
                ) from error

        yield show
