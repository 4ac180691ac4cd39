"""The callers of a soak: each asks one thing after the other, by chance that a seed decides."""

from __future__ import annotations

import itertools
import random
import threading
import time
import traceback
from collections.abc import Callable

from bench.soak import account as ending
from bench.soak.account import Account
from bench.soak.kinds import BAD_INPUT, Kinds
from onecard_client import Client

PATIENCE_S = 120.0  # beyond the time that a call itself allows
MAX_WHY = 400  # letters


class Callers:
    """Callers until their time is over, or `stop`.

    Args:
        disturbed: whether a kill came between two times of the account.
    """

    def __init__(
        self,
        url: str,
        kinds: Kinds,
        account: Account,
        seed: int,
        disturbed: Callable[[float, float], bool] = lambda began_s, ended_s: False,
    ) -> None:
        self._url, self._kinds, self._account = url, kinds.all(), account
        self._seed, self._disturbed = seed, disturbed
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._is_stopping = threading.Event()
        self._is_over = threading.Event()
        self._clients: list[Client] = []
        self._threads: list[threading.Thread] = []

    def start(self, num_callers: int) -> None:
        for number in range(num_callers):
            thread = threading.Thread(target=self._work, name=f"caller {number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def end(self, limit_s: float) -> None:
        """Let what is under way end, for so long; what has not ended then never will."""
        self._is_over.set()
        self._join(limit_s)
        self._account.give_up()

    def stop(self) -> None:
        """Break off what is under way, which is then dropped by us."""
        self._is_stopping.set()
        self._is_over.set()
        with self._lock:
            clients = list(self._clients)
        for client in clients:
            client.close()
        self._join(PATIENCE_S)
        self._account.give_up()

    def _join(self, limit_s: float) -> None:
        until_s = time.monotonic() + limit_s
        for thread in self._threads:
            thread.join(max(0.0, until_s - time.monotonic()))

    def _work(self) -> None:
        with Client(self._url) as client:
            with self._lock:
                self._clients.append(client)
            while not self._is_over.is_set():
                with self._lock:
                    number = next(self._numbers)
                self._ask(client, number)

    def _ask(self, client: Client, number: int) -> None:
        """One request, whose kind and content its number decides."""
        rng = random.Random(f"{self._seed}:{number}")
        weights = [weight for _, weight in self._kinds.values()]
        (kind,) = rng.choices(list(self._kinds), weights)
        self._account.begin(number, kind)
        began_s = self._account.now_s()
        error: BaseException | None = None
        difference = None
        try:
            difference = self._kinds[kind][0](client, rng)
        except Exception as failure:
            error = failure
        judge = ending.verdict_of_bad if kind == BAD_INPUT else ending.verdict
        found = judge(
            error,
            is_disturbed=self._disturbed(began_s, self._account.now_s()),
            is_stopping=self._is_stopping.is_set(),
        )
        self._account.end(number, found, _why(error, found), difference)


def _why(error: BaseException | None, verdict: str) -> str:
    if error is None:
        return "" if verdict == ending.ANSWERED else "it was answered"
    request = getattr(error, "request_id", None)
    text = f"{type(error).__name__}: {error}" + (f" (request {request})" if request else "")
    if verdict == ending.UNTYPED:
        text += " | " + traceback.format_exception(error)[-2].strip().replace("\n", " ")
    return text if len(text) <= MAX_WHY else text[:MAX_WHY] + "..."
