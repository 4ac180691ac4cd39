from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from build_scripts.server.on_demand import turns
from build_scripts.server.on_demand.desk import Desk
from build_scripts.server.on_demand.turns import Refused, Turns
from onecard.errors import Restarting, Unavailable
from onecard.recognition import lease
from tests.waiting import until

A, B = "whisper_a", "whisper_b"


@dataclass
class Triton:
    """A fake of Triton's control of models; the real one serves in `test_further_whispers`."""

    there: dict[str, str] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)

    def states(self) -> dict[str, str]:
        # Another look finds ended what was being unloaded at this one.
        found = dict(self.there)
        self.there = {name: state for name, state in found.items() if state != "UNLOADING"}
        return found

    def unload(self, model: str, timeout_s: float) -> None:
        self.done.append(f"unload {model}")
        self.there[model] = "UNLOADING"

    def load(self, model: str) -> None:
        assert not self.there, "two at a time"
        self.done.append(f"load {model}")
        if model in self.broken:
            raise OSError("HTTP 400: no such file")
        self.there[model] = "READY"


@pytest.fixture
def triton() -> Triton:
    return Triton()


@pytest.fixture
def shared(triton: Triton) -> Turns:
    return Turns(triton, (A, B), wait_s=0.3)  # type: ignore[arg-type]


def never() -> bool:
    return False


def use(shared: Turns, model: str, is_gone: Callable[[], bool] = never) -> str | None:
    """Why `model` was not to be had; None where it was."""
    try:
        with shared.turn(model, is_gone):
            return None
    except Refused as refusal:
        return str(refusal)


def test_what_is_loaded_is_unloaded_for_another_and_before_it(
    triton: Triton, shared: Turns
) -> None:
    for model in (A, A, B):
        with shared.turn(model, never):
            assert triton.there == {model: "READY"}
    assert triton.done == [f"load {A}", f"unload {A}", f"load {B}"]
    assert f'onecard_on_demand_loads_total{{model="{A}"}} 1' in shared.gauges()
    assert f'onecard_on_demand_loaded{{model="{A}"}} 0' in shared.gauges()


def test_what_is_in_use_stays_and_who_waits_too_long_is_told_for_what(shared: Turns) -> None:
    with shared.turn(A, never), shared.turn(A, never):
        asked = use(shared, B)
    assert asked is not None
    assert "the model `b` is loaded on demand" in asked
    assert "`a` is in use; try again" in asked
    with shared.turn(B, never) as turn:
        assert turn.wait_s < 0.3


def test_requests_for_what_is_loaded_do_not_keep_another_waiting_for_ever(
    shared: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "STAY_S", 0.0)
    order = []

    def note(model: str) -> None:
        with shared.turn(model, never):
            order.append(model)

    with ThreadPoolExecutor(2) as pool:
        with shared.turn(A, never):
            other = pool.submit(note, B)
            until(lambda: len(shared._waiting) == 1, lambda: shared)
            late = pool.submit(note, A)
            until(lambda: len(shared._waiting) == 2, lambda: shared)
        other.result()
        late.result()
    assert order == [B, A]


def test_who_left_does_not_wait(shared: Turns) -> None:
    with shared.turn(A, never):
        assert use(shared, B, lambda: True) == "the caller has left"


def test_a_load_that_fails_leaves_room_for_another(triton: Triton, shared: Turns) -> None:
    triton.broken.add(B)
    assert "`b` could not be loaded (HTTP 400: no such file)" in str(use(shared, B))
    with shared.turn(A, never):
        assert triton.there == {A: "READY"}


def test_what_triton_never_ends_is_not_waited_for_once_its_process_has_ended(
    triton: Triton, shared: Turns, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Triton, "states", lambda self: dict(self.there))  # UNLOADING for ever
    monkeypatch.setattr(turns, "UNLOAD_S", 0.2)
    assert use(shared, A) is None
    assert "`whisper_a` was not unloaded within 0 s" in str(use(shared, B))
    shared.has_ended = lambda model: True
    monkeypatch.setattr(Triton, "load", lambda self, model: self.there.update({model: "READY"}))
    assert use(shared, B) is None


def test_what_is_not_on_demand_is_refused(shared: Turns) -> None:
    assert "must be of whisper_a, whisper_b" in str(use(shared, "llm"))


@pytest.fixture
def desk(shared: Turns, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    folder = tmp_path / ("long" * 30)  # more than an address holds
    folder.mkdir()
    with contextlib.closing(Desk(folder / "desk", shared)) as one:
        monkeypatch.setenv(lease.SOCKET, str(one.path))
        yield one


def check() -> None:
    pass


def test_a_lease_is_a_turn_and_ends_with_its_connection(desk: Desk) -> None:
    with lease.lease(A, check) as held:
        assert held.load_s >= 0
        assert desk.turns._num_users == 1
        with pytest.raises(Unavailable, match="its turn did not come within 0 s"):
            lease.using(B, check, dict)
    until(lambda: desk.turns._num_users == 0, lambda: desk.turns)


def test_who_dies_while_it_waits_is_not_waited_for(desk: Desk) -> None:
    desk.turns.wait_s = 60.0
    with lease.lease(A, check):
        with socket.socket(socket.AF_UNIX) as other, lease.address(desk.path) as where:
            other.connect(where)
            other.sendall(json.dumps({"model": B}).encode() + b"\n")
            until(lambda: len(desk.turns._waiting) == 1, lambda: desk.turns)
        until(lambda: not desk.turns._waiting, lambda: desk.turns)


def test_what_does_not_answer_is_loaded_anew_once(desk: Desk, triton: Triton) -> None:
    failures = [Restarting("its process ended")]

    def work() -> dict[str, Any]:
        if failures:
            raise failures.pop()
        return {"engine": {"choice": "a"}}

    found = lease.using(A, check, work)
    assert found["engine"]["choice"] == "a"
    assert set(found["engine"]) == {"choice", "model_load_s", "model_wait_s"}
    assert triton.done == [f"load {A}", f"unload {A}", f"load {A}"]
    failures += [Restarting("again"), Restarting("and again")]
    with pytest.raises(Restarting):
        lease.using(A, check, work)


def test_without_who_loads_it_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(lease.SOCKET, raising=False)
    with pytest.raises(Unavailable, match="start the server with `make serve`"):
        lease.using(A, check, dict)


def test_a_caller_that_cancels_gives_up_waiting(desk: Desk) -> None:
    desk.turns.wait_s = 60.0
    is_over = threading.Event()
    is_over.set()

    def cancelled() -> None:
        if is_over.is_set():
            raise Unavailable("cancelled")

    with lease.lease(A, check), pytest.raises(Unavailable, match="cancelled"):
        lease.using(B, cancelled, dict)
