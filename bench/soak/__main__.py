"""`python -m bench.soak`: mixed traffic on a server of its own; nothing may be lost or wrong.

Exit status 0 where every request was answered, or refused with a reason that its caller can act on;
1 where one was lost, wrong or untyped; 130 after Ctrl-C with nothing of that.
"""

from __future__ import annotations

import argparse
import datetime
import random
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from bench import machine
from bench.measures import memory
from bench.soak import crowd, pictures, report, watch
from bench.soak.account import Account
from bench.soak.kills import Killer
from bench.soak.kinds import TIMEOUT_S, Kinds, Reference
from bench.soak.material import material
from bench.soak.traffic import PATIENCE_S, Callers
from bench.soak.watch import Watch
from build_scripts.console import say
from build_scripts.server.settings import Settings
from build_scripts.server.temporary import running
from onecard.python_backend import malloc
from onecard_client import Client

RESULTS = Path(__file__).parents[1] / "results"
INTERRUPTED = 130
SAID_EVERY_S = 15.0
REST_S = malloc.PERIOD_S + 3.0  # by then every process has given back what it freed
PERIODS_S = (1.0, 10.0)  # of samples: the shortest, the longest
NUM_SAMPLES = 400  # of a short soak


def main() -> int:
    asked = _arguments()
    asked.results.mkdir(parents=True, exist_ok=True)
    if asked.crowd:
        return crowd.main(asked.crowd, asked.results)
    silent: list[str] = []
    with ExitStack() as stack:
        settings = stack.enter_context(running(has_gateway=asked.pictures is not None))
        album = stack.enter_context(pictures.album(settings)) if asked.pictures else None
        found = Soak(settings, asked).run()
        if album is not None:
            silent = album.write(asked.pictures)
    for path in report.write(found, asked.results):
        say(f"wrote {path}")
    say("\n" + report.markdown(found))
    for panel in silent:
        say(f"no figures for the panel `{panel}`, which needs no GPU")
    if silent or not found["is_clean"]:
        return 1
    return INTERRUPTED if found["is_stopped"] else 0


