"""A process that has FFmpeg loaded and makes a child of itself for each recording.

A decoder that a file keeps busy, or takes over, is ended from outside; the next one is unaffected.
`python -m onecard.audio.decoding.nursery DESCRIPTOR` reads messages from a socket. Each message is
an Order and three descriptors: of the file, of the place for samples, and of a socket for the
answer. The answer is the child's line, then `{"status", "cpu_s", "peak_mib"}` of its end
(wait4(2)). The child is ended when the other side shuts that socket.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import resource
import select
import signal
import socket
import sys
import traceback
from dataclasses import asdict
from typing import Any

from onecard import audio
from onecard.audio.decoding import recording
from onecard.audio.decoding.order import CONVERT, Order, allow, confine
from onecard.audio.pcm import FileSink, Pcm
from onecard.contract.whisper import SAMPLE_RATE
from onecard.errors import InvalidRequest, Unavailable

MAX_ORDER_BYTES = 1 << 16
_PR_SET_PDEATHSIG = 1  # prctl(2)
_FILTERED = 3  # a child's exit status: it had to load the filters
_ALLOW_EACH_S = 20.0  # of sound
_BUFFER = 1 << 18  # bytes of a file read and written at once


class Nursery:
    """Children by process id, and whom to tell of their end."""

    def __init__(self, orders: socket.socket) -> None:
        self._orders = orders
        self._answers: dict[int, socket.socket] = {}
        self._is_filtering = False

    def run(self) -> None:
        """Decode recordings until the other end of the socket is closed."""
        woken, waker = socket.socketpair()
        for end in (woken, waker):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal's, which is for the server
        while True:
            poll = select.poll()
            for end in (self._orders, woken):
                poll.register(end, select.POLLIN)
            for answer in self._answers.values():
                poll.register(answer, select.POLLIN)
            ready = {number for number, _ in poll.poll()}
            if woken.fileno() in ready:
                woken.recv(4096)
                self._reap()
            self._end_unwanted(ready)
            if self._orders.fileno() in ready and not self._take():
                signal.set_wakeup_fd(-1)
                return

    def _take(self) -> bool:
        """Whether there was another order."""
        order, numbers, _, _ = socket.recv_fds(self._orders, MAX_ORDER_BYTES, 3)
        if not order:
            return False
        source, target, number = numbers
        answer = socket.socket(fileno=number)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._orders.close()
            _run_child(Order.from_json(order), source, target, answer)
        for used in (source, target):
            os.close(used)
        self._answers[pid] = answer
        return True

    def _end_unwanted(self, ready: set[int]) -> None:
        """Kill the children whose callers closed their end, on which they send nothing else."""
        for pid, answer in self._answers.items():
            if answer.fileno() in ready:
                os.kill(pid, signal.SIGKILL)  # still a child, dead or alive, until it is reaped

    def _reap(self) -> None:
        while self._answers:
            pid, status, used = os.wait4(-1, os.WNOHANG)
            if pid == 0:
                return
            with self._answers.pop(pid) as answer, contextlib.suppress(OSError):
                told = {
                    "status": os.waitstatus_to_exitcode(status),
                    "cpu_s": used.ru_utime + used.ru_stime,
                    "peak_mib": used.ru_maxrss // 1024,
                }
                answer.sendall(b"\n" + json.dumps(told).encode() + b"\n")
            if os.waitstatus_to_exitcode(status) == _FILTERED and not self._is_filtering:
                import scipy.signal  # noqa: F401 (for the children to come)

                self._is_filtering = True


class _Sink(FileSink):
    """Has more CPU time allowed as sound comes out."""

    def __init__(self, target: Any, num_bytes: int) -> None:
        super().__init__(target)
        self._num_bytes = num_bytes
        self._num_samples = 0
        self._next_s = _ALLOW_EACH_S

    def write(self, block: Pcm) -> None:
        super().write(block)
        self._num_samples += len(block)
        heard_s = self._num_samples / SAMPLE_RATE
        if heard_s >= self._next_s:
            self._next_s = heard_s + _ALLOW_EACH_S
            allow(self._num_bytes, heard_s)


def _run_child(order: Order, source: int, target: int, answer: socket.socket) -> None:
    """Decode, answer, end."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write("1000")  # of all processes of the server, the one to lose
    code = 1
    try:
        answer.sendall(json.dumps(_answer(order, source, target)).encode())
        code = _FILTERED if "scipy.signal" in sys.modules else 0
    finally:
        os._exit(code)


def _answer(order: Order, source: int, target: int) -> dict[str, Any]:
    try:
        with open(source, "rb", _BUFFER) as file, open(target, "wb", _BUFFER) as out:
            num_bytes = os.fstat(source).st_size
            confine(num_bytes, order.limits)
            sink = _Sink(out, num_bytes)
            if order.form is None:
                clip = audio.decode_into(file, order.limits, sink, order.choice, order.wanted)
            else:
                form = order.form
                clip = audio.decode_raw(
                    file, form.encoding, form.sample_rate, form.channels, order.limits, sink,
                    order.wanted,
                )  # fmt: skip
        return {"clip": asdict(clip)}
    except (InvalidRequest, Unavailable) as error:
        return {type(error).__name__: str(error)}
    except MemoryError:
        return {"InvalidRequest": f"AUDIO needs more memory than a recording may have; {CONVERT}"}
    except OSError as error:
        return {"OSError": [error.errno, str(error)]}
    except Exception:
        return {"traceback": traceback.format_exc()}


def main() -> None:
    assert recording  # loaded here, once
    orders = socket.socket(fileno=int(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    gc.freeze()  # pages that no child writes to are shared
    Nursery(orders).run()


if __name__ == "__main__":
    main()
