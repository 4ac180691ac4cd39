"""`python -m bench NAME ...`: measure, and write the results, a page and plots to bench/results/.

It knows the order of things; which benchmarks there are is `bench.targets`'s, and each starts what
it needs.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import signal
import sys
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bench import interleave, machine, page, plots
from bench.targets import BENCHMARKS

RESULTS = Path(__file__).parent / "results"
INTERRUPTED = 130  # what a shell says of a program that was interrupted


def main() -> None:
    arguments = _arguments()
    if arguments.list:
        print(_listing())
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: servers end with it
    if arguments.quick:
        os.environ[interleave.QUICK] = "1"
    found: dict[str, Any] = {"date": _now(), "quick": arguments.quick, "machine": machine.facts()}
    print("machine: " + json.dumps(found["machine"]))
    status = run(arguments.names or list(BENCHMARKS), found)
    found["machine"]["load_after"] = machine.load()
    for path in write(found, arguments.results):
        print(f"wrote {os.path.relpath(path)}")
    sys.exit(status)


def run(names: Sequence[str], found: dict[str, Any]) -> int:
    """Put what each benchmark measures, or why it failed, into `found`.

    Returns the exit status: 0 where all went well. One that fails does not keep the next from
    running; Ctrl-C does, and loses nothing of what was measured before.
    """
    status = 0
    for name in names:
        print(f"\n{name}: {BENCHMARKS[name]}", flush=True)
        try:
            found[name] = importlib.import_module(f"bench.{name}").measure()
        except KeyboardInterrupt:
            found[name] = {"error": "interrupted"}
            return INTERRUPTED
        except Exception as error:
            traceback.print_exc()
            found[name] = {"error": f"{type(error).__name__}: {error}"}
            status = 1
    return status


def write(found: Mapping[str, Any], folder: Path) -> list[Path]:
    """`<date>.json`, the page and the plots beside it; their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = found["date"].replace(":", "")
    drawn = plots.draw(found, folder, stem)
    document = folder / f"{stem}.json"
    # A line for each benchmark: series of numbers would otherwise fill pages.
    lines = [f"{json.dumps(name)}: {json.dumps(value)}" for name, value in found.items()]
    document.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    text = page.markdown(found, [path.name for path in drawn])
    beside = folder / f"{stem}.md"
    beside.write_text(text, encoding="utf-8")
    print("\n" + text)
    return [document, beside, *drawn]


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
    return "\n".join(f"  {name:16}{what}" for name, what in BENCHMARKS.items())


def _now() -> str:
    return f"{datetime.datetime.now(tz=datetime.timezone.utc):%Y-%m-%dT%H:%M:%S}"


if __name__ == "__main__":
    main()
