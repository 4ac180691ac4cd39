"""Ends the models of a Triton one after the other, each when its requests in flight are answered.

Unloading a model waits for its requests, and for some of them for ever. Triton 2.51 can count a
request as running where an ensemble's step answers an error after the caller cancelled, and where a
caller leaves its stream between an error and the end that follows at once. A request whose caller
does not read counts, too, until its answer is sent. Such a request cannot be told from a running
one by asking Triton. But while a request really runs, a model that it leads to has work, or their
own process. So models are waited for until they end, or until none has done anything for `QUIET_S`:
no request waits for them and their processes use no processor time. A step that only sleeps for
longer than that would be cut off; none here does.
"""

from __future__ import annotations

import http.client
import threading
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any

from build_scripts import processes
from build_scripts.server import api as control
from build_scripts.server.api import Api
from build_scripts.server.models import supervisor

POLL_S = 0.1
QUIET_S = 5.0
# Share of one core that idle processes stay below (polling, metrics) and working ones do not.
IDLE_SHARE = 0.05


class Drain:
    """One drain of one server, whose models have the configurations `configs`."""

    def __init__(
        self, api: Api, server_pid: int, configs: Mapping[str, Mapping[str, Any]], timeout_s: float
    ) -> None:
        self._api = api
        self._timeout_s = timeout_s
        self._calls = {model: control.called(config) for model, config in configs.items()}
        working = {model for model, config in configs.items() if not control.is_ensemble(config)}
        self._watch = Quiet(server_pid, {*working, *control.on_demand(configs)}, api)

    def run(self, say: Callable[[str], None], is_hurried: Callable[[], bool]) -> None:
        """Unload callers before what they call; each waits for its requests in flight.

        Returns early once `is_hurried`, after `timeout_s`, or when the server does not answer.
        """
        deadline_s = time.monotonic() + self._timeout_s
        leaked: set[str] = set()
        try:
            for wave in control.waves(self._calls):
                failures = self._unload(wave)
                while (left := self._unloading(wave)) and not is_hurried() and not failures:
                    if time.monotonic() > deadline_s:
                        say(f"gave up on requests in flight in {', '.join(left)}")
                        return
                    if self._watch.is_quiet():
                        leaked |= self._first(left)
                        break
                    time.sleep(POLL_S)
                if failures and not is_hurried():
                    say(f"warning: draining failed ({failures[0]})")
                    return
        except (OSError, http.client.HTTPException) as error:
            say(f"warning: the server did not answer while draining ({error})")
        if leaked:
            names = ", ".join(f"`{model}`" for model in sorted(leaked))
            say(
                f"Triton counts requests of {names} as running on which nothing works: cancelled, "
                "or with an answer that is not read"
            )

    def _first(self, models: Collection[str]) -> set[str]:
        """The models that call others; all of them if none does."""
        return {model for model in models if self._calls.get(model)} or set(models)

    def _unload(self, wave: list[str]) -> list[OSError]:
        """Begin to unload every model of `wave`; failures appear in what is returned."""
        failures: list[OSError] = []

        def unload(model: str) -> None:
            try:
                self._api.unload(model, timeout_s=self._timeout_s)
            except OSError as error:
                failures.append(error)
            except http.client.HTTPException:  # the server ended while it was answering
                pass

        for model in wave:  # side by side, for each returns only when its processes have ended
            threading.Thread(target=unload, args=(model,), daemon=True).start()
        return failures

    def _unloading(self, wave: list[str]) -> list[str]:
        states = self._api.states()
        return [model for model in wave if states.get(model) in ("READY", "UNLOADING")]


class Quiet:
    """Measures for how long some models have done nothing, seen from outside them.

    A model without a process of its own (a C++ backend's) works in the server's.
    """

    def __init__(self, server_pid: int, models: Collection[str], api: Api) -> None:
        self._server_pid = server_pid
        self._models = frozenset(models)
        self._api = api
        stubs = supervisor.stubs(server_pid)
        self._uses_server = not self._models.issubset(stubs.values())
        self._since_s = self._looked_s = time.monotonic()
        self._used_s = self._processor_s()

    def is_quiet(self) -> bool:
        """Whether nothing was done for `QUIET_S` before this call. Call it often."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= QUIET_S / 10:  # long enough for a tick of the clock to be idle
            used_s = self._processor_s()
            busy_s = sum(
                seconds - self._used_s.get(pid, seconds) for pid, seconds in used_s.items()
            )
            if busy_s > IDLE_SHARE * (now_s - self._looked_s) or self._has_pending():
                self._since_s = now_s
            self._used_s, self._looked_s = used_s, now_s
        return now_s - self._since_s >= QUIET_S

    def _processor_s(self) -> dict[int, float]:
        """pid -> processor seconds used so far."""
        stubs = supervisor.stubs(self._server_pid)
        pids = [pid for pid, model in stubs.items() if model in self._models]
        if self._uses_server:
            pids.append(self._server_pid)
        return {pid: processes.processor_s(pid) for pid in pids}

    def _has_pending(self) -> bool:
        pending = self._api.pending()
        return any(pending.get(model, 0) > 0 for model in self._models)


def reachable(models: Collection[str], calls: Mapping[str, set[str]]) -> set[str]:
    """`models` and all that their requests lead to."""
    found: set[str] = set()
    left = set(models)
    while left:
        found |= left
        left = set().union(*(calls.get(model, set()) for model in left)) - found
    return found
