"""Brings a model back whose Python process died; Triton by itself would refuse it for ever.

Since 24.06 Triton's Python backend does not restart a stub process that ended, while the health
endpoint goes on answering 200 (triton-inference-server/server issues #7347 and #8604). This watches
the stubs of one server and reloads the model of a dead one through the model control API. It knows
processes and that API; it knows nothing of what the models do.
"""

from __future__ import annotations

import http.client
import os
import signal
import threading
from collections.abc import Callable, Collection
from pathlib import Path

from build_scripts import processes
from build_scripts.control import Api

STUB = "triton_python_backend_stub"
POLL_S = 0.25
MAX_WAIT_S = 30.0  # between attempts to bring back a model that keeps dying


def stubs(server_pid: int) -> dict[int, str]:
    """pid -> model of every living Python process of the server."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            model = model_of(int(folder.name), server_pid)
            if model is not None:
                found[int(folder.name)] = model
    return found


def model_of(pid: int, server_pid: int | None = None) -> str | None:
    """The model that a process serves; None for one that is no living stub (of that server).

    A stub's second argument is `<repository>/<model>/<version>/model.py`. A zombie has none.
    """
    process = Path("/proc") / str(pid)
    try:
        command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):  # it ended while it was being read
        return None
    if server_pid not in (None, parent) or len(command) < 2 or not command[0].endswith(STUB):
        return None
    return Path(command[1]).parent.parent.name


class Supervisor:
    """Watches one server's stubs from a thread; `stop` before the server is to end.

    Each model is brought back in a thread of its own, so that one that does not load keeps
    nobody else waiting. Of a decoupled model Triton never ends the responses that were under way
    (seen in 2.51), and their callers would wait for ever: there the server itself is ended, which
    cuts them off, and whoever started it starts it again.
    """

    def __init__(
        self, server_pid: int, api: Api, decoupled: Collection[str], say: Callable[[str], None]
    ) -> None:
        self._server_pid = server_pid
        self._decoupled = decoupled
        self._api = api
        self._say = say
        self._stopping = threading.Event()
        self._reviving: set[str] = set()
        self._done: set[str] = set()  # those of them that are loaded again
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def _watch(self) -> None:
        known = stubs(self._server_pid)
        while not self._stopping.wait(POLL_S):
            done = set(self._done)
            living = stubs(self._server_pid)
            # Reloading ends processes too; those of a model that is being revived are expected.
            dead = {known[pid] for pid in known.keys() - living.keys()} - self._reviving
            dead |= {model for model in done if model not in living.values()}
            self._done -= done
            self._reviving -= done
            if dead and not processes.is_alive(self._server_pid):
                return  # they went with the server, which is not this thread's to start again
            if lost := sorted(dead & set(self._decoupled)):
                self._say(f"the Python process of `{lost[0]}` ended, with streams under way")
                os.kill(self._server_pid, signal.SIGKILL)
                return
            for model in sorted(dead):
                self._reviving.add(model)
                threading.Thread(target=self._revive, args=(model,), daemon=True).start()
            known = living

    def _revive(self, model: str) -> None:
        """Reload until it works or the server stops, waiting longer after each failure."""
        failures = 0
        while not self._stopping.is_set():
            self._say(f"a Python process of `{model}` ended; loading the model again")
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
                self._done.add(model)
                return
