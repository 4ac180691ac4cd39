"""Which of the models on demand is loaded, who uses it, and who is next.

They have the room of one, so that a request for another waits until nobody uses the one that is
there. Whoever came first goes first, but for requests that need no switch: these pass for a while.
"""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from build_scripts.server.api import Api
from onecard.contract import pipeline

WAIT_S = 60.0  # for a turn; loading comes after it
STAY_S = 5.0  # for which requests for what is loaded pass one that waits for another
UNLOAD_S = 60.0  # until the memory of a model is there for the next one
POLL_S = 0.1
PRESENT = ("READY", "LOADING", "UNLOADING")


class Refused(Exception):
    """A model is not to be had now; the message says why, and what to do."""


@dataclass(frozen=True)
class Turn:
    """What it took to get a model."""

    load_s: float  # 0 where it was loaded
    wait_s: float  # for others


@dataclass
class _Waiting:
    model: str
    since_s: float


@dataclass
class _Count:
    loads: int = 0
    seconds: float = 0.0


@dataclass
class Turns:
    """The models on demand of one Triton; threads share it.

    Attributes:
        has_ended: whether a model has a process of its own and that has ended, so that its memory
            is free: a model lives on for a request that its dead process had (seen in 2.51).
    """

    api: Api
    models: Sequence[str]
    has_ended: Callable[[str], bool] = lambda model: False
    wait_s: float = WAIT_S
    _loaded: str | None = None
    _is_broken: bool = False  # a process of what is loaded has ended
    _is_switching: bool = False
    _num_users: int = 0
    _waiting: list[_Waiting] = field(default_factory=list)
    _counts: dict[str, _Count] = field(default_factory=dict)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    @contextlib.contextmanager
    def turn(self, model: str, is_gone: Callable[[], bool]) -> Iterator[Turn]:
        """Use `model`, which stays loaded meanwhile.

        Args:
            is_gone: whether nobody waits for it any more.

        Raises:
            Refused: it is none of `models`, did not load, or others used another one for too long.
        """
        if model not in self.models:
            raise Refused(f"`{model}` is not loaded on demand, must be of {', '.join(self.models)}")
        waiting = _Waiting(model, time.monotonic())
        with self._changed:
            self._wait(waiting, is_gone)
            wait_s = time.monotonic() - waiting.since_s
            self._is_switching = must_switch = not self._has(model)
            self._num_users += 1
        try:
            yield Turn(self._switch(model) if must_switch else 0.0, wait_s)
        finally:
            with self._changed:
                self._num_users -= 1
                self._changed.notify_all()

    def report(self, model: str) -> None:
        """`model` does not answer any more, so that it is loaded anew before the next use."""
        with self._changed:
            self._is_broken = self._is_broken or model == self._loaded
            self._changed.notify_all()

    def gauges(self) -> str:
        """What is loaded and what loading took, as Prometheus reads it."""
        with self._changed:
            counts = {model: self._counts.get(model, _Count()) for model in self.models}
            loaded = self._loaded
        families: dict[str, tuple[str, str, dict[str, float]]] = {
            "onecard_on_demand_loaded": (
                "gauge", "Whether a model on demand is loaded",
                {model: int(model == loaded) for model in self.models},
            ),
            "onecard_on_demand_loads_total": (
                "counter", "How often a model on demand was loaded",
                {model: count.loads for model, count in counts.items()},
            ),
            "onecard_on_demand_load_seconds_total": (
                "counter", "Seconds for which requests waited for a model on demand to load",
                {model: round(count.seconds, 3) for model, count in counts.items()},
            ),
        }  # fmt: skip
        lines = []
        for name, (kind, what, values) in families.items():
            lines += [f"# HELP {name} {what}", f"# TYPE {name} {kind}"]
            lines += [f'{name}{{model="{model}"}} {value}' for model, value in values.items()]
        return "\n".join(lines) + "\n"

    def _has(self, model: str) -> bool:
        return self._loaded == model and not self._is_broken

    def _wait(self, waiting: _Waiting, is_gone: Callable[[], bool]) -> None:
        """Raises Refused where its turn does not come in time."""
        self._waiting.append(waiting)
        try:
            while self._next() is not waiting:
                if is_gone():
                    raise Refused("the caller has left")
                if time.monotonic() - waiting.since_s > self.wait_s:
                    raise Refused(self._why(waiting.model))
                self._changed.wait(POLL_S)
        finally:
            self._waiting.remove(waiting)
            self._changed.notify_all()

    def _next(self) -> _Waiting | None:
        """Who may go now."""
        if self._is_switching or not self._waiting:
            return None
        first = self._waiting[0]
        if self._has(first.model):
            return first
        if not self._num_users:
            return first
        if time.monotonic() - first.since_s < STAY_S:
            return next((one for one in self._waiting if self._has(one.model)), None)
        return None

    def _why(self, model: str) -> str:
        name = model.removeprefix(pipeline.FURTHER)
        there = (self._loaded or "another").removeprefix(pipeline.FURTHER)
        return (
            f"the model `{name}` is loaded on demand, and its turn did not come within "
            f"{self.wait_s:.0f} s: `{there}` is in use; try again later, or choose a model that "
            "stays loaded"
        )

    def _switch(self, model: str) -> float:
        """Load `model` in place of what is there; the seconds that it took.

        Raises Refused where it does not load. Nobody else has a turn meanwhile.
        """
        started_s = time.monotonic()
        try:
            self._loaded = None
            self._clear()
            self.api.load(model)
        except (OSError, http.client.HTTPException) as error:
            name = model.removeprefix(pipeline.FURTHER)
            raise Refused(
                f"the model `{name}` could not be loaded ({error}); try again later, or choose "
                "another one; the server log says more"
            ) from error
        else:
            self._loaded, self._is_broken = model, False
        finally:
            self._is_switching = False
        took_s = time.monotonic() - started_s
        count = self._counts.setdefault(model, _Count())
        count.loads += 1
        count.seconds += took_s
        return took_s

    def _clear(self) -> None:
        """Unload whatever of them is there; returns when its memory is free. Raises OSError."""
        deadline_s = time.monotonic() + UNLOAD_S
        for model in self._present():
            self.api.unload(model, UNLOAD_S)
        while left := self._present():
            if time.monotonic() > deadline_s:
                raise OSError(f"`{left[0]}` was not unloaded within {UNLOAD_S:.0f} s")
            time.sleep(POLL_S)

    def _present(self) -> list[str]:
        states = self.api.states()
        present = [model for model in self.models if states.get(model) in PRESENT]
        return [
            model
            for model in present
            if not (states[model] == "UNLOADING" and self.has_ended(model))
        ]