class Soak:
    """One soak of one server."""

    def __init__(self, settings: Settings, asked: argparse.Namespace) -> None:
        self._settings, self._asked = settings, asked
        self._stopping = threading.Event()
        self._url = f"{settings.reachable_address}:{settings.grpc_port}"
        self._account = Account()

    def run(self) -> dict[str, Any]:
        """Everything that was found; what was asked of it until then, where it is stopped."""
        asked = self._asked
        kinds = Kinds(self._url, material(asked.minutes), Reference())
        say("reference run: everything once, with nothing beside it")
        with Client(self._url) as client:
            kinds.learn(client, say)
        before, memory_before = self._at_rest()
        self._account = Account()
        clock = self._account.now_s
        rng = random.Random(f"{asked.seed}:kills")
        half_s = 60.0 * asked.minutes / 2
        killer = Killer(self._settings, self._url, asked.kill_every, half_s, rng, clock, self._tell)
        callers = Callers(self._url, kinds, self._account, asked.seed, killer.has_disturbed)
        period_s = min(PERIODS_S[1], max(PERIODS_S[0], 60.0 * asked.minutes / NUM_SAMPLES))
        with ExitStack() as stack:
            watching = stack.enter_context(Watch(self._settings, clock, period_s))
            stack.enter_context(killer)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, self._stop)
            callers.start(asked.callers)
            self._wait(60.0 * asked.minutes, watching)
            is_stopped = self._stopping.is_set()
            ran_s = clock()
            self._end(callers, killer)
        after, memory_after = (before, memory_before) if is_stopped else self._at_rest()
        found = self._found(watching, killer, before, after, ran_s, is_stopped)
        return {**found, "grown_mib": memory_after.grown_mib(memory_before)}

    def _stop(self, number: int, frame: FrameType | None) -> None:
        """The first Ctrl-C ends the traffic, the second everything."""
        if self._stopping.is_set():
            raise KeyboardInterrupt
        self._stopping.set()

    def _wait(self, seconds: float, watching: Watch) -> None:
        """Until the time is over or somebody stops it, saying how it goes."""
        while (left_s := seconds - self._account.now_s()) > 0 and not self._stopping.is_set():
            self._stopping.wait(min(SAID_EVERY_S, left_s))
            self._tell(_progress(self._account, watching))

    def _end(self, callers: Callers, killer: Killer) -> None:
        """Let what is under way end, unless somebody stops that too."""
        if not self._stopping.is_set():
            self._tell(f"the time is over; {self._account.num_open} requests under way may end")
        killer.end()
        ending = threading.Thread(target=callers.end, args=(TIMEOUT_S + PATIENCE_S,), daemon=True)
        ending.start()
        while ending.is_alive() and not self._stopping.is_set():
            ending.join(1.0)
        if ending.is_alive():
            self._tell(f"stopped; {self._account.num_open} requests under way are broken off")
            callers.stop()

    def _tell(self, line: str) -> None:
        seconds = self._account.now_s()
        say(f"{int(seconds // 60):3d}:{int(seconds % 60):02d}  {line}")

    def _at_rest(self) -> tuple[watch.Sample, memory.Sample]:
        """What is held with no request under way, and the memory of it by model."""
        self._stopping.wait(REST_S)
        memory_now = memory.taken(self._settings, self._account.now_s())
        return watch.taken(self._settings, memory_now), memory_now

    def _found(
        self,
        watching: Watch,
        killer: Killer,
        before: watch.Sample,
        after: watch.Sample,
        ran_s: float,
        is_stopped: bool,
    ) -> dict[str, Any]:
        account, asked = self._account, self._asked
        samples = watching.samples
        until_s = min([ran_s, *(kill.at_s for kill in killer.kills)])  # then processes are new
        inside = [one for one in samples if one.time_s <= until_s]
        grown = watch.slope([x.time_s for x in inside], [x.pss_mib for x in inside])
        slope = None if grown is None else {
            **asdict(grown), "is_level": grown.is_level, "from_s": watch.WARM_S, "until_s": until_s,
        }  # fmt: skip
        most = {name: max(getattr(one, name) for one in samples) for name in asdict(before)}
        return {
            "date": datetime.datetime.now().isoformat(timespec="seconds"),
            "machine": {**machine.facts(), "load_after": machine.load()},
            "minutes": asked.minutes,
            "seed": asked.seed,
            "callers": asked.callers,
            "kill_every_s": asked.kill_every,
            "ran_s": round(ran_s, 1),
            "is_stopped": is_stopped,
            "is_clean": account.is_clean(),
            "begun": account.num_begun,
            "counts": account.counts(),
            "kinds": account.by_kind(),
            "faults": [asdict(one) for one in account.faults()],
            "kills": [asdict(one) for one in killer.kills],
            "at_rest": {"before": asdict(before), "after": asdict(after)},
            "most": most,
            "memory_slope": slope,
            "series": watch.thinned(samples),
        }


def _progress(account: Account, watching: Watch) -> str:
    counts = ", ".join(f"{count} {name}" for name, count in account.counts().items())
    now = watching.samples[-1]
    return (
        f"{account.num_begun} begun: {counts}; {account.num_open} under way; "
        f"{now.pss_mib:.0f} MiB, {now.num_files} files, spool {now.spool_mib:.0f} MiB"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    add: Callable[..., Any] = parser.add_argument
    add("--minutes", type=_positive, default=10.0, help="of traffic, default 10; may be 0.5")
    add("--seed", type=int, default=1, help="decides what is asked, default 1")
    add("--callers", type=int, default=6, help="at a time, default 6")
    add("--kill-every", type=float, default=0.0, metavar="S",
        help="in the second half, kill -9 a process S seconds after each recovery")  # fmt: skip
    add("--crowd", type=int, default=0, metavar="N",
        help="instead: N streams at once, by gRPC and through the gateway")  # fmt: skip
    add("--pictures", type=Path, metavar="FOLDER",
        help="draw both dashboards by what a Prometheus saw of it and of a gateway")  # fmt: skip
    add("--results", type=Path, default=RESULTS, help="a folder; default bench/results")
    return parser.parse_args()


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"is `{text}`, must be a number above 0")
    return value


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
