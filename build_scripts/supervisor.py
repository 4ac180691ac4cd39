"""Brings a model back whose Python process died; Triton by itself would refuse it for ever.

Since 24.06 Triton's Python backend does not restart a stub process that ended, while the health
endpoint goes on answering 200 (triton-inference-server/server issues #7347 and #8604). This watches
the stubs of one server and reloads the model of a dead one through the model control API. It knows
processes and that API; it knows nothing of what the models do.
"""

from __future__ import annotations

import http.client
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from build_scripts import processes

STUB = "triton_python_backend_stub"
POLL_S = 0.25
MAX_WAIT_S = 30.0  # between attempts to bring back a model that keeps dying


@dataclass(frozen=True)
class ControlApi:
    """Where a model is unloaded and loaded; the header's secret keeps everybody else out."""

    url: str
    header: str
    secret: str

    def reload(self, model: str, timeout_s: float = 300.0) -> None:
        """Unload and load `model`; those that depend on it stay loaded and find it again.

        Raises:
            OSError: the server refused, or did not answer in time.
        """
        for verb in ("unload", "load"):
            request = urllib.request.Request(
                f"{self.url}/v2/repository/models/{model}/{verb}",
                data=json.dumps({"parameters": {"unload_dependents": False}}).encode()
                if verb == "unload"
                else b"{}",
                headers={self.header: self.secret},
            )
            try:
                urllib.request.urlopen(request, timeout=timeout_s).close()
            except urllib.error.HTTPError as error:
                raise OSError(f"{verb} of `{model}`: {error.read().decode()}") from error


def stubs(server_pid: int) -> dict[int, str]:
    """pid -> model of every living Python process of the server."""
    found = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            model = _model(folder, server_pid)
            if model is not None:
                found[int(folder.name)] = model
    return found


def _model(process: Path, server_pid: int) -> str | None:
    """The model that a process serves; None for a process that is no living stub of the server.

    A stub's second argument is `<repository>/<model>/<version>/model.py`. A zombie has none.
    """
    try:
        command = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, ValueError, IndexError):  # it ended while it was being read
        return None
    if parent != server_pid or len(command) < 2 or not command[0].endswith(STUB):
        return None
    return Path(command[1]).parent.parent.name


class Supervisor:
    """Watches one server's stubs from a thread; `stop` before the server is to end."""

    def __init__(self, server_pid: int, api: ControlApi, say: Callable[[str], None]) -> None:
        self._server_pid = server_pid
        self._api = api
        self._say = say
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()

    def _watch(self) -> None:
        known = stubs(self._server_pid)
        failures: dict[str, int] = {}
        while not self._stopping.wait(POLL_S):
            living = stubs(self._server_pid)
            dead = {known[pid] for pid in known.keys() - living.keys()}
            if dead and not processes.is_alive(self._server_pid):
                return  # they went with the server, which is not this thread's to start again
            for model in sorted(dead):
                self._revive(model, failures)
            # The processes that reloading ended are not looked for again.
            known = stubs(self._server_pid) if dead else living

    def _revive(self, model: str, failures: dict[str, int]) -> None:
        """Reload until it works or the server stops, waiting longer after each failure."""
        while not self._stopping.is_set():
            self._say(f"a Python process of `{model}` ended; loading the model again")
            try:
                self._api.reload(model)
            except (OSError, http.client.HTTPException) as error:
                if self._stopping.is_set() or not processes.is_alive(self._server_pid):
                    return
                failures[model] = failures.get(model, 0) + 1
                wait_s = min(2.0 ** failures[model], MAX_WAIT_S)
                self._say(f"`{model}` did not come back ({error}); next attempt in {wait_s:.0f} s")
                self._stopping.wait(wait_s)
            else:
                failures.pop(model, None)
                self._say(f"`{model}` is back")
                return
