"""kill -9 of a process of the server now and then, and how long until all is well again."""

from __future__ import annotations

import random
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from build_scripts import processes
from build_scripts.server import state
from build_scripts.server.models import supervisor
from build_scripts.server.settings import Settings
from onecard_client import Client, OnecardError

POLL_S = 0.5
MAX_RECOVERY_S = 900.0
# A request that ends so soon after the server is well may still have been cut off by the kill.
AFTERMATH_S = 10.0
TRITON = "triton"


@dataclass
class Kill:
    """One kill.

    Attributes:
        what: the model, or `TRITON`.
        recovered_s: seconds until every model answered again; None where they did not.
    """

    what: str
    at_s: float
    recovered_s: float | None = None


class Killer:
    """Kills a random process every `every_s` seconds, until the block is left.

    Args:
        every_s: from the recovery from one kill to the next; 0 for none.
        from_s: when that begins.
        clock: seconds since the start of the soak.
    """

    def __init__(
        self,
        settings: Settings,
        url: str,
        every_s: float,
        from_s: float,
        rng: random.Random,
        clock: Callable[[], float],
        say: Callable[[str], object],
    ) -> None:
        self.kills: list[Kill] = []
        self._settings, self._url = settings, url
        self._every_s, self._from_s = every_s, from_s
        self._rng, self._clock, self._say = rng, clock, say
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="killer")

    def __enter__(self) -> Killer:
        if self._every_s > 0:
            self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def end(self) -> None:
        """No more kills; the last one is waited for."""
        self._is_over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def has_disturbed(self, began_s: float, ended_s: float) -> bool:
        """Whether a server that was killed was away at any time between the two."""
        return any(
            one.at_s <= ended_s
            and began_s <= one.at_s + (one.recovered_s or MAX_RECOVERY_S) + AFTERMATH_S
            for one in self.kills
        )

    def _run(self) -> None:
        self._is_over.wait(self._from_s)
        while not self._is_over.wait(self._every_s):
            if (victim := self._victim()) is None:
                continue
            what, pid = victim
            kill = Kill(what, self._clock())
            self.kills.append(kill)  # first: from now on requests may be cut off
            processes.kill(pid, signal.SIGKILL)
            self._say(f"killed {what} (pid {pid})")
            kill.recovered_s = self._recovered(what, pid)
            how = f"after {kill.recovered_s:.0f} s" if kill.recovered_s else "NOT"
            self._say(f"{what} is back {how}")

    def _victim(self) -> tuple[str, int] | None:
        server = int(state.state(self._settings).get("server") or 0)
        if not server:
            return None
        stubs = sorted((model, pid) for pid, model in supervisor.stubs(server).items())
        return self._rng.choice([*stubs, (TRITON, server)])

    def _recovered(self, what: str, pid: int) -> float | None:
        """Seconds until every model answers, and another process stands in place of the killed."""
        began_s = time.monotonic()
        with Client(self._url, max_retries=0) as client:
            while time.monotonic() - began_s < MAX_RECOVERY_S:
                time.sleep(POLL_S)
                if self._is_replaced(what, pid) and _is_ready(client):
                    return round(time.monotonic() - began_s, 1)
        return None

    def _is_replaced(self, what: str, pid: int) -> bool:
        found = state.state(self._settings)
        server = int(found.get("server") or 0)
        if not server or server == pid or found.get("phase") != "ready":
            return False
        stubs = supervisor.stubs(server)
        return pid not in stubs and (what == TRITON or what in stubs.values())


def _is_ready(client: Client) -> bool:
    try:
        return client.health().ready
    except OnecardError:
        return False
