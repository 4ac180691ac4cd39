"""Brings a model back whose Python process died; Triton by itself would refuse it for ever.

Since 24.06 Triton's Python backend does not restart a stub process that ended, while the health
endpoint goes on answering 200 (triton-inference-server/server issues #7347 and #8604). This watches
the stubs of one server and reloads the model of a dead one through the model control API.
"""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from build_scripts import processes
from build_scripts.server.api import Api

STUB = "triton_python_backend_stub"
POLL_S = 0.25  # while a model is loaded, and where the kernel does not tell of a death
LOOK_S = 5.0  # else: a look at all processes of the machine takes ten milliseconds
MAX_WAIT_S = 30.0  # between attempts to bring back a model that keeps dying
# A model that was unloaded lives on for a request that its dead process had (seen in 2.51), and so
# do its other processes. One that uses hardly any of a processor for so long is ended: its sign
# of life every 0.3 s takes a hundredth of what even waiting for another process takes.
IDLE_S = 30.0
IDLE_PROCESSOR_S = 0.02


def stubs(server_pid: int) -> dict[int, str]:
    """pid -> model of every living Python process of the server."""
    models = {pid: model_of(pid) for pid in processes.children(server_pid)}
    return {pid: model for pid, model in models.items() if model is not None}


def model_of(pid: int) -> str | None:
    """The model that a process serves; None for one that is no living stub.

    A stub's second argument is `<repository>/<model>/<version>/model.py`. A zombie has none.
    """
    command = processes.arguments(pid)
    if len(command) < 2 or not command[0].endswith(STUB):
        return None
    return Path(command[1]).parent.parent.name


class Supervisor:
    """Watches one server's stubs from a thread; `stop` before the server is to end.

    Each model is brought back in a thread of its own, so that one that does not load keeps
    nobody else waiting. Of a decoupled model Triton never ends the responses that were under way
    (seen in 2.51), and their callers would wait for ever: there the server itself is ended, which
    cuts them off, and whoever started it starts it again.

    Args:
        on_demand: models that come and go, which who needs them has loaded again.
    """

    def __init__(
        self,
        server_pid: int,
        api: Api,
        decoupled: Collection[str],
        say: Callable[[str], None],
        on_demand: Collection[str] = (),
    ) -> None:
        self._server_pid = server_pid
        self._api = api
        self._say = say
        self._on_demand = frozenset(on_demand)
        self._deaths = Deaths(decoupled)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def _watch(self) -> None:
        living = self._stubs()
        self._deaths.look(living)
        while not self._is_stopped_after_a_death(living):
            living = self._stubs()
            dead = self._deaths.look(living)
            if dead and not processes.is_alive(self._server_pid):
                return  # they went with the server, which is not this thread's to start again
            if lost := self._deaths.beyond_reload(dead):
                self._say(f"the Python process of `{lost[0]}` ended, with streams under way")
                os.kill(self._server_pid, signal.SIGKILL)
                return
            for model in dead:
                threading.Thread(target=self._revive, args=(model,), daemon=True).start()

    def _stubs(self) -> dict[int, str]:
        found = stubs(self._server_pid)
        return {pid: model for pid, model in found.items() if model not in self._on_demand}

    def _is_stopped_after_a_death(self, living: Collection[int]) -> bool:
        """Whether to end; waits until one of the living has ended, or it is time for a look."""
        if self._deaths.is_reloading():  # what has just been started may end at once
            return self._stopping.wait(POLL_S)
        try:
            processes.until_one_ends(living, LOOK_S)
        except OSError:
            return self._stopping.wait(POLL_S)
        return self._stopping.is_set()

    def _revive(self, model: str) -> None:
        """Reload until it works or the server stops, waiting longer after each failure."""
        failures = 0
        while not self._stopping.is_set():
            self._say(f"a Python process of `{model}` ended; loading the model again")
            self._deaths.begin_reload(model, stubs(self._server_pid))
            try:
                self._api.reload(model)
            except (OSError, http.client.HTTPException) as error:
                if self._stopping.is_set() or not processes.is_alive(self._server_pid):
                    return
                failures += 1
                wait_s = min(2.0**failures, MAX_WAIT_S)
                self._say(f"`{model}` did not come back ({error}); next attempt in {wait_s:.0f} s")
                self._stopping.wait(wait_s)
            else:
                self._say(f"`{model}` is back")
                self._deaths.end_reload(model)
                self._end_unloaded(model)
                return

    def _end_unloaded(self, model: str) -> None:
        """End the processes of an earlier load of `model` when they no longer work."""
        used: dict[int, float] = {}
        while left := self._deaths.unloaded(model):
            now = {pid: processes.processor_s(pid) for pid in left}
            for pid in left:
                if pid in used and now[pid] - used[pid] < IDLE_PROCESSOR_S:
                    self._say(f"ending a process of `{model}` (pid {pid}), which was unloaded")
                    processes.kill(pid, signal.SIGKILL)
            used = now
            if self._stopping.wait(IDLE_S):
                return


class Deaths:
    """Tells the processes that died from those that a reload ends; may be used by threads.

    A model's unloading is answered before all its processes have ended: those that lived when its
    reload began are expected to end, however long that takes.
    """

    def __init__(self, decoupled: Collection[str]) -> None:
        self._decoupled = frozenset(decoupled)
        self._lock = threading.Lock()
        self._known: Mapping[int, str] = {}
        self._expected: set[int] = set()
        self._reloading: set[str] = set()
        self._lost: set[str] = set()  # models that lost a process of the reload that is under way

    def look(self, living: Mapping[int, str]) -> list[str]:
        """The models to load again, given the pid -> model of every living process."""
        with self._lock:
            gone = self._known.keys() - living.keys()
            self._lost |= {self._known[pid] for pid in gone - self._expected}
            self._expected -= gone  # the kernel may give the number to another
            self._known = living
            dead = self._lost - self._reloading
            self._lost -= dead
            self._reloading |= dead
            return sorted(dead)

    def beyond_reload(self, models: Collection[str]) -> list[str]:
        """The models whose callers a reload would leave waiting."""
        return sorted(self._decoupled.intersection(models))

    def is_reloading(self) -> bool:
        with self._lock:
            return bool(self._reloading)

    def begin_reload(self, model: str, living: Mapping[int, str]) -> None:
        """The processes of `model` that live now are going to end."""
        with self._lock:
            self._lost.discard(model)
            self._expected |= {pid for pid, name in living.items() if name == model}

    def unloaded(self, model: str) -> list[int]:
        """The living processes of `model` that a reload should have ended."""
        with self._lock:
            return [pid for pid in self._expected if self._known.get(pid) == model]

    def end_reload(self, model: str) -> None:
        """`model` is loaded; from now on the death of one of its processes is news."""
        with self._lock:
            self._reloading.discard(model)
