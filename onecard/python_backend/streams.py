"""Requests that are answered as streams of events: who runs, who waits, and who is gone.

`onecard.python_backend.backend` hands in Triton's requests as callers.
"""

from __future__ import annotations

import contextlib
import faulthandler
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Protocol, TypeVar

from onecard.errors import Cancelled, Unavailable
from onecard.metrics.record import Origin
from onecard.metrics.traffic import Traffic, Visit

Event = Mapping[str, Any]
E = TypeVar("E", bound=Mapping[str, Any])

POLL_S = 0.05  # how soon a caller that went away is noticed
# With several decoupled calls at a time Triton 2.51 can, rarely, lock up a whole Python process: a
# new call, a response and a reader wait for each other and for Python's lock (pb_stub.cc and
# pb_response_iterator.cc: `GetResponseIterator`, `EnqueueResponse`, `Next`). Such a process ends
# after this time, and is started again like any other that ended.
HUNG_S = 60.0
# A rank is worth this much waiting. Without a bound a few callers of the highest rank would keep
# all others out indefinitely.
RANK_S = 10.0


class Caller(Protocol):
    """The sender of a request. After `end` none of its methods are called."""

    timeout_s: float | None  # what the caller allows for the whole answer
    origin: Origin

    def is_gone(self) -> bool: ...
    def send(self, event: Event) -> None: ...
    def end(self, error: Exception | None) -> None: ...


def whole(
    events: Generator[E, None, None], join: Callable[[Iterator[E]], E]
) -> Generator[E, None, None]:
    """Yield one event that `join` makes of all events; closing this closes `events`."""
    with contextlib.closing(events):
        yield join(events)


class Stream:
    """One request; what answers it is handed this, to be ended with it.

    Args:
        answer: makes the events; its generator is closed in every case.

    Attributes:
        visit: counts what is done for it, where somebody counts.
    """

    def __init__(
        self, caller: Caller, answer: Callable[[Stream], Generator[Event, None, None]]
    ) -> None:
        self._caller = caller
        self.origin = caller.origin
        self._answer = answer
        self._deadline = None if caller.timeout_s is None else time.monotonic() + caller.timeout_s
        self._lock = threading.Lock()
        self._has_ended = False
        self._reason: str | None = None  # why it is cancelled
        self._stops: list[Callable[[], None]] = []
        self.visit: Visit = Traffic().accept()

    @property
    def is_cancelled(self) -> bool:
        return self._reason is not None

    def check(self) -> None:
        """Raises Cancelled when nobody waits for the answer any more."""
        if self._reason is not None:
            raise Cancelled(self._reason)

    @contextlib.contextmanager
    def stopping(self, stop: Callable[[], None]) -> Iterator[None]:
        """Call `stop` repeatedly when the stream is cancelled while this context is open.

        It is repeated because the first call may come before there is anything to stop. `stop` runs
        in another thread.
        """
        with self._lock:
            self.check()
            self._stops.append(stop)
        try:
            yield
        finally:
            with self._lock:
                self._stops.remove(stop)

    def poll(self) -> None:
        """Cancel the stream if its caller has gone or its time has passed."""
        with self._lock:  # its caller must not be asked once it was told the end
            if self._has_ended or self._reason is not None:
                return
            if self._caller.is_gone():
                self._reason = "the caller cancelled the request"
            elif self._deadline is not None and time.monotonic() > self._deadline:
                self._reason = (
                    f"the request's timeout of {self._caller.timeout_s} s has passed; allow more "
                    "time, or try again when less is going on"
                )
            if self._reason is None or not self._stops:
                return
        threading.Thread(target=self._stop, daemon=True).start()

    def _stop(self) -> None:
        while True:
            with self._lock:
                stops = list(self._stops)
            if not stops:
                return
            for stop in stops:
                with contextlib.suppress(Exception):  # the next time may do, and what is being
                    stop()  # stopped reports its own errors
            time.sleep(POLL_S)

    def run(self) -> Exception | None:
        """Send every event; the error that ended them, if one did."""
        try:
            self.check()
            with contextlib.closing(self._answer(self)) as events:
                for event in events:
                    self._caller.send(event)
        except Exception as error:
            return error
        return None

    def end(self, error: Exception | None) -> None:
        with self._lock:
            self._has_ended = True
        self.visit.end(error)
        self._caller.end(error)


