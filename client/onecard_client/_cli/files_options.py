"""The options of `onecard transcribe` for many files."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any

from onecard_client._output.names import STDIN

DEFAULT_INTERVAL_S = 5.0


def add(group: Any) -> None:
    """Adds them to an argument group."""
    group.add_argument(
        "--jobs", type=int, metavar="N",
        help="recordings under way at a time (default: what the server says it can hold)",
    )  # fmt: skip
    group.add_argument(
        "--include", action="append", default=[], metavar="PATTERN",
        help="which files of folders, such as '*.mp3'; may be given more than once "
        "(default: all with a recording's extension)",
    )  # fmt: skip
    group.add_argument(
        "--files-from", action="append", default=[], metavar="LIST",
        help="a file that names files, one a line; `-` for standard input",
    )  # fmt: skip
    group.add_argument(  # `-0` would make argparse take numbers such as -1 for options
        "--null", action="store_true",
        help="names in LIST end in a zero byte, as `find -print0` writes them",
    )  # fmt: skip
    group.add_argument(
        "--skip-existing", action="store_true",
        help="leave out files whose results exist, whoever made them",
    )  # fmt: skip
    group.add_argument(
        "--again", action="store_true", help="transcribe also what the journal says is done"
    )
    group.add_argument(
        "--retry-failed", action="store_true",
        help="in place of FILE: what failed.jsonl in --output-dir names",
    )  # fmt: skip
    group.add_argument(
        "--watch", metavar="DIR",
        help="a folder that fills: all its files, and then each that comes, until Ctrl-C",
    )  # fmt: skip
    group.add_argument(
        "--interval", type=float, default=DEFAULT_INTERVAL_S, metavar="SECONDS",
        help="how often --watch looks; a file is taken when it was the same at two looks "
        f"(default: {DEFAULT_INTERVAL_S:.0f})",
    )  # fmt: skip
    group.add_argument(
        "--log-json", action="store_true",
        help="for each file a line of JSON on standard output: its status, results, duration, "
        "speed, account, engine",
    )  # fmt: skip


def faults(namespace: argparse.Namespace) -> Iterator[str]:
    """The faults of the options, a sentence each."""
    others = [
        option
        for option, value in (("--files-from", namespace.files_from), ("--watch", namespace.watch))
        if value
    ]
    if namespace.retry_failed and (namespace.files or others):
        given = others[0] if others else f"{namespace.files[0]}"
        yield f"`--retry-failed` is given with `{given}`, takes its files alone; leave out one"
    if not (namespace.files or others or namespace.retry_failed):
        yield "no FILE is given, must be one at least; `-` is standard input"
    if [*namespace.files, *namespace.files_from].count(STDIN) > 1:
        yield "standard input (`-`) is given twice, can be read once; name it once"
    if namespace.null and not namespace.files_from:
        yield "`--null` is about the names in a list; give `--files-from LIST` as well"
    if namespace.jobs is not None and namespace.jobs < 1:
        yield f"`--jobs` is {namespace.jobs}, must be 1 or more"
    if not namespace.interval > 0:
        yield f"`--interval` is {namespace.interval:g}, must be more than 0 seconds"
    if namespace.watch is not None and not os.path.isdir(namespace.watch):
        yield f"`--watch` is `{namespace.watch}`, must be a folder that exists"
    if namespace.watch is not None and STDIN in namespace.files:
        yield "`--watch` is given with standard input (`-`), has files alone; leave out one"
