"""Whether the public models answer, seen by what others' requests and, where there are none, own
small ones become; and the end of processes that hang.

Triton's /v2/health/ready says that models are loaded. It says so, too, while a process of one is
stopped, deadlocked, or busy with one request for ever.
"""

from __future__ import annotations

import contextlib
import http.client
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from build_scripts import processes
from build_scripts.errors import ServerError
from build_scripts.server import api as control
from build_scripts.server.api import Api
from build_scripts.server.models import drain, supervisor
from build_scripts.server.monitoring import canary
from build_scripts.server.monitoring.canary import Canary, Reply

LOOK_S = 2.0
COUNT_S = 5.0  # how often Triton is asked how many requests have ended
# A model that answered somebody so recently is not asked: a busy server is not slowed down. In the
# environment CANARY_S is another number; with 0 nobody is asked.
QUIET_S = 60.0
VARIABLE = "CANARY_S"
# Where something points at a model that hangs, it is asked sooner.
SUSPECT_S = 10.0
AGAIN_S = 2.0  # from a request of ours that failed to the next one
# For requests of a moment's and of a second's work, on a machine that has other work.
TIMEOUTS_S = {"chat": 15.0, "triage": 15.0, "minutes": 15.0, "transcribe_stream": 30.0}
BUSY_SHARE = 0.5  # of a core
# After so many requests in a row without an answer, while nothing worked, processes are ended.
MAX_LATE = 2
# One that works is ended when no request to its model, or to those that it calls, ended for so
# long: a step over six hours of audio takes many minutes without a card.
MAX_BUSY_S = 900.0
# A process that a signal stopped answers nobody. A debugger's hold is another state.
TOLD_STOPPED_S = 5.0
MAX_STOPPED_S = 30.0
MAX_SILENT_S = 120.0  # for which Triton itself may not answer


def quiet_s(environment: Mapping[str, str] = os.environ) -> float:
    """Seconds after which a model that nobody heard of is asked; 0 for never.

    Raises ServerError for what is no such number.
    """
    text = environment.get(VARIABLE) or str(QUIET_S)
    with contextlib.suppress(ValueError):
        if 0 <= float(text) < math.inf:
            return float(text)
    raise ServerError(f"`{VARIABLE}` is `{text}`, wanted a number of seconds, or 0 for never")


class Asked:
    """One public model: when it was last heard of, and how its last requests ended."""

    def __init__(self, name: str, reach: frozenset[str], now_s: float) -> None:
        self.name = name
        self.reach = reach  # it and all models that its requests lead to
        self.heard_s = now_s  # when a request to it was answered last
        self.asked_s: float | None = None  # since when a request of ours is under way
        self.told_s = now_s  # when the last of ours ended
        self.problem = ""  # of our last request; empty where it was answered
        self.num_late = 0  # requests of ours in a row that nobody answered
        self.others_s = now_s  # when Triton last counted a request that need not be ours
        self.num_owed = 0  # failed requests of ours that Triton is still to count as ended
        self.processor_s: dict[int, float] = {}  # pid -> used when ours was made

    def heard(self, now_s: float) -> None:
        self.heard_s, self.problem, self.num_late = now_s, "", 0

    def count(self, num_ended: float, now_s: float) -> None:
        """Triton counts so many more requests as ended; ours that failed are no good sign."""
        num_ours = min(int(num_ended), self.num_owed)
        self.num_owed -= num_ours
        if num_ended > num_ours:
            self.others_s = now_s
            if self.asked_s is None:
                self.heard(now_s)

    def is_due(self, now_s: float, quiet_s: float, is_suspect: bool) -> bool:
        """Whether to ask it now."""
        if self.asked_s is not None:
            return False
        unheard_s, since_s = now_s - self.heard_s, now_s - self.told_s
        if self.problem:
            return since_s >= AGAIN_S
        # Suspicion is seldom right where work is long: asking costs the others a second.
        is_due = is_suspect and unheard_s >= SUSPECT_S and since_s >= quiet_s / 2
        return is_due or min(unheard_s, since_s) >= quiet_s


