"""Writes what Triton says into its log: what repeats itself counted, and never more than two files.

A process of its own between Triton and the file, so that Triton is never kept waiting for
`serve`, and has somebody to write to for as long as it lives. Without it a server that runs out
of descriptors writes the same line some 100,000 times a second.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

from build_scripts import paths
from build_scripts.server.logs import reader

MAX_BYTES = 8 * 2**20  # of one file; the one before it is kept as `.log.1`
MAX_LINE_BYTES = 2**16  # a longer one is divided
PIPE_BYTES = 2**20
FLOOD_LINES = 200  # in a second; then also what repeats itself with others between is counted
NUM_RECENT = 64  # distinct lines that are remembered
SAY_EVERY_S = 5.0  # how often what repeats itself is told of
REST_S = 0.02  # after each read of a flood, so that it costs a fraction of a core
# What differs between two lines that say the same: severity, date, time and thread.
_STAMP = re.compile(rb"^[IWEF]\d{4} \S+ +\d+ ")


class Repeats:
    """Leaves out lines that were written already, and says how often."""

    def __init__(self) -> None:
        self._last = b""  # the key of the line that was written last
        self._recent: OrderedDict[bytes, int] = OrderedDict()  # key -> times left out
        self._second, self._num_lines = 0, 0
        self._told_s = 0.0

    def lines(self, line: bytes, now_s: float) -> Iterator[bytes]:
        """The lines to write for `line`."""
        if int(now_s) != self._second:
            self._second, self._num_lines = int(now_s), 0
        self._num_lines += 1
        key = _STAMP.sub(b"", line)
        if key and key in self._recent and (key == self._last or self.is_flood):
            self._recent[key] += 1
            if now_s - self._told_s >= SAY_EVERY_S:
                yield from self.told(now_s)
            return
        yield from self.told(now_s)
        self._last = key
        self._recent[key] = 0
        self._recent.move_to_end(key)
        while len(self._recent) > NUM_RECENT:
            self._recent.popitem(last=False)
        yield line

    def told(self, now_s: float) -> Iterator[bytes]:
        """How often which lines were left out since this was told last."""
        self._told_s = now_s
        for key, count in self._recent.items():
            if count:
                what = b"" if key == self._last else b": " + key[:200]
                yield key if count == 1 else b"... repeated %d times%s" % (count, what)
                self._recent[key] = 0

    @property
    def is_flood(self) -> bool:
        return self._num_lines > FLOOD_LINES


class Rotated:
    """A file that is set aside when it has grown to `max_bytes`; the one set aside before goes."""

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._open()

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._file = os.open(self._path, flags, 0o600)
        self._size = os.fstat(self._file).st_size

    def write(self, data: bytes) -> None:
        """Append to the log; if the disk is full, it has a gap."""
        with contextlib.suppress(OSError):
            self._size += os.write(self._file, data)
        if self._size > self._max_bytes:
            self._begin_anew()

    def _begin_anew(self) -> None:
        """Somebody may have removed the file, or its folder, meanwhile."""
        with contextlib.suppress(OSError):
            self._path.replace(reader.aside(self._path))
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            before = self._file
            self._open()
            os.close(before)
        if self._size > self._max_bytes:  # it could not be set aside
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
                self._size = 0


def start(path: Path, variables: dict[str, str]) -> subprocess.Popen[bytes]:
    """A writer of `path`; its `stdin` is for Triton, and it ends when nobody has that any more."""
    writer = subprocess.Popen(
        # -S: no packages, a tenth of the time.
        [sys.executable, "-S", "-m", "build_scripts.server.logs.writer", str(path)],
        cwd=paths.ROOT,
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        preexec_fn=_ignore_signals,
    )
    assert writer.stdin is not None
    with contextlib.suppress(OSError):  # more than an ordinary user may have
        fcntl.fcntl(writer.stdin, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
    return writer


def _ignore_signals() -> None:
    """Whoever writes there says when it is over."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def copy(source: int, log: Rotated) -> None:
    """Write the lines that come from the descriptor `source` until its end."""
    repeats, rest = Repeats(), b""
    while True:
        if not select.select([source], [], [], 1.0)[0]:
            _write(log, repeats.told(time.monotonic()))
            continue
        data = os.read(source, MAX_LINE_BYTES)
        now_s = time.monotonic()
        *lines, rest = (rest + data).split(b"\n")
        if rest and (not data or len(rest) > MAX_LINE_BYTES):
            lines, rest = [*lines, rest], b""
        _write(log, (shown for line in lines for shown in repeats.lines(line, now_s)))
        if not data:
            _write(log, repeats.told(now_s))
            return
        if repeats.is_flood:
            time.sleep(REST_S)


def _write(log: Rotated, lines: Iterator[bytes]) -> None:
    if text := b"".join(line + b"\n" for line in lines):
        log.write(text)


def main(path: str) -> None:
    """Copy standard input into `path` until nobody can write there any more."""
    copy(0, Rotated(Path(path)))


if __name__ == "__main__":
    main(sys.argv[1])
