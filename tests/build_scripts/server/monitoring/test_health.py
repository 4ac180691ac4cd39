"""What is said of a server whose models hang, and what becomes of the processes that do."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from build_scripts import processes
from build_scripts.errors import ServerError
from build_scripts.server.models import supervisor
from build_scripts.server.monitoring import health
from build_scripts.server.monitoring.canary import Reply
from build_scripts.server.monitoring.health import Health
from tests.build_scripts.serving import Serving, add_chat, eventually, needs_triton

TRITON = 1000
STUBS = {1: "decode_audio", 2: "decode_audio", 3: "transcribe_stream", 4: "chat"}
CONFIGS: Mapping[str, Mapping[str, Any]] = {
    "transcribe_stream": {"parameters": {"calls": {"string_value": "decode_audio"}}},
    "decode_audio": {},
    "chat": {"parameters": {"calls": {"string_value": "llm"}}},
    "llm": {},
}
LATE = Reply("transcribe_stream", 30.0, is_late=True, stage="decode_audio", problem="no time")


class Machine:
    """Stands in for Triton, its processes and the clock: a test says what they do."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.answers: list[Reply] = []
        self.ends: dict[str, float] = dict.fromkeys(CONFIGS, 0.0)
        self.used: dict[int, float] = {}
        self.stopped: set[int] = set()
        self.killed: list[int] = []
        self.said: list[str] = []
        self.is_silent = False
        monkeypatch.setattr(supervisor, "stubs", lambda pid: dict(STUBS))
        monkeypatch.setattr(processes, "processor_s", lambda pid: self.used.get(pid, 0.0))
        monkeypatch.setattr(processes, "is_stopped", lambda pid: pid in self.stopped)
        monkeypatch.setattr(processes, "is_alive", lambda pid: True)
        monkeypatch.setattr(processes, "kill", lambda pid, number: self.killed.append(pid))
        monkeypatch.setattr(health.time, "monotonic", lambda: self.now_s)  # type: ignore[attr-defined]
        self.now_s = 10_000.0
        self.health = Health(self, self, CONFIGS, TRITON, self.said.append)  # type: ignore[arg-type]

    def ended(self) -> dict[str, float]:
        if self.is_silent:
            raise TimeoutError("timed out")
        return dict(self.ends)

    def ask(self, model: str, timeout_s: float) -> None:
        self.asked.append(model)

    def replies(self) -> list[Reply]:
        answers, self.answers = self.answers, []
        return answers

    def stop(self) -> None:
        pass

    def pass_s(self, seconds: float, **works: float) -> None:
        """Let time pass; `works` says which processes use how much of a core (`p1`: pid 1)."""
        for _ in range(int(seconds)):
            self.now_s += 1.0
            for name, share in works.items():
                pid = int(name[1:])
                self.used[pid] = self.used.get(pid, 0.0) + share
            self.health.look(self.now_s)

    def answer(self, *answers: Reply) -> None:
        self.answers += answers
        self.pass_s(1)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_a_silent_server_is_asked_now_and_then(machine: Machine) -> None:
    machine.pass_s(health.QUIET_S - 5)
    assert machine.asked == []
    machine.pass_s(10)
    assert sorted(machine.asked) == ["chat", "transcribe_stream"]
    machine.answer(Reply("chat", 0.1), Reply("transcribe_stream", 1.0))
    machine.pass_s(health.QUIET_S - 5)
    assert len(machine.asked) == 2
    assert machine.health.phase() == ("ready", "")


def test_a_model_that_answers_others_is_not_asked(machine: Machine) -> None:
    for _ in range(20):
        machine.ends["chat"] += 1
        machine.pass_s(10)
    assert "chat" not in machine.asked
    assert "transcribe_stream" in machine.asked


def test_a_request_that_is_not_answered_is_told_and_the_next_takes_it_back(
    machine: Machine,
) -> None:
    machine.pass_s(health.QUIET_S + 5)
    machine.answer(LATE, Reply("chat", 0.1))
    phase, why = machine.health.phase()
    assert phase == "failing"
    assert "`transcribe_stream` did not answer a request within 30 s" in why
    assert "`decode_audio`" in why
    machine.pass_s(health.AGAIN_S + 1)
    assert machine.asked.count("transcribe_stream") == 2
    machine.answer(Reply("transcribe_stream", 1.0))
    assert machine.health.phase() == ("ready", "")
    assert machine.killed == []


def test_processes_that_do_nothing_while_requests_wait_are_ended(machine: Machine) -> None:
    machine.pass_s(health.QUIET_S + 5)
    machine.answer(LATE)
    assert machine.killed == []
    machine.pass_s(health.AGAIN_S + 30)
    machine.answer(LATE)
    assert machine.killed == [1, 2]
    assert "a process of `decode_audio` (pid 1), which does nothing" in machine.said[-2]
    assert "did not answer a request" in machine.said[-2]
    machine.pass_s(health.AGAIN_S + 30)
    machine.answer(LATE)
    assert machine.killed == [1, 2, TRITON]  # it was not those


