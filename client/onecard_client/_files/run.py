"""One run over many recordings: several under way at a time, at one server or several."""

from __future__ import annotations

import errno
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import partial

from onecard_client._errors import Cancelled, ConnectionFailed, OnecardError, Unavailable
from onecard_client._files.estimate import Estimate
from onecard_client._files.failures import Failures
from onecard_client._files.journal import Journal
from onecard_client._files.progress import State
from onecard_client._files.recording import Recording, reason
from onecard_client._files.report import Report
from onecard_client._files.servers import Server, Servers, Task
from onecard_client._files.targets import identity
from onecard_client._files.transcription import Done, Settings, transcribe
from onecard_client._transport.interrupt import held_back
from onecard_client._transport.retry import MAX_CONNECTION_RETRIES, is_nobody
from onecard_client.events import Progress

TICK_S = 0.2
# Every other recording would fail as well, after all the work.
_FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC))
# How long threads get to notice that their calls are cancelled.
_PARTING_S = 3.0
# The stage that takes longest, and is counted in pieces that take equally long.
_STAGE = "recognize"

Message = Callable[[], None]


@dataclass
class _Tries:
    """What was tried with a recording at several servers.

    Attributes:
        num_broken: how often the connection broke amid its transcription.
    """

    began_s: float
    num_broken: int = 0


