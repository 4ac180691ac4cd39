"""Runs the calls of one request, some at a time, behind speech; their lines as they come."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from onecard.errors import Cancelled, InvalidRequest, Unavailable
from onecard.llm.generation import Llm
from onecard.llm.tokenizer import Tokenizer
from onecard.minutes import call as one
from onecard.minutes.call import Call
from onecard.python_backend.speech_wait import SpeechWait

POLL_S = 0.05  # how soon the end of speech is noticed
NUM_TRIES = 2  # of a call whose engine fails


class Calls:
    """The calls of one request.

    Attributes:
        made: all of them, in the order in which they began.
        stopped: calls that are to end, because enough was said.
    """

    def __init__(
        self, tokenizer: Tokenizer, llm: Llm, speech: SpeechWait, max_in_flight: int
    ) -> None:
        self._tokenizer = tokenizer
        self._llm = llm
        self._speech = speech
        self._max_in_flight = max_in_flight
        self.made: list[Call] = []
        self.stopped: set[int] = set()

    def lines(self, calls: Sequence[Call]) -> Generator[tuple[Call, str | None] | None, None, None]:
        """A call and its next line, or None at its end; None alone where speech begins or ends.

        Closing the generator stops the engine.

        Raises:
            Cancelled: the caller is gone.
        """
        told: queue.SimpleQueue[tuple[Call, str | None] | BaseException] = queue.SimpleQueue()
        waiting, num_running, is_over = deque(calls), 0, threading.Event()
        with ThreadPoolExecutor(self._max_in_flight) as pool:
            try:
                while waiting or num_running:
                    was_waiting = self._speech.is_waited_for
                    while waiting and num_running < self._max_in_flight:
                        if not self._speech.lets_start():
                            break
                        self.made.append(waiting[0])
                        pool.submit(self._run, waiting.popleft(), told, is_over)
                        num_running += 1
                    if self._speech.is_waited_for != was_waiting:
                        yield None
                    for found in self._heard(told):
                        num_running -= found[1] is None
                        yield found
            finally:
                is_over.set()

    def _heard(
        self, told: queue.SimpleQueue[tuple[Call, str | None] | BaseException]
    ) -> Iterator[tuple[Call, str | None]]:
        """The next thing told; nothing after POLL_S while calls wait for speech."""
        try:
            found = told.get(timeout=POLL_S if self._speech.is_waited_for else None)
        except queue.Empty:
            return
        if isinstance(found, BaseException):
            raise found
        yield found

    def _run(
        self,
        call: Call,
        told: queue.SimpleQueue[tuple[Call, str | None] | BaseException],
        is_over: threading.Event,
    ) -> None:
        """Run one call in a thread of its own; an engine that fails is asked once more."""

        def is_stopped() -> bool:
            return is_over.is_set() or id(call) in self.stopped

        try:
            for _ in range(NUM_TRIES):
                call.problem = None
                try:
                    for line in one.lines(call, self._tokenizer, self._llm, is_stopped):
                        told.put((call, line))
                    break
                except (InvalidRequest, Unavailable, RuntimeError) as error:
                    self._failed(call, error)
            told.put((call, None))
        except BaseException as error:
            told.put(error)

    def _failed(self, call: Call, error: Exception) -> None:
        """What was written stays said: its lines came whole. Raises Cancelled."""

        if isinstance(error, Cancelled):
            raise error
        call.problem = error
        call.written.clear()