class Streams:
    """Runs streams, each in a thread of its own.

    Args:
        what: what one stream is, in the plural, for the message to those that are refused.
        max_running: at a time; of the others, `max_waiting` wait for their turn.
        clock: in seconds, never set back.
        traffic: counts the streams; it is closed with them.
    """

    def __init__(
        self,
        what: str,
        max_running: int,
        max_waiting: int = 0,
        clock: Callable[[], float] = time.monotonic,
        traffic: Traffic | None = None,
    ) -> None:
        self.traffic = traffic or Traffic()
        self._what = what
        self._max_running = max_running
        self._max_waiting = max_waiting
        self._changed = threading.Condition()
        self._running: list[Stream] = []
        self._clock = clock
        self._waiting: list[tuple[float, Stream]] = []
        self._threads: set[threading.Thread] = set()
        self._is_closed = False
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()

    def add(self, stream: Stream, rank: int = 0) -> None:
        """Start `stream`, or let it wait behind those of the same and of lower `rank`.

        One of a rank lower by one goes first where it came RANK_S earlier.
        """
        stream.visit = self.traffic.accept(stream.origin)
        with self._changed:
            if len(self._running) < self._max_running:
                error = self._start(stream)
                if error is None:
                    return
            elif len(self._waiting) < self._max_waiting:
                stream.visit.hold()
                self._waiting.append((self._clock() + rank * RANK_S, stream))
                self._waiting.sort(key=lambda waiting: waiting[0])  # stable: first come, first
                return
            else:
                error = self._refusal()
        stream.end(error)

    def close(self) -> None:
        """Wait until all streams have ended, those that wait included."""
        with self._changed:
            while self._running or self._waiting:
                self._changed.wait()
            self._is_closed = True
            self._changed.notify_all()
            threads = [*self._threads, self._watcher]
        for thread in threads:
            thread.join()
        self.traffic.close()

    def _refusal(self) -> Unavailable:
        waiting = f" and {self._max_waiting} wait" if self._max_waiting else ""
        return Unavailable(
            f"{self._max_running} {self._what} are running{waiting}, which is the limit; try "
            "again later"
        )

    def _start(self, stream: Stream) -> Exception | None:
        """Run `stream`; why not, if it cannot be."""
        thread = threading.Thread(target=self._run, args=(stream,))
        self._running.append(stream)
        self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError as error:  # the operating system has no more of them
            self._running.remove(stream)
            self._threads.discard(thread)
            return Unavailable(f"no thread could be had for the request ({error}); try again later")
        self._changed.notify_all()
        return None

    def _run(self, stream: Stream) -> None:
        """Run `stream` and end it in every case, or its caller would wait indefinitely."""
        error: Exception | None = RuntimeError("the stream's thread ended early")
        try:
            error = stream.run()
        finally:
            with self._changed:  # first: a caller that has its answer may ask again at once
                self._running.remove(stream)
                unlucky = self._start_next()
                self._changed.notify_all()
            for other, why in unlucky:
                other.end(why)
            stream.end(error)
            with self._changed:
                self._threads.discard(threading.current_thread())

    def _start_next(self) -> list[tuple[Stream, Exception]]:
        """Start one that waits; those that could not be started, to be ended, and why."""
        unlucky = []
        while self._waiting:
            _, stream = self._waiting.pop(0)
            stream.visit.release()
            error = self._start(stream)
            if error is None:
                break
            unlucky.append((stream, error))
        return unlucky

    def _watch(self) -> None:
        try:
            while self._is_busy():
                faulthandler.dump_traceback_later(HUNG_S, exit=True, file=2)
                self._poll()
                self._dismiss()
                time.sleep(POLL_S)
        finally:  # or the process, which may live on, would be ended when nobody is watching
            faulthandler.cancel_dump_traceback_later()

    def _is_busy(self) -> bool:
        """Wait until something runs; False when nothing will any more."""
        with self._changed:
            while not self._running and not self._is_closed:
                faulthandler.cancel_dump_traceback_later()
                self._changed.wait()
            return not self._is_closed

    def _poll(self) -> None:
        """A method of its own, so that nobody is held on to while nothing runs."""
        with self._changed:
            streams = [*self._running, *(stream for _, stream in self._waiting)]
        for stream in streams:
            with contextlib.suppress(Exception):  # of one caller; the others are watched on
                stream.poll()

    def _dismiss(self) -> None:
        """End waiting streams whose caller has gone."""
        with self._changed:
            gone = [waiting for waiting in self._waiting if waiting[1].is_cancelled]
            for waiting in gone:
                self._waiting.remove(waiting)
            self._changed.notify_all()
        for _, stream in gone:
            stream.end(stream.run())
