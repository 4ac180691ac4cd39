"""A warm process that takes one input after the other, and what became of each."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import resource
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from build_scripts import processes

HANG_S = 30.0  # of CPU time
WAIT_PER_HANG = 10  # on the clock of a machine that does other things, or waits for nothing
MEMORY_BYTES = 4 << 30  # beyond what the process has when it is warm
MAX_GROWN_MIB = 600.0

Target = Callable[[bytes], str]


@dataclass(frozen=True)
class Outcome:
    """`kind` is one of ok, refused, internal, crash, hang, memory, the last four findings."""

    kind: str
    told: str
    seconds: float
    grown_mib: float
    cpu_s: float = 0.0

    @property
    def is_finding(self) -> bool:
        return self.kind not in ("ok", "refused")


class Child:
    """Runs the target that `make` gives, in a process that is made anew after it ended."""

    def __init__(
        self,
        make: Callable[[], Target],
        hang_s: float = HANG_S,
        max_grown_mib: float = MAX_GROWN_MIB,
    ) -> None:
        self._make = make
        self._hang_s = hang_s
        self._max_grown_mib = max_grown_mib
        self._process: Any = None

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def run(self, data: bytes) -> Outcome:
        if self._process is None:
            self._start()
        started_s, used_s = time.monotonic(), processes.processor_s(self._process.pid)
        self._pipe.send_bytes(data)
        while not self._pipe.poll(0.5):
            seconds = time.monotonic() - started_s
            if (
                processes.processor_s(self._process.pid) - used_s > self._hang_s
                or seconds > WAIT_PER_HANG * self._hang_s
            ):
                self._end()
                return Outcome("hang", f"no end within {self._hang_s:g} s", seconds, 0.0)
        seconds = time.monotonic() - started_s
        try:
            kind, told, grown_mib = self._pipe.recv()
        except EOFError:
            self._process.join()
            code = self._process.exitcode
            self._end()
            return Outcome("crash", f"the process ended with {code}", seconds, 0.0)
        if kind != "internal" and grown_mib > self._max_grown_mib:
            kind, told = "memory", f"{grown_mib:.0f} MiB; {told}"
        return Outcome(
            kind, told, seconds, grown_mib, processes.processor_s(self._process.pid) - used_s
        )

    def _start(self) -> None:
        # Not forked: whoever tests has threads of gRPC, whose objects a fork cannot let go of.
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(self._make, theirs), daemon=False)
        self._process.start()
        theirs.close()
        self._pipe.recv()  # it is warm

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.join()
            self._pipe.close()
            self._process = None


def _serve(make: Callable[[], Target], pipe: Connection) -> None:
    target = make()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    max_bytes = int(_status_mib("VmSize")) * 2**20 + MEMORY_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (max_bytes, max_bytes))
    pipe.send("warm")
    while True:
        try:
            data = pipe.recv_bytes()
        except EOFError:
            os._exit(0)
        _forget_peak()
        before_mib = _status_mib("VmHWM")
        try:
            kind, told = "ok", target(data)
            if told.startswith("refused"):
                kind = "refused"
        except MemoryError:
            kind, told = "memory", traceback.format_exc()[-3_000:]
        except BaseException:
            kind, told = "internal", traceback.format_exc()[-3_000:]
        pipe.send((kind, told, _status_mib("VmHWM") - before_mib))


def _forget_peak() -> None:
    with contextlib.suppress(OSError), open("/proc/self/clear_refs", "w") as file:  # proc(5)
        file.write("5")


def _status_mib(key: str) -> float:
    """A figure of proc(5)'s status file of this process."""
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith(f"{key}:"))
