"""Runs perf_analyzer: one process for each load, side by side where there are several.

Its options and its ways to fail: its --help, docs/cli.md. Measuring is in windows of a number of
requests. Windows of time fail here: one in which no request ended is an error, and so is one in
which a step of an ensemble did not begin.
"""

from __future__ import annotations

import math
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.perf import exports
from bench.perf.binary import Choice
from bench.perf.exports import Streams, Summary
from bench.perf.profiles import Profile
from build_scripts.errors import BuildError
from build_scripts.server.door.order import owner_headers

# perf_analyzer wants three windows that agree (its InferenceProfiler's stability_window). Whether
# they do is for the reader of the page to say, so any three will do: a time that is known before.
NUM_WINDOWS = 3
ANY_DIFFERENCE_PERCENT = 10_000
# Of every request that is under way when a window begins, one more ends within it.
MIN_ROUNDS = 2
POLL_S = 0.1
DRAIN_S = 60.0
TIMEOUT_S = 600.0
# The windows are sized by a rate measured before, with less load: they may take longer than asked.
MAX_LENGTHS = 5
_TAIL_LINES = 6


class AnalyzerError(BuildError):
    """perf_analyzer failed, or measured nothing."""


@dataclass(frozen=True)
class Load:
    """So many requests of one profile under way at any time."""

    profile: Profile
    concurrency: int


@dataclass(frozen=True)
class Measured:
    """What came of one load; `streams` where its model streams."""

    load: Load
    summary: Summary
    streams: Streams | None

    @property
    def tokens_per_s(self) -> float | None:
        """Of all streams together; None where the answers are no text of the LLM."""
        if self.streams is None or self.load.profile.audio_s:
            return None
        return self.summary.requests_per_s * self.streams.tokens

    @property
    def audio_per_s(self) -> float | None:
        """Seconds of speech a second: times real time."""
        audio_s = self.load.profile.audio_s
        return self.summary.requests_per_s * audio_s if audio_s else None


class Analyzer:
    """One perf_analyzer against one server.

    Args:
        url: of the server's gRPC endpoint, `host:port`.
        folder: of the inputs (`<profile>.json`), and of what perf_analyzer writes.
        length_s: that a measurement is to take; a long one is given more time.
    """

    def __init__(self, choice: Choice, url: str, folder: Path, length_s: float) -> None:
        self._choice = choice
        self._url = url
        self._folder = folder
        self._timeout_s = max(TIMEOUT_S, MAX_LENGTHS * length_s)

    def warm_up(self, profile: Profile, num_requests: int) -> Summary:
        """A few requests, one after the other. Raises AnalyzerError."""
        load = Load(profile, 1)
        run = _Run(self, load, f"{profile.name}-warm-up", ["--request-count", str(num_requests)])
        _finish([run], self._timeout_s)
        return run.measured().summary

    def measure(self, level: str, loads: Sequence[Load], counts: Sequence[int]) -> list[Measured]:
        """All `loads` at once; `counts`: the requests of a window, for each.

        A load that has been measured goes on until every other one has been.
        Raises AnalyzerError.
        """
        runs = [
            _Run(self, load, f"{level}-{load.profile.name}-{load.concurrency}", windows(count))
            for load, count in zip(loads, counts, strict=True)
        ]
        _finish(runs, self._timeout_s)
        return [run.measured() for run in runs]

    def command(
        self, load: Load, stem: str, options: Sequence[str], export: bool = True
    ) -> list[str]:
        """`export`: of the single responses, where the model streams."""
        profile = load.profile
        flags = {
            "-m": profile.name,
            "-u": self._url,
            "-i": "grpc",
            "--input-data": self.input_path(profile),
            "--concurrency-range": load.concurrency,
            "-f": self.path(stem, "csv"),
        }
        command = [str(self._choice.path), *options]
        for flag, value in flags.items():
            command += [flag, str(value)]
        for name, value in owner_headers(self._url).items():  # it asks after every model
            command += ["-H", f"{name}:{value}"]
        if profile.streams:
            command.append("--streaming")
            if export:
                command += ["--profile-export-file", str(self.path(stem, "json"))]
        return command

    def start(self, command: Sequence[str], report: Path) -> subprocess.Popen[bytes]:
        with report.open("wb") as file:
            return subprocess.Popen(
                command,
                env=self._choice.environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                # Its own session: a Ctrl-C at the terminal is ours to pass on. And no `preexec_fn`:
                # Python would fork for it, and gRPC's handlers of forks may wait for ever.
                start_new_session=True,
            )

    def input_path(self, profile: Profile) -> Path:
        return self._folder / f"{profile.name}-input.json"

    def path(self, stem: str, suffix: str) -> Path:
        return self._folder / f"{stem}.{suffix}"


