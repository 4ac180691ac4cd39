"""`python -m bench.fleet`: two servers; restarted in turn, then one killed; no file may be lost.

First both are started again one after the other while `onecard transcribe` works at both, as an
upgrade does. Then one of them is killed under load behind haproxy, and the scaling formula is
replayed on what a Prometheus scraped meanwhile. Writes a page.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import re
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench import machine, page, prometheus, recordings
from bench.fleet import load, proxy, report
from bench.fleet.observed import observed
from bench.fleet.proxy import Target
from bench.fleet.rolling import roll
from build_scripts.console import say
from build_scripts.fleet import replicas
from build_scripts.server import state
from build_scripts.server.settings import Settings
from build_scripts.server.temporary import Temporary

RESULTS = Path(__file__).parents[1] / "results"
GAUGE = "onecard_audio_seconds_left"
SCRAPE_S = 2.0
CLIP_S = 10.0


def main() -> int:
    """Exit status 0 where every file has its transcript."""
    asked = _arguments()
    asked.results.mkdir(parents=True, exist_ok=True)
    for needed in (proxy.binary, prometheus.binary):  # before anything is started
        needed()
    found: dict[str, Any] = {
        "date": datetime.datetime.now().isoformat(timespec="seconds"),
        "machine": machine.facts(),
        "clip_s": CLIP_S,
    }
    with tempfile.TemporaryDirectory() as folder, Temporary() as first, Temporary() as second:
        if asked.rolling_files:
            found["rolling"] = _rolled((first, second), asked.rolling_files, Path(folder))
        found["killed"] = _killed((first.settings, second.settings), asked, Path(folder))
    found["machine"]["load_after"] = machine.load()
    for path in page.write("fleet", found, report.markdown(found), asked.results):
        say(f"wrote {path}")
    say("\n" + report.markdown(found))
    return 1 if report.faults(found) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--files", type=int, default=24, help="of 10 s each, default 24")
    parser.add_argument("--callers", type=int, default=6, help="at a time, default 6")
    parser.add_argument(
        "--rolling-files", type=int, default=96, metavar="N",
        help="of 10 s each while both servers are restarted, default 96; 0 leaves that out",
    )  # fmt: skip
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="a folder; default bench/results"
    )
    return parser.parse_args()


def _files(count: int) -> list[tuple[str, bytes]]:
    return [
        (f"file {number}", recordings.wav(recordings.clip(CLIP_S, CLIP_S * number)))
        for number in range(count)
    ]


def _rolled(servers: Sequence[Temporary], num_files: int, folder: Path) -> dict[str, Any]:
    files = _files(num_files)
    rolled = roll(servers, files, folder)
    return {
        "files": num_files,
        "restarts_s": [round(seconds, 1) for seconds in rolled.restarts_s],
        "faults": rolled.faults([name for name, _ in files]),
    }


def _killed(servers: Sequence[Settings], asked: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One of the servers is killed while files are sent to both behind haproxy."""
    targets = [Target(one.grpc_port, one.http_port) for one in servers]
    killer = _Killer(servers[0], asked.files // 3)
    with observed(servers, folder) as seen, proxy.balanced(targets, folder) as url:
        with scraped(servers) as scrapes:
            outcomes = load.send(url, _files(asked.files), asked.callers, killer)
        replay = seen.replay()
    for one in outcomes:
        say(f"{one.name}: {one.took_s:.1f} s, {one.error or f'{len(one.text)} letters'}")
    scaling = replicas.Scaling(replay.audio_seconds_per_replica)
    return {
        "files": asked.files,
        "callers": asked.callers,
        "killed_after": asked.files // 3,
        "longest_s": round(max(one.took_s for one in outcomes), 1),
        "most_left_s": max((left for _, left in scrapes), default=None),
        "most_wanted": max(replicas.replayed(scrapes, scaling)) if scrapes else None,
        "prometheus": asdict(replay),
        "outcomes": [asdict(one) for one in outcomes],
        "faults": load.lost(outcomes) + replay.faults(),
    }


class _Killer:
    """Kills a server, Triton and door with it, when so many files are done."""

    def __init__(self, settings: Settings, after: int) -> None:
        self._settings, self._after = settings, after

    def __call__(self, done: int) -> None:
        if done == self._after:
            pid = int(state.state(self._settings)["supervisor"])
            os.kill(pid, signal.SIGKILL)
            say(f"killed the first server after {done} files")


@contextlib.contextmanager
def scraped(servers: Sequence[Settings]) -> Iterator[list[tuple[float, float]]]:
    """Time and seconds of audio left in all servers together, while the block runs."""
    found: list[tuple[float, float]] = []
    ended = threading.Event()

    def scrape() -> None:
        while not ended.wait(SCRAPE_S):
            values = [value for one in servers for value in gauge(one.metrics_url)]
            if values:
                found.append((time.monotonic(), sum(values)))

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield found
    finally:
        ended.set()
        thread.join()


def gauge(url: str) -> list[float]:
    """The gauge's values at a server; none where it is away or has none."""
    try:
        with urllib.request.urlopen(f"{url}/metrics", timeout=SCRAPE_S) as reply:
            text = reply.read().decode()
    except OSError:
        return []
    return values_of(text)


def values_of(metrics: str) -> list[float]:
    """The gauge's values in a text of metrics, of every model that has it."""
    lines = (line for line in metrics.splitlines() if re.match(rf"{GAUGE}[{{ ]", line))
    return [float(line.rpartition(" ")[2]) for line in lines]


if __name__ == "__main__":
    sys.exit(main())
