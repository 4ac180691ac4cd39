"""`python -m bench.fleet`: two servers behind haproxy, one killed under load; no file may be lost.

Prints the outcome of every file, and the servers that the scaling formula wants for the scrapes.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import signal
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import recordings
from bench.fleet import load, proxy
from bench.fleet.proxy import Target
from build_scripts.console import say
from build_scripts.fleet import helm, replicas
from build_scripts.plans import plan
from build_scripts.server import state
from build_scripts.server.settings import Settings
from build_scripts.server.temporary import running

GAUGE = "onecard_audio_seconds_left"
SCRAPE_S = 2.0


def main() -> int:
    """Exit status 0 where every file has its transcript."""
    parser = argparse.ArgumentParser(prog="python -m bench.fleet", description=__doc__)
    parser.add_argument("--files", type=int, default=24, help="of 10 s each, default 24")
    parser.add_argument("--callers", type=int, default=6, help="at a time, default 6")
    asked = parser.parse_args()
    files = [(f"file {number}", recordings.wav(recordings.clip(10.0, 10.0 * number)))
             for number in range(asked.files)]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, running() as first, running() as second:
        targets = [Target(one.grpc_port, one.http_port) for one in (first, second)]
        with proxy.balanced(targets, Path(folder)) as url, scraped((first, second)) as scrapes:
            outcomes = load.send(url, files, asked.callers, _Killer(first, asked.files // 3))
    for one in outcomes:
        say(f"{one.name}: {one.took_s:.1f} s, {one.error or f'{len(one.text)} letters'}")
    rate = helm.rate(plan.load("cpu"))
    scaling = replicas.Scaling(rate * helm.CLEARED_WITHIN_S)
    if scrapes:
        most, wanted = max(left for _, left in scrapes), replicas.replayed(scrapes, scaling)
        say(f"audio left: {most:.0f} s at most; servers wanted: {max(wanted)} at most")
    else:
        say(f"the servers have no `{GAUGE}`: nothing to replay")
    lost = load.lost(outcomes)
    say(f"{len(outcomes)} files, {len(lost)} lost{': ' if lost else ''}{'; '.join(lost)}")
    return 1 if lost else 0


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
