"""Compiles guides in a process of its own that is ended when one takes too long or too much."""

from __future__ import annotations

import hashlib
import json
import math
import os
import select
import subprocess
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from onecard import interpreter
from onecard.errors import InvalidRequest, Unavailable, clipped

POLL_S = 0.05  # how soon it is noticed that nobody waits any more
START_S = 60.0  # for the process to read the vocabulary, on a busy machine
MAX_REMEMBERED = 256  # outcomes
CLOCK_PER_S = 4  # of a limit, on the clock of a machine that does other things
FULL = "guides of others have been compiled for"

Check = Callable[[], None]  # raises where nobody waits for the guide any more


@dataclass(frozen=True)
class Work:
    """The vocabulary and the library that guides are compiled with.

    `facts`: NVIDIA's description of the vocabulary. `library`: where the xgrammar of the engine
    lies; empty for the one of this environment.
    """

    facts: str
    vocab_size: int
    library: str = ""
    num_threads: int = 2
    own_schemas: bool = True


@dataclass(frozen=True)
class Limits:
    """`max_s`: of one guide. `max_bytes`: of the process. `max_guide_bytes`: once compiled, or
    serialized where that is asked for.

    A guide that has had less CPU time than `max_s` may take up to `CLOCK_PER_S` times as long: how
    busy the machine is says nothing of the guide.
    """

    max_s: float = 15.0
    max_bytes: int = 2 * 2**30
    max_guide_bytes: int = 16 * 2**20
    max_wait_s: float = 60.0  # for the guides of others


@dataclass(frozen=True)
class Made:
    """A guide that can be used: its size once compiled, and itself where that was asked for."""

    num_bytes: int
    serialized: str = ""


class GuideRefused(InvalidRequest):
    """A guide cannot be compiled within the limits; says why."""


