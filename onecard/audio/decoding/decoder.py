"""Decodes recordings in processes of their own, which end with their time, their memory or a call.

FFmpeg's parsers see bytes that anybody sends. What a file can do there is bounded: it ends one
child of `onecard.audio.decoding.nursery`, whose caller is told, and nobody waits for it longer
than that.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import numpy as np

from onecard import interpreter
from onecard.audio.clip import Clip
from onecard.audio.decoding import order as orders
from onecard.audio.decoding.order import Order
from onecard.audio.pcm import NO_SAMPLES, Pcm
from onecard.contract.whisper import SAMPLE_RATE
from onecard.errors import Cancelled, InvalidRequest, Unavailable

_MODULE = "onecard.audio.decoding.nursery"
# The server's processes may have stacks of a GiB, which each thread would then take of the memory
# that it is allowed; what a thread gets is read from the limit when a program starts.
_SMALL_STACKS = ("/bin/sh", "-c", 'ulimit -s 8192 2>/dev/null; exec "$@"', "sh")
POLL_S = 0.1  # how soon it is noticed that a caller has left
_KINDS = {kind.__name__: kind for kind in (InvalidRequest, Unavailable)}


def always() -> bool:
    """Say that the samples are still wanted, for a caller that never leaves."""
    return True


class Decoder:
    """Hands recordings to a nursery of its own, which is started again when it was ended.

    One thread uses it. `close` ends it, as does the end of this process.
    """

    def __init__(self) -> None:
        self._start()

    def __enter__(self) -> Decoder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()
        self._process.wait()

    def decode(
        self,
        order: Order,
        source: bytes | BinaryIO,
        target: BinaryIO,
        is_wanted: Callable[[], bool] = always,
    ) -> Clip:
        """Decode `source` into `target`, both files or, for the former, bytes.

        Args:
            is_wanted: whether anybody waits for it; asked every POLL_S.

        Raises:
            InvalidRequest: as `onecard.audio.decode_into`; or it takes more time or memory than a
                recording may.
            Unavailable: there is no room for the samples, or the process was ended by others.
            Cancelled: it is not wanted any more.
            RuntimeError: it failed in a way that nobody foresaw.
        """
        with contextlib.ExitStack() as stack:
            if isinstance(source, bytes):
                source = stack.enter_context(_file_of(source))
            theirs, ours = socket.socketpair()
            with theirs, ours:
                self._send(order.to_json(), [source.fileno(), target.fileno(), theirs.fileno()])
                theirs.close()
                num_bytes = os.fstat(source.fileno()).st_size
                lines = _lines(ours, num_bytes, target, is_wanted)
        return _clip(lines, num_bytes)

    def _start(self) -> None:
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [*_SMALL_STACKS, interpreter.python(), "-m", _MODULE, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                # An arena for each core counts as memory that is taken.
                env={**interpreter.environment(), "MALLOC_ARENA_MAX": "1"},
            )

    def _send(self, order: bytes, descriptors: list[int]) -> None:
        try:
            socket.send_fds(self._socket, [order], descriptors)
        except OSError:  # it was ended
            self.close()
            self._start()
            socket.send_fds(self._socket, [order], descriptors)


@contextlib.contextmanager
def memory() -> Iterator[BinaryIO]:
    """A file without a name, in memory."""
    with open(os.memfd_create("onecard"), "w+b", buffering=0) as file:
        yield file


def samples(file: BinaryIO) -> Pcm:
    """The samples that were decoded into `file`, memory-mapped."""
    if not os.fstat(file.fileno()).st_size:
        return NO_SAMPLES
    return np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), np.int16)


@contextlib.contextmanager
def _file_of(data: bytes) -> Iterator[BinaryIO]:
    with memory() as file:
        left = memoryview(data)
        while left:
            left = left[file.write(left) :]
        file.seek(0)
        yield file


def _lines(
    ours: socket.socket, num_bytes: int, target: BinaryIO, is_wanted: Callable[[], bool]
) -> list[dict[str, Any]]:
    """Everything that is answered, until the child has ended; to return is to end it."""
    started_s = time.monotonic()
    heard = _Heard(target)
    poll = select.poll()
    poll.register(ours, select.POLLIN)
    found = b""
    while not found.endswith(b"}\n"):  # the line of its end
        if poll.poll(POLL_S * 1000):
            part = ours.recv(1 << 16)
            found += part
            if not part:
                break
            continue
        if not is_wanted():
            raise Cancelled("whoever sent the recording has left; nothing more is decoded")
        waited_s = time.monotonic() - started_s
        if waited_s > orders.wall_s(num_bytes, heard.seconds()):
            raise InvalidRequest(_too_long(f"{waited_s:.0f} s", num_bytes, heard.seconds()))
    return [json.loads(line) for line in found.splitlines() if line]


class _Heard:
    """How much came out, in all passes: the file grows, and starts again with each pass."""

    def __init__(self, target: BinaryIO) -> None:
        self._number = target.fileno()
        self._last = self._before = 0

    def seconds(self) -> float:
        size = os.fstat(self._number).st_size
        if size < self._last:
            self._before += self._last
        self._last = size
        return (self._before + size) / 2 / SAMPLE_RATE


def _clip(lines: list[dict[str, Any]], num_bytes: int) -> Clip:
    """The answer's clip, or its error, or how the child ended without one."""
    answer = lines[0] if lines else {}
    if "clip" in answer:
        return orders.clip_of(answer["clip"])
    for name, kind in _KINDS.items():
        if name in answer:
            raise kind(answer[name])
    if "OSError" in answer:
        raise OSError(*answer["OSError"])
    if "traceback" in answer:
        raise RuntimeError(f"decoding failed:\n{answer['traceback']}")
    raise (
        _ended(lines[-1], num_bytes)
        if lines
        else Unavailable("the process that decodes recordings was ended; try again")
    )


def _ended(told: dict[str, Any], num_bytes: int) -> Exception:
    """The error to report for a child that ended without an answer."""
    status = told["status"]
    if status == -signal.SIGXCPU:
        return InvalidRequest(_too_long(f"{told['cpu_s']:.0f} s of CPU time", num_bytes, None))
    if status == -signal.SIGKILL:
        return Unavailable(
            "the process that decoded AUDIO was killed, as happens where memory is short; try "
            "again later"
        )
    what = f"signal {-status}" if status < 0 else f"status {status}"
    return InvalidRequest(
        f"AUDIO ended the process that decoded it ({what}, {told['peak_mib']} MiB); "
        f"{orders.CONVERT}"
    )


def _too_long(found: str, num_bytes: int, heard_s: float | None) -> str:
    heard = "" if heard_s is None else f" for {heard_s:.1f} s of sound"
    return (
        f"AUDIO ({num_bytes} bytes) took more than {found} to decode{heard}, at least "
        f"{orders.MIN_SPEED:g} s of sound in each second are wanted; {orders.CONVERT}"
    )