class Health:
    """Watches one server from a thread; `stop` before the server is to end."""

    def __init__(
        self,
        asking: Canary,
        api: Api,
        configs: Mapping[str, Mapping[str, Any]],
        server_pid: int,
        say: Callable[[str], None],
    ) -> None:
        self._api = api
        self._pid = server_pid
        self._say = say
        self._canary = asking
        self._calls = {model: control.called(config) for model, config in configs.items()}
        self._on_demand = frozenset(control.on_demand(configs))  # not there is no sign of anything
        now_s = time.monotonic()
        self._quiet_s = quiet_s()
        self._asked = {
            name: Asked(name, frozenset(drain.reachable({name}, self._calls)), now_s)
            for name in (canary.asked_for(configs) if self._quiet_s else ())
        }
        self._ended: dict[str, float] = {}  # requests that each model has ended
        self._ended_s = dict.fromkeys(configs, now_s)  # when the last of them did
        self._stopped: dict[int, float] = {}  # pid of a stub -> when it was first seen stopped
        self._working: dict[int, float] = {}  # pid of a stub -> since when it works
        self._processor_s: dict[int, float] = {}  # pid of a stub -> used at the last look
        self._looked_s = now_s
        self._counted_s = self._answered_s = now_s  # Triton was asked, and answered
        self._phase = ("ready", "")
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="health", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ask no more; what is under way is given up."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(10.0)
        self._canary.stop()

    def phase(self) -> tuple[str, str]:
        """`ready`, or `failing` and why."""
        return self._phase

    def _watch(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                self.look(time.monotonic())
            except Exception as error:  # nobody would look any more, and all would seem well
                self._tell(f"whether the models answer cannot be seen ({error!r})")

    def look(self, now_s: float) -> None:
        """See what came of requests, and make those that are due."""
        stubs = supervisor.stubs(self._pid)
        self._end_stopped(stubs, now_s)
        if now_s - self._counted_s >= COUNT_S and not self._count(now_s):
            return
        for reply in self._canary.replies():
            self._note(reply, stubs, now_s)
        suspects = self._suspects(stubs, now_s)
        for asked in self._asked.values():
            timeout_s = TIMEOUTS_S[asked.name]
            if asked.is_due(now_s, self._quiet_s, not suspects.isdisjoint(asked.reach)):
                asked.asked_s, asked.processor_s = now_s, self._used(asked.reach, stubs)
                self._canary.ask(asked.name, timeout_s)
            elif asked.asked_s is not None and now_s - asked.asked_s > 2 * timeout_s:
                asked.asked_s = None  # the process that asks has ended; another one asks again
        problems = [asked.problem for asked in self._asked.values() if asked.problem]
        self._tell("; ".join([*self._held(stubs, now_s), *problems]))

    def _held(self, stubs: Mapping[int, str], now_s: float) -> list[str]:
        """Sentences about processes that are stopped: requests that they get wait indefinitely."""
        return [
            f"a process of `{stubs.get(pid, 'Triton')}` (pid {pid}) is stopped by a signal"
            for pid, since_s in self._stopped.items()
            if now_s - since_s >= TOLD_STOPPED_S
        ]

    def _suspects(self, stubs: Mapping[int, str], now_s: float) -> set[str]:
        """Models with a process that is stopped, or that works without ending any request."""
        used = {pid: processes.processor_s(pid) for pid in stubs}
        elapsed_s = max(now_s - self._looked_s, LOOK_S / 2)
        working = {
            pid
            for pid, seconds in used.items()
            if seconds - self._processor_s.get(pid, seconds) > BUSY_SHARE * elapsed_s
        }
        self._working = {pid: self._working.get(pid, now_s) for pid in working}
        self._processor_s, self._looked_s = used, now_s
        stuck = {
            stubs[pid]
            for pid, since_s in self._working.items()
            if now_s - max(since_s, self._ended_s.get(stubs[pid], 0.0)) >= SUSPECT_S
        }
        return stuck | {stubs[pid] for pid in self._stopped if pid in stubs}

    def _tell(self, why: str) -> None:
        if bool(why) != bool(self._phase[1]):
            self._say(f"not ready: {why}" if why else "ready again: every public model answers")
        self._phase = ("failing", why) if why else ("ready", "")

    def _count(self, now_s: float) -> bool:
        """See of which models requests have ended since the last time; False without an answer."""
        self._counted_s = now_s
        try:
            counts = self._api.ended()
        except (OSError, http.client.HTTPException) as error:
            if not processes.is_alive(self._pid):
                return False  # which is not news for this thread to tell
            silent_s = now_s - self._answered_s
            self._tell(f"Triton does not say how many requests it has ended ({error})")
            if silent_s > MAX_SILENT_S:
                self._kill(self._pid, {}, f"has not answered for {silent_s:.0f} s")
            return False
        self._answered_s = now_s
        for model, count in counts.items():
            num_ended = count - self._ended.get(model, count)
            if num_ended > 0:
                self._ended_s[model] = now_s
                if model in self._asked:
                    self._asked[model].count(num_ended, now_s)
            self._ended[model] = count
        return True

    def _used(self, models: frozenset[str], stubs: Mapping[int, str]) -> dict[int, float]:
        """pid -> processor seconds used so far; a model without a process works in Triton's."""
        pids = [pid for pid, model in stubs.items() if model in models]
        if not (models - self._on_demand).issubset(stubs.values()):
            pids.append(self._pid)
        return {pid: processes.processor_s(pid) for pid in pids}

    def _note(self, reply: Reply, stubs: Mapping[int, str], now_s: float) -> None:
        """Take notice of how a request of ours ended."""
        asked = self._asked[reply.model]
        begun_s, asked.asked_s, asked.told_s = asked.asked_s or now_s, None, now_s
        is_moving = any(
            now_s - self._ended_s.get(model, 0.0) < reply.seconds + 2 * COUNT_S
            for model in asked.reach
        )
        is_others = begun_s < asked.others_s < begun_s + TIMEOUTS_S[asked.name] - COUNT_S
        is_answer = not reply.problem or (reply.is_refused and is_moving)
        if is_others if reply.is_late else is_answer:
            asked.heard(now_s)
            return
        if asked.others_s <= begun_s:  # else it may be ours that was counted
            asked.num_owed += 1
        if not reply.is_late:
            asked.problem = f"`{asked.name}` does not answer as it should: {reply.problem[:300]}"
            return
        at = f" (it had reached `{reply.stage}`)" if reply.stage else ""
        asked.problem = f"`{asked.name}` did not answer a request within {reply.seconds:.0f} s{at}"
        asked.num_late += 1
        if asked.num_late >= MAX_LATE:
            self._end_hung(asked, reply, stubs, now_s)

    def _end_hung(self, asked: Asked, reply: Reply, stubs: Mapping[int, str], now_s: float) -> None:
        """End what keeps `asked` from answering; the supervisor brings it back."""
        used = self._used(asked.reach, stubs)
        share = {
            pid: (seconds - asked.processor_s.get(pid, seconds)) / max(reply.seconds, 1.0)
            for pid, seconds in used.items()
        }
        working = {pid for pid, part in share.items() if part > drain.IDLE_SHARE}
        if working:
            stuck = [pid for pid in working if self._is_stuck(stubs.get(pid), now_s)]
            why = f"has worked for {MAX_BUSY_S:.0f} s without ending a request"
        else:
            stuck = [pid for pid, model in stubs.items() if model == reply.stage]
            if asked.num_late > MAX_LATE or not stuck:  # it was not that one, or nobody knows
                stuck = [self._pid]
            why = "does nothing while requests wait"
        for pid in sorted(stuck):
            self._kill(pid, stubs, f"{why}: {asked.problem}, {asked.num_late} times in a row")

    def _is_stuck(self, model: str | None, now_s: float) -> bool:
        """Whether no request to `model`, or to one that it calls, ended for `MAX_BUSY_S`."""
        if model is None:
            return False  # Triton's own process works for every model
        models = drain.reachable({model}, self._calls)
        return all(now_s - self._ended_s.get(name, now_s) > MAX_BUSY_S for name in models)

    def _end_stopped(self, stubs: Mapping[int, str], now_s: float) -> None:
        self._stopped = {
            pid: self._stopped.get(pid, now_s)
            for pid in (*stubs, self._pid)
            if processes.is_stopped(pid)
        }
        for pid, since_s in self._stopped.items():
            if now_s - since_s > MAX_STOPPED_S:
                self._kill(pid, stubs, f"was stopped by a signal {MAX_STOPPED_S:.0f} s ago")

    def _kill(self, pid: int, stubs: Mapping[int, str], why: str) -> None:
        what = f"a process of `{stubs[pid]}`" if pid in stubs else "Triton"
        self._say(f"ending {what} (pid {pid}), which {why}")
        processes.kill(pid, signal.SIGKILL)