class Workshop:
    """One process, and what it said. Thread-safe; one guide at a time."""

    def __init__(self, work: Work, limits: Limits | None = None, serialized: bool = False) -> None:
        self._work = work
        self._limits = limits or Limits()
        self._serialized = serialized
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False  # the process has read the vocabulary
        self._refusals: OrderedDict[str, str] = OrderedDict()
        self._known: OrderedDict[str, Made] = OrderedDict()

    def start(self) -> None:
        """Have the process read the vocabulary while nothing is asked of it."""
        with self._lock:
            if self._process is None:
                self._process = self._started()

    def made(self, kind: str, text: str, check: Check = lambda: None) -> Made:
        """The guide, compiled.

        Raises:
            GuideRefused: it is none of its kind, or goes beyond a limit.
            Unavailable: others' guides take too long.
            Whatever `check` raises, soon.
        """
        key = hashlib.sha256(f"{kind}:{text}".encode()).hexdigest()
        self._wait_for_turn(check)
        try:
            if key in self._refusals:
                raise GuideRefused(self._refusals[key])
            if key in self._known:
                return self._known[key]
            try:
                found = self._compiled(kind, text, check)
            except GuideRefused as error:
                _remember(self._refusals, key, str(error))
                raise
            if not self._serialized:  # those are large, and kept by the caller
                _remember(self._known, key, found)
            return found
        finally:
            self._lock.release()

    def close(self) -> None:
        with self._lock:
            self._end()

    def _wait_for_turn(self, check: Check) -> None:
        until = time.monotonic() + self._limits.max_wait_s
        while not self._lock.acquire(timeout=POLL_S):
            check()
            if time.monotonic() > until:
                raise Unavailable(f"{FULL} {self._limits.max_wait_s:.0f} s; try again later")

    def _compiled(self, kind: str, text: str, check: Check) -> Made:
        limits = self._limits
        process = self._ready(check)
        request = {"kind": kind, "text": text, "serialized": self._serialized,
                   "max_bytes": limits.max_guide_bytes,
                   "max_s": math.ceil(CLOCK_PER_S * limits.max_s) + 5}  # fmt: skip
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps(request).encode() + b"\n")
            process.stdin.flush()
            line = self._compiled_line(process, check)
            answer: dict[str, Any] = json.loads(line)
            data = self._data(process, answer["length"])
        except TimeoutError:
            self._end()
            raise GuideRefused(
                f"it takes more than {limits.max_s:g} s to compile; send a smaller one, with fewer "
                "optional parts and counts"
            ) from None
        except (OSError, EOFError, ValueError):
            self._end()
            raise self._too_much() from None
        except BaseException:  # nobody waits any more
            self._end()
            raise
        if "refused" in answer:
            raise GuideRefused(f"{clipped(answer['refused'], 300)}; mend it")
        if "memory" in answer:
            self._end()
            raise self._too_much()
        if answer["bytes"] > limits.max_guide_bytes:
            raise GuideRefused(
                f"it takes {answer['bytes'] >> 20} MiB once it is compiled, more than "
                f"{limits.max_guide_bytes >> 20}; send a smaller one"
            )
        return Made(answer["bytes"], data.decode())

    def _too_much(self) -> GuideRefused:
        return GuideRefused(
            f"it takes more than {self._limits.max_bytes >> 20} MiB to compile; send a smaller one"
        )

    def _ready(self, check: Check) -> subprocess.Popen[bytes]:
        """The process, once it has read the vocabulary.

        Raises:
            Unavailable: it cannot be started.
        """
        if self._process is None or self._process.poll() is not None:
            self._end()
            self._process = self._started()
        process = self._process
        if not self._is_ready:
            try:
                self._line(process, START_S, check)
            except (EOFError, TimeoutError, OSError) as error:
                self._end()
                raise Unavailable(
                    f"the process that compiles guides does not start ({error!r}); the server log "
                    "says why"
                ) from error
            self._is_ready = True
        return process

    def _started(self) -> subprocess.Popen[bytes]:
        work = self._work
        settings = {"facts": work.facts, "vocab_size": work.vocab_size,
                    "threads": work.num_threads, "own_schemas": work.own_schemas,
                    "max_bytes": self._limits.max_bytes}  # fmt: skip
        return subprocess.Popen(
            [interpreter.python(), "-m", "onecard.guides.worker", json.dumps(settings)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=interpreter.environment(*filter(None, [work.library])),
        )

    def _compiled_line(self, process: subprocess.Popen[bytes], check: Check) -> bytes:
        max_s = self._limits.max_s
        used_s, until = _cpu_s(process.pid), time.monotonic() + max_s

        def check_both() -> None:
            check()
            if time.monotonic() > until and _cpu_s(process.pid) - used_s > max_s:
                raise TimeoutError(f"more than {max_s:g} s of CPU time")

        return self._line(process, CLOCK_PER_S * max_s, check_both)

    def _line(self, process: subprocess.Popen[bytes], max_s: float, check: Check) -> bytes:
        assert process.stdout is not None
        until = time.monotonic() + max_s
        while not select.select([process.stdout], [], [], POLL_S)[0]:
            check()
            if time.monotonic() > until:
                raise TimeoutError(f"nothing within {max_s:g} s")
        line = process.stdout.readline()
        if not line:
            raise EOFError("it ended")
        return line

    def _data(self, process: subprocess.Popen[bytes], length: int) -> bytes:
        assert process.stdout is not None
        data = process.stdout.read(length)
        if len(data) < length:
            raise EOFError("it ended")
        return data

    def _end(self) -> None:
        process, self._process, self._is_ready = self._process, None, False
        if process is not None:
            process.kill()
            process.communicate()


def _cpu_s(pid: int) -> float:
    """CPU time of a process that has not been waited for, all its threads together."""
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _remember(guides: OrderedDict[str, Any], key: str, value: Any) -> None:
    guides[key] = value
    if len(guides) > MAX_REMEMBERED:
        guides.popitem(last=False)
