"""`python -m bench.perf`: start a server, load it by perf_analyzer, write what was measured."""

from __future__ import annotations

import argparse
import contextlib
import datetime
import os
import shlex
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from tritonclient.utils import InferenceServerException

from bench import machine
from bench.perf import binary, inputs, profiles, report
from bench.perf.analyzer import Analyzer, Load, window_count
from bench.perf.profiles import NAMES, PROFILES
from bench.perf.report import Level, Run
from bench.serving import Times, owner_client, spent, times
from build_scripts import paths as layout
from build_scripts.console import Steps, say
from build_scripts.errors import BuildError, ServerError
from build_scripts.server.temporary import running

RESULTS = layout.ROOT / "bench" / "results"
CONCURRENCY = (1, 2, 4)
LENGTH_S = 12.0
NUM_WARM_UP = 3
INTERRUPTED = 130  # what a shell says of a program that Ctrl-C ended


def main() -> None:
    arguments = parser().parse_args()
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        sys.exit(_run(arguments))
    except BuildError as error:
        say(f"perf: {error}")
        sys.exit(error.exit_code)
    except InferenceServerException as error:
        say(f"perf: the server answered `{error.message()}`")
        sys.exit(ServerError.exit_code)
    except KeyboardInterrupt:
        say("\nperf: interrupted before anything was measured")
        sys.exit(INTERRUPTED)


def _run(arguments: argparse.Namespace) -> int:
    choice = binary.of_this_machine()
    say(f"perf_analyzer: {choice.package} ({choice.why})")
    say(f"  {'fetched' if binary.fetch(choice) else 'verified'} in {_short(choice.directory)}")
    started = datetime.datetime.now(tz=datetime.timezone.utc)
    facts = machine.facts()
    folder = arguments.results or RESULTS / f"perf-{started:%Y-%m-%dT%H%M%S}"
    raw = folder / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    levels: list[Level] = []
    failures: list[str] = []
    status = 0
    streaming: frozenset[str] = frozenset()
    with _server(arguments.url) as url:
        try:
            streaming = _streaming(url)
            analyzer = Analyzer(choice, url, raw, arguments.length)
            session = Session(analyzer, url, arguments.length)
            session.prepare(profiles.needed(arguments.profiles))
            session.measure(arguments.profiles, arguments.concurrency, levels, failures)
        except KeyboardInterrupt:
            failures.append("interrupted")
            status = INTERRUPTED
        run = Run(
            f"{started:%Y-%m-%d %H:%M} UTC", _command(), f"{choice.package}",
            {**facts, "load_after": machine.load()}, levels, failures, streaming,
        )  # fmt: skip
        paths = report.write(run, folder)
        say("\n" + paths[2].read_text(encoding="utf-8"))
        for path in paths:
            say(f"wrote {_short(path)}")
    return status or (1 if failures else 0)


class Session:
    """The measurements of one run against one server."""

    def __init__(self, analyzer: Analyzer, url: str, length_s: float) -> None:
        self._analyzer = analyzer
        self._url = url
        self._length_s = length_s
        self._rates: dict[str, float] = {}  # requests a second, by profile, where last measured

    def prepare(self, needed: Sequence[profiles.Profile]) -> None:
        """Send a little of what each profile sends.

        Raises ServerError, AnalyzerError, InstallError.
        """
        steps = Steps("warm-up", len(needed))
        for profile in needed:
            steps.begin(f"{profile.name}: {profile.what}")
            self._write_input(profile)
            summary = self._analyzer.warm_up(profile, NUM_WARM_UP)
            self._rates[profile.name] = 1e3 / summary.p50_ms
            steps.done(f"one takes {summary.p50_ms:.0f} ms")

    def measure(
        self, names: Sequence[str], concurrency: Sequence[int], levels: list[Level],
        failures: list[str],
    ) -> None:  # fmt: skip
        """Add every level to `levels`, or why it is not there to `failures`."""
        plan = [(name, at_once) for name in names for at_once in concurrency]
        steps = Steps("perf", len(plan))
        say(f"\n{len(plan)} x {self._length_s:.0f} s, or more where requests take long")
        for name, at_once in plan:
            steps.begin(f"{name}, {at_once} at once")
            try:
                level = self._level(name, at_once)
            except (BuildError, InferenceServerException) as error:
                failures.append(f"{name}, {at_once} at once: {error}")
                steps.done(f"FAILED: {error}")
                continue
            levels.append(level)
            for one in level.measured:
                steps.done(report.line(one, name))
        steps.end(f"{len(levels)} of {len(plan)} measured")

    def _level(self, name: str, at_once: int) -> Level:
        loads = [Load(profile, at_once) for profile in profiles.members(name)]
        counts = [
            window_count(at_once, self._rates[load.profile.name], self._length_s) for load in loads
        ]
        for load in loads:
            self._write_input(load.profile)
        before = times(self._url)
        measured = self._analyzer.measure(name, loads, counts)
        found = meanwhile(before, times(self._url))
        for one in measured:
            self._rates[one.load.profile.name] = one.summary.requests_per_s
        return Level(name, at_once, measured, found)

    def _write_input(self, profile: profiles.Profile) -> None:
        """Anew for each level: an engine may keep what it made of the last one's."""
        with owner_client(self._url) as server:
            inputs.write(profile.make(server), self._analyzer.input_path(profile))