def test_a_process_that_works_is_given_time(machine: Machine) -> None:
    """It may be busy with hours of audio; the server is not ready meanwhile."""
    machine.pass_s(health.QUIET_S + 5, p1=1.0)
    while machine.now_s < 10_000 + health.MAX_BUSY_S - 60:
        machine.answer(LATE)
        assert machine.health.phase()[0] == "failing"
        machine.pass_s(32, p1=1.0)
    assert machine.killed == []
    for _ in range(5):
        machine.answer(LATE)
        machine.pass_s(32, p1=1.0)
    assert set(machine.killed) == {1}


def test_one_that_works_and_ends_no_request_is_asked_soon(machine: Machine) -> None:
    machine.pass_s(health.QUIET_S / 2 + 2, p4=1.0)
    assert machine.asked == ["chat"]


def test_a_late_answer_beside_those_of_others_is_no_sign(machine: Machine) -> None:
    machine.pass_s(health.QUIET_S + 5)
    machine.ends["transcribe_stream"] += 1
    machine.pass_s(15)
    machine.answer(LATE)
    assert machine.health.phase() == ("ready", "")


@pytest.mark.parametrize(
    "failed", [LATE, Reply("transcribe_stream", 0.1, problem="a process is not healthy")]
)
def test_the_end_of_a_request_of_ours_that_failed_is_no_answer(
    machine: Machine, failed: Reply
) -> None:
    """Triton counts it like any other."""
    machine.pass_s(health.QUIET_S + 5)
    machine.answer(failed)
    machine.ends["transcribe_stream"] += 1
    machine.pass_s(health.COUNT_S + 1)
    assert machine.health.phase()[0] == "failing"
    machine.answer(failed)
    machine.ends["transcribe_stream"] += 2  # one of them is somebody else's
    machine.pass_s(health.COUNT_S + 1)
    machine.answer(Reply("transcribe_stream", 1.0))
    assert machine.health.phase() == ("ready", "")


def test_what_goes_wrong_while_looking_is_told(machine: Machine) -> None:
    def fail(now_s: float) -> None:
        raise KeyError("unexpected")

    machine.health.look = fail  # type: ignore[method-assign]
    machine.health.start()
    while machine.health.phase()[0] == "ready":
        threading.Event().wait(0.05)
    assert "KeyError" in machine.health.phase()[1]
    machine.health.stop()


def test_no_room_is_an_answer_where_work_goes_on(machine: Machine) -> None:
    full = Reply("chat", 0.1, is_refused=True, problem="64 wait, which is the limit")
    machine.pass_s(health.QUIET_S + 5)
    machine.ends["llm"] += 1
    machine.pass_s(6)
    machine.answer(full)
    assert machine.health.phase() == ("ready", "")
    machine.pass_s(health.QUIET_S + 20)
    machine.answer(full)
    assert machine.health.phase()[0] == "failing"


def test_a_stopped_process_is_ended_though_others_of_its_model_answer(machine: Machine) -> None:
    machine.stopped = {2}
    machine.pass_s(health.MAX_STOPPED_S - 5)
    assert machine.health.phase() == (
        "failing",
        "a process of `decode_audio` (pid 2) is stopped by a signal",
    )
    assert machine.killed == []
    machine.pass_s(10)
    assert set(machine.killed) == {2}
    assert "was stopped by a signal" in machine.said[-1]
    machine.stopped = set()
    machine.pass_s(1)
    assert machine.health.phase() == ("ready", "")


def test_triton_that_answers_nothing_is_told_and_ended(machine: Machine) -> None:
    machine.is_silent = True
    machine.pass_s(10)
    assert machine.health.phase()[0] == "failing"
    assert machine.killed == []
    machine.pass_s(health.MAX_SILENT_S)
    assert machine.killed[0] == TRITON


@pytest.mark.parametrize("text", ["often", "-1", "nan", "inf"])
def test_how_often_is_a_number(text: str) -> None:
    with pytest.raises(ServerError, match=f"`CANARY_S` is `{text}`, wanted a number"):
        health.quiet_s({"CANARY_S": text})


def test_how_often_may_be_never() -> None:
    assert health.quiet_s({}) == health.QUIET_S
    assert health.quiet_s({"CANARY_S": "0"}) == 0
    assert health.quiet_s({"CANARY_S": "2.5"}) == 2.5


@needs_triton
def test_a_model_that_hangs_is_told_and_ended_until_it_answers(
    serving: Serving, repository: Path, gate: Path
) -> None:
    add_chat(repository, gate)
    serving.environment.update(CANARY_S="2", WARMUP="0")
    serving.start()
    eventually(lambda: "not ready: `chat` did not answer a request within" in serving.said())
    assert serving.is_ready()  # Triton is
    eventually(lambda: serving.verb("status").returncode == 7)
    eventually(lambda: ", which does nothing while requests wait: `chat`" in serving.said())
    gate.touch()
    eventually(lambda: serving.said().count("ready after") == 2)
    assert serving.verb("wait").returncode == 0
    assert serving.terminate() == 0
    assert serving.left() == []
