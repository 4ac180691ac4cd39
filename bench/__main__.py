"""`python -m bench NAME ...`: measure, and write the results, a page and plots to
bench/results/.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

from bench import interleave, machine, page, plots
from bench.targets import BENCHMARKS
from build_scripts.console import aside
from build_scripts.errors import BuildError

RESULTS = Path(__file__).parent / "results"
NEED_PEER = ("speech", "align_speed", "start", "many_files")
INTERRUPTED = 130  # what a shell says of a program that was interrupted


def main() -> None:
    arguments = _arguments()
    if arguments.list:
        print(_listing())
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: servers end with it
    try:
        verify_writable(arguments.results)
    except OSError as error:
        aside(
            f"error: results cannot be written to `{arguments.results}` ({error}); name a folder "
            "of yours with --results"
        )
        sys.exit(2)
    if arguments.quick:
        os.environ[interleave.QUICK] = "1"
    found: dict[str, Any] = {"date": _now(), "quick": arguments.quick, "machine": machine.facts()}
    print("machine: " + json.dumps(found["machine"]))
    status = run(
        arguments.names or list(BENCHMARKS), found, partial(write, found, arguments.results)
    )
    drawn = plots.draw(found, arguments.results, _stem(found))
    print("\n" + page.markdown(found))
    for path in [*write(found, arguments.results), *drawn]:
        print(f"wrote {os.path.relpath(path)}")
    sys.exit(status)


def verify_writable(folder: Path) -> None:
    """Make `folder` where it is missing. Raises OSError where it takes no files."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=folder):
        pass


def run(names: Sequence[str], results: dict[str, Any], keep: Callable[[], object]) -> int:
    """Put what each benchmark measures, or why it failed, into `results`, and `keep` it each time.

    Returns the exit status: 0 where all went well. One that fails does not keep the next from
    running; Ctrl-C does, and loses nothing of what was measured before.
    """
    status = 0
    for name in names:
        print(f"\n{name}: {BENCHMARKS[name]}", flush=True)
        try:
            if name in NEED_PEER:
                _set_up_peer()
            results[name] = importlib.import_module(f"bench.measures.{name}").measure()
        except KeyboardInterrupt:
            results[name] = {"error": "interrupted"}
            status = INTERRUPTED
        except Exception as error:
            traceback.print_exc()
            results[name] = {"error": f"{type(error).__name__}: {error}"}
            status = 1
        results["machine"]["load_after"] = machine.load()
        try:
            keep()
        except OSError as error:  # there may be room later: what was measured stays in `found`
            aside(f"error: results were not written: {error}")
            status = status or 1
        if status == INTERRUPTED:
            break
    return status


@cache
def _set_up_peer() -> None:
    """Make or verify the peer, once a run. Raises BuildError where it is there and is not right.

    Where it cannot be made a benchmark says so itself: `start` has more to measure than the peer.
    """
    from build_scripts.bootstrap import lock
    from evaluation.peers import environment  # here, as it loads torch, which `--list` does without

    try:
        with lock.alone():
            environment.make()
    except BuildError as error:
        if environment.is_there():
            raise
        aside(f"error: {error}")


def write(results: Mapping[str, Any], folder: Path) -> list[Path]:
    """`<date>.json` and the page; their paths. Raises OSError."""
    document = folder / f"{_stem(results)}.json"
    # A line for each benchmark: series of numbers would otherwise fill pages.
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in results.items()]
    beside = document.with_suffix(".md")
    _replace(document, "{\n" + ",\n".join(lines) + "\n}\n")
    _replace(beside, page.markdown(results))
    return [document, beside]


def _replace(path: Path, text: str) -> None:
    """Whole or not at all: what an earlier benchmark left is not lost to a full disk."""
    part = path.with_name(path.name + ".part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _stem(results: Mapping[str, Any]) -> str:
    stem: str = results["date"].replace(":", "")
    return stem


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measure side by side, in one run.",
        epilog=_listing(), formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("names", nargs="*", metavar="NAME", help="all of them if none is named")
    parser.add_argument("--list", action="store_true", help="say which benchmarks there are")
    parser.add_argument("--quick", action="store_true", help="fewer rounds, no hour-long files")
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="a folder; default bench/results"
    )
    arguments = parser.parse_args()
    for name in arguments.names:
        if name not in BENCHMARKS:
            parser.error(f"no benchmark `{name}`; there are: {', '.join(BENCHMARKS)}")
    return arguments


def _listing() -> str:
    return "\n".join(f"  {name:20}{what}" for name, what in BENCHMARKS.items())


def _now() -> str:
    return f"{datetime.datetime.now(tz=datetime.timezone.utc):%Y-%m-%dT%H:%M:%S}"


if __name__ == "__main__":
    main()