def windows(count: int) -> list[str]:
    """Options for three windows of at least `count` requests each."""
    return [
        "--measurement-mode", "count_windows",
        "--measurement-request-count", str(count),
        "--stability-percentage", str(ANY_DIFFERENCE_PERCENT),
        "--max-trials", str(NUM_WINDOWS),
    ]  # fmt: skip


def window_count(concurrency: int, requests_per_s: float, length_s: float) -> int:
    """Requests of a window, so that all take `length_s` at that rate, or as long as they must."""
    return max(MIN_ROUNDS * concurrency, math.ceil(requests_per_s * length_s / NUM_WINDOWS))


class _Run:
    """One load from its start until it has been measured, and on as a load alone."""

    def __init__(self, analyzer: Analyzer, load: Load, stem: str, options: Sequence[str]) -> None:
        self._analyzer = analyzer
        self._load = load
        self._stem = stem
        self._options = options
        self._report = analyzer.path(stem, "log")
        analyzer.path(stem, "json").unlink(missing_ok=True)  # one that is there is an error to it
        self.process = analyzer.start(analyzer.command(load, stem, options), self._report)
        self.is_measured = False

    def poll(self) -> None:
        """Raises AnalyzerError where perf_analyzer failed."""
        if self.process.poll() is None:
            return
        if self.process.returncode != 0:
            raise AnalyzerError(self._explain())
        self.is_measured = True

    def go_on(self) -> None:
        """Load the server as before, without measuring."""
        if self.process.poll() is None:
            return
        if self.process.returncode != 0:
            raise AnalyzerError(self._explain())
        stem = f"{self._stem}-beside"
        command = self._analyzer.command(self._load, stem, self._options, export=False)
        self._report = self._analyzer.path(stem, "log")
        self.process = self._analyzer.start(command, self._report)

    def measured(self) -> Measured:
        log = self._analyzer.path(self._stem, "log")
        report = log.read_text(encoding="utf-8", errors="replace")
        profile = self._load.profile
        export = self._analyzer.path(self._stem, "json")
        return Measured(
            self._load,
            exports.summary(self._analyzer.path(self._stem, "csv"), report),
            exports.streams(export, profile.first_event) if profile.streams else None,
        )

    def stop(self) -> None:
        """End what still runs: `wait` returns when it has ended.

        A unary request to an ensemble that is cancelled can end Triton 2.51
        (onecard_client/_wire.py), so such ones are let end, as Ctrl-C lets them. Streams can be
        cut; after Ctrl-C in the midst of one perf_analyzer 2.46 waits for ever.
        """
        self.process.send_signal(signal.SIGKILL if self._load.profile.streams else signal.SIGINT)

    def wait(self) -> None:
        """Raises nothing; what takes too long is killed."""
        try:
            self.process.wait(DRAIN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _explain(self) -> str:
        report = self._report.read_text(encoding="utf-8", errors="replace")
        lines = report.partition("\nUsage: ")[0].splitlines()
        said = [line.strip() for line in lines if line.strip()][-_TAIL_LINES:]
        return (
            f"perf_analyzer ended with status {self.process.returncode} on `{self._stem}`:\n  "
            + "\n  ".join(said or ["no output"])
            + f"\nall that it said is in {self._report}"
        )


def _finish(runs: Sequence[_Run], timeout_s: float) -> None:
    """Return when every run has been measured and none is left. Raises AnalyzerError."""
    deadline_s = time.monotonic() + timeout_s
    try:
        while not all(run.is_measured for run in runs):
            for run in runs:
                if run.is_measured:
                    run.go_on()
                else:
                    run.poll()
            if time.monotonic() > deadline_s:
                raise AnalyzerError(
                    f"perf_analyzer was not done within {timeout_s:.0f} s; fewer requests at once "
                    "(--concurrency) or a shorter --length may do; the server's log may say why"
                )
            time.sleep(POLL_S)
    finally:
        for run in runs:
            run.stop()
        for run in runs:
            run.wait()
