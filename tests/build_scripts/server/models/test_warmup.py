"""The first request of each kind comes from `serve`: the real Triton, and a stand-in for chat."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from build_scripts.server.models import supervisor
from build_scripts.server.models.warmup import Warmup
from tests.build_scripts.serving import Serving, add_chat, eventually, needs_triton

pytestmark = needs_triton


@pytest.fixture
def chat(repository: Path, gate: Path) -> Path:
    """The file that tells that somebody asked the stand-in."""
    return add_chat(repository, gate)


def test_it_is_ready_when_the_first_request_is_answered(
    serving: Serving, chat: Path, gate: Path
) -> None:
    serving.environment["WARMUP"] = "1"
    serving.start(until="loaded chat")
    eventually(chat.exists)
    assert serving.is_ready()  # Triton is
    waited = serving.verb("wait", "--timeout", "0.5")
    assert "not ready after" in waited.stderr
    gate.touch()
    eventually(lambda: "ready after" in serving.said())
    said = "the first request to `chat`, to warm it up, failed"
    assert f"{said}: nothing to say" in serving.said()
    assert serving.infer("echo") == [1.0, 2.5]
    assert serving.terminate() == 0
    assert serving.left() == []


def test_a_model_that_dies_meanwhile_is_brought_back(
    serving: Serving, chat: Path, gate: Path
) -> None:
    serving.environment["WARMUP"] = "1"
    serving.start(until="loaded chat")
    eventually(chat.exists)
    stubs = supervisor.stubs(serving.triton())
    os.kill(next(pid for pid, model in stubs.items() if model == "echo"), signal.SIGKILL)
    eventually(lambda: "`echo` is back" in serving.said())
    assert "ready after" not in serving.said()
    gate.touch()
    eventually(lambda: "ready after" in serving.said())
    assert serving.infer("echo") == [1.0, 2.5]
    assert serving.terminate() == 0
    assert serving.left() == []


def test_a_signal_does_not_wait_for_it(serving: Serving, chat: Path) -> None:
    serving.environment["WARMUP"] = "1"
    serving.start(until="loaded chat")
    eventually(chat.exists)
    assert serving.terminate() == 0
    assert "failed" not in serving.said()
    assert serving.left() == []


def test_without_it_nobody_is_asked(serving: Serving, chat: Path) -> None:
    serving.environment["WARMUP"] = "0"
    serving.start()
    assert not chat.exists()
    assert serving.terminate() == 0


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ImportError('no client here')", "status 1: ImportError: no client here"),
        ("import os; os.abort()", "signal 6 (SIGABRT): it said nothing"),
    ],
)
def test_one_that_cannot_run_says_why(
    code: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onecard_client.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    heard: list[str] = []
    one = Warmup("127.0.0.1:1", ["chat"], heard.append)
    eventually(one.is_done)
    assert heard == [f"the warm-up ended with {said}"]