def meanwhile(before: Times, after: Times) -> Times:
    """What every model spent. Raises ServerError where Triton began to count anew."""
    found = spent(before, after)
    if any(value < 0 for one in found.values() for value in one.values()):
        raise ServerError("Triton ended and was started again meanwhile; its log is kept")
    return found


@contextlib.contextmanager
def _server(url: str | None) -> Iterator[str]:
    """The gRPC endpoint of the server that is named, or of one for the time of the block."""
    if url is not None:
        yield url
        return
    with running() as one:
        yield f"{one.reachable_address}:{one.grpc_port}"


def _streaming(url: str) -> frozenset[str]:
    """The models that stream. Raises ServerError where no onecard server answers."""
    try:
        with owner_client(url) as server:
            found = server.get_inference_statistics().model_stats
            configs = [server.get_model_config(one.name).config for one in found]
    except InferenceServerException as error:
        raise ServerError(
            f"no Triton answers gRPC at `{url}` ({error.message()}): `make serve` starts one; "
            "without --url one is started here"
        ) from None
    names = {config.name for config in configs}
    missing = sorted(set(PROFILES) - names)
    if missing:
        raise ServerError(f"the server at `{url}` has no model `{missing[0]}`: is it onecard's?")
    return frozenset(config.name for config in configs if config.model_transaction_policy.decoupled)


def parser() -> argparse.ArgumentParser:
    listing = "\n".join(
        [f"  {one.name:19}{one.what}" for one in PROFILES.values()]
        + [f"  {profiles.MIXED:19}{' and '.join(profiles.MIX)}, at once"]
    )
    made = argparse.ArgumentParser(
        prog="python -m bench.perf",
        description="Load a onecard server by Triton's perf_analyzer over gRPC.",
        epilog=f"profiles:\n{listing}\n\nHow to read the results: docs/perf.md.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "profiles", nargs="*", default=NAMES, metavar="PROFILE", type=_name,
        help="what to load; all of them if none is named",
    )  # fmt: skip
    made.add_argument(
        "--concurrency", type=_counts, default=CONCURRENCY, metavar="N,N,...",
        help="requests at once, default 1,2,4; of each kind where kinds are mixed",
    )  # fmt: skip
    made.add_argument(
        "--length", type=_seconds, default=LENGTH_S, metavar="SECONDS",
        help=f"of one measurement, default {LENGTH_S:.0f}; more where requests take long",
    )  # fmt: skip
    made.add_argument(
        "--url", metavar="HOST:PORT",
        help="the gRPC endpoint of a server that runs; default: start one for the run",
    )  # fmt: skip
    made.add_argument(
        "--results", type=Path, help="a folder; default bench/results/perf-<date and time>"
    )
    return made


def _name(text: str) -> str:
    if text not in NAMES:
        raise argparse.ArgumentTypeError(f"no profile `{text}`; there are: {', '.join(NAMES)}")
    return text


def _counts(text: str) -> tuple[int, ...]:
    parts = text.replace(",", " ").split()
    if not parts or not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"`{text}`, wanted numbers from 1 on, as 1,2,4")
    return tuple(int(part) for part in parts)


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 0 < float(text) < float("inf"):
            return float(text)
    raise argparse.ArgumentTypeError(f"`{text}`, wanted seconds, more than 0")


def _command() -> str:
    return shlex.join(["python", "-m", "bench.perf", *sys.argv[1:]])


def _short(path: Path) -> str:
    return os.path.relpath(path)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