class Run:
    """Recordings that wait, are under way, are done, or failed.

    Threads transcribe and write results. All else happens in the thread that calls `run`, to which
    they send messages.

    Args:
        more: called now and then for recordings that have come; None where none will.

    Attributes:
        untried: recordings that nobody took, as no server was there.
    """

    def __init__(
        self,
        servers: Servers,
        settings: Settings,
        report: Report,
        *,
        journal: Journal | None = None,
        failures: Failures | None = None,
        more: Callable[[], Iterable[Recording]] | None = None,
    ) -> None:
        self._servers = servers
        self._settings = settings
        self._report = report
        self._journal = journal
        self._failures = failures
        self._more = more
        self._waiting: deque[Recording] = deque()
        self._suspects: deque[Recording] = deque()  # under way while servers went down
        self._messages: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._threads: set[threading.Thread] = set()
        self._known: set[tuple[str, int, int]] = (
            set()
        )  # that wait or are under way, each as it was found
        self._tries: dict[str, _Tries] = {}
        self._estimate = Estimate()
        self._num_done = 0
        self._num_failed = 0
        self._num_all = 0
        self._down_since_s: float | None = None
        self._is_over = False
        self.untried: list[Recording] = []

    def run(self, recordings: Iterable[Recording]) -> None:
        """Does all recordings, or as many as servers are there for.

        Raises:
            OSError: the journal or the file of failures cannot be written.
            KeyboardInterrupt, Terminated: after the calls under way are cancelled.
        """
        self._add(recordings)
        try:
            while not self._is_over:
                self._look_for_more()
                self._send()
                if not (self._waiting or self._suspects or self._servers.tasks or self._more):
                    return
                self._handle_messages()
                self._ask_lost_servers()
                self._report.progress(self._state())
            self._give_up()
        except BaseException:
            self._report.clear()
            self._cancel()
            raise

    @property
    def num_done(self) -> int:
        return self._num_done

    def _add(self, recordings: Iterable[Recording]) -> None:
        """The longest first where several are under way, so that none is left alone at the end."""
        new = {_state(one): one for one in recordings if _state(one) not in self._known}
        self._known |= set(new)
        added = list(new.values())
        if self._servers.num_jobs > 1:
            added.sort(key=self._estimate.seconds, reverse=True)
        self._waiting.extend(added)
        self._num_all += len(added)

    def _look_for_more(self) -> None:
        if self._more is not None:
            self._add(self._more())

    def _send(self) -> None:
        if any(task.is_alone for task in self._servers.tasks):
            return
        while self._waiting and (server := self._servers.free()) is not None:
            self._send_to(server, self._waiting.popleft(), is_alone=False)
        is_idle = not (self._waiting or self._servers.tasks)
        if self._suspects and is_idle and (server := self._servers.free()) is not None:
            self._send_to(server, self._suspects.popleft(), is_alone=True)

    def _send_to(self, server: Server, recording: Recording, *, is_alone: bool) -> None:
        task = Task(recording, server, self._estimate.seconds(recording), is_alone=is_alone)
        tries = self._tries.setdefault(recording.file, _Tries(time.monotonic()))
        server.tasks.append(task)
        self._start(partial(self._transcribe, task, tries))

    def _start(self, work: Callable[[], None]) -> None:
        self._threads = {thread for thread in self._threads if thread.is_alive()}
        thread = threading.Thread(target=work, daemon=True)
        self._threads.add(thread)
        with held_back():
            thread.start()

    # in threads

    def _transcribe(self, task: Task, tries: _Tries) -> None:
        def follow(progress: Progress) -> None:
            if progress.stage == _STAGE and progress.total > 0:
                task.share = min(1.0, progress.done / progress.total)

        settings = self._settings
        if settings.timeout_s is not None:
            spent_s = time.monotonic() - tries.began_s
            settings = replace(settings, timeout_s=max(0.001, settings.timeout_s - spent_s))
        try:
            done = transcribe(task.server.client, task.recording, settings, follow, self.say)
        except (OnecardError, OSError) as error:
            self._messages.put(partial(self._failed, task, error))
        except Exception as error:
            self._messages.put(partial(self._broken, task, error))
        else:
            self._messages.put(partial(self._done, task, done))

    def _ask(self, server: Server) -> None:
        try:
            is_there = server.client.health().live
        except (OnecardError, ValueError, RuntimeError):  # the latter where all has ended meanwhile
            is_there = False
        self._messages.put(partial(self._answered, server, is_there))

    def say(self, text: str) -> None:
        """A note from a thread."""
        self._messages.put(partial(self._report.note, text))

    # messages

    def _handle_messages(self) -> None:
        """All that have come; waits for the first one a little."""
        try:
            message = self._messages.get(timeout=TICK_S)
            while True:
                with held_back():  # a result and its line in the journal belong together
                    message()
                message = self._messages.get_nowait()
        except queue.Empty:
            return

    def _done(self, task: Task, done: Done) -> None:
        task.server.tasks.remove(task)
        task.server.is_well()
        self._down_since_s = None
        self._num_done += 1
        self._known.discard(_state(task.recording))
        self._tries.pop(task.recording.file, None)
        self._estimate.learn(done)
        if self._journal is not None:
            self._journal.add(done)
        if self._failures is not None:
            self._failures.done(done.recording)
        self._report.done(done, task.server.url)

    def _failed(self, task: Task, error: Exception) -> None:
        task.server.tasks.remove(task)
        if isinstance(error, OSError) and error.errno in _FULL:
            raise error
        has_others = len(self._servers.all) > 1 or self._more is not None
        if isinstance(error, Unavailable | Cancelled) and has_others:  # the latter where one ends
            self._elsewhere(task, error)
            return
        self._give_up_on(task, error)
        if isinstance(error, ConnectionFailed):
            self._start(partial(self._ask, task.server))
            task.server.is_asked = True
            task.server.is_up = False

    def _elsewhere(self, task: Task, error: OnecardError) -> None:
        """The recording goes to another server, unless it was the one that brought them down."""
        server = task.server
        tries = self._tries.setdefault(task.recording.file, _Tries(time.monotonic()))
        if isinstance(error, ConnectionFailed | Cancelled):
            if server.is_up:
                server.is_up = False
                said = f"{server.url}: {error}; its recordings go to whoever is there"
                self._report.note(said)
            tries.num_broken += not is_nobody(error)
        server.rest()
        timeout_s = self._settings.timeout_s
        if self._more is not None:  # somebody may start a server tomorrow
            tries.began_s = time.monotonic()
        is_late = timeout_s is not None and time.monotonic() - tries.began_s >= timeout_s
        if tries.num_broken > MAX_CONNECTION_RETRIES or is_late:
            self._give_up_on(task, error)
        elif task.is_alone:
            self._suspects.appendleft(task.recording)
        else:
            self._waiting.appendleft(task.recording)

    def _give_up_on(self, task: Task, error: Exception) -> None:
        """It failed; or is tried alone, where another one may have broken its connection."""
        recording = task.recording
        self._tries.pop(recording.file, None)
        is_broken = isinstance(error, ConnectionFailed) and not is_nobody(error)
        if is_broken and not task.is_alone and self._servers.num_jobs > 1:
            self._suspects.append(recording)
            return
        self._known.discard(_state(recording))
        self._num_failed += 1
        text, kind = reason(error, recording.file), type(error).__name__
        self._report.fail(recording.file, text, kind)
        if self._failures is not None:
            self._failures.add(recording, text, kind)

    def _broken(self, task: Task, error: Exception) -> None:
        """An error of this program."""
        task.server.tasks.remove(task)
        raise error

    def _answered(self, server: Server, is_there: bool) -> None:
        server.is_asked = False
        if is_there:
            server.is_up = True
            self._down_since_s = None
        elif len(self._servers.all) == 1:
            self._is_over = self._more is None  # its client has waited for it already
            server.rest()
        else:
            server.rest()

    def _ask_lost_servers(self) -> None:
        if self._servers.are_all_down():
            now_s = time.monotonic()
            if self._down_since_s is None and len(self._servers.all) > 1:
                self._report.note(
                    "no server is left; waiting for one for as long as --timeout-s allows"
                )
            self._down_since_s = self._down_since_s or now_s
            timeout_s = self._settings.timeout_s
            is_long = timeout_s is not None and now_s - self._down_since_s >= timeout_s
            self._is_over = self._is_over or (is_long and self._more is None)
        for server in self._servers.to_ask():
            server.is_asked = True
            self._start(partial(self._ask, server))

    # ends

    def _give_up(self) -> None:
        under_way = [task.recording for task in self._servers.tasks]
        self.untried = [*under_way, *self._waiting, *self._suspects]
        self._cancel()

    def _cancel(self) -> None:
        """Ends the calls under way, and notes what was done by then."""
        for server in self._servers.all:
            server.client.close()
        deadline_s = time.monotonic() + _PARTING_S
        for thread in self._threads:
            thread.join(max(0.0, deadline_s - time.monotonic()))
        while not self._messages.empty():
            message = self._messages.get()
            if isinstance(message, partial) and message.func == self._done and self._journal:
                self._journal.add(message.args[1])

    def _state(self) -> State:
        left_s = self._estimate.total_s([*self._waiting, *self._suspects])
        under_way_s = 0.0
        for task in self._servers.tasks:
            whole_s = self._estimate.seconds(task.recording)
            left_s += whole_s * (1.0 - task.share)
            under_way_s += whole_s * task.share
        is_sure = self._estimate.is_sure
        return State(
            done=self._num_done,
            failed=self._num_failed,
            total=None if self._more else self._num_all,
            audio_s=self._estimate.done_s + (under_way_s if is_sure else 0.0),
            left_s=left_s if is_sure else None,
            speed=self._estimate.speed(),
        )


def _state(recording: Recording) -> tuple[str, int, int]:
    """The same for one file under all its names, until it changes."""
    return identity(recording.file), recording.num_bytes, recording.changed_ns
