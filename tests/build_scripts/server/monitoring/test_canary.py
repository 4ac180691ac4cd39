"""The small requests that show whether a model answers, against what answers wrongly or never."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from build_scripts.server.monitoring import canary
from build_scripts.server.monitoring.canary import Canary, Reply
from build_scripts.server.temporary import free_ports
from tests.build_scripts.serving import eventually

TIMEOUT_S = 2.0


def at(port: int) -> str:
    return f"127.0.0.1:{port}"


def reply_of(asking: Canary) -> Reply:
    replies: list[Reply] = []
    eventually(lambda: replies.extend(asking.replies()) or replies)
    [reply] = replies
    return reply


@pytest.fixture
def silent_port() -> Iterator[int]:
    """Somebody who takes connections, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.mark.parametrize("model", canary.REQUESTS)
def test_no_answer_is_late(model: str, silent_port: int) -> None:
    asking = Canary(at(silent_port))
    try:
        asking.ask(model, TIMEOUT_S)
        reply = reply_of(asking)
    finally:
        asking.stop()
    assert reply.model == model
    assert reply.problem
    assert not reply.is_refused  # that would say that there is no room


def test_nobody_there_is_told_and_a_process_that_ended_is_replaced() -> None:
    [port] = free_ports(1)
    asking = Canary(at(port))
    try:
        asking.ask("chat", TIMEOUT_S)
        reply = reply_of(asking)
        assert reply.problem
        assert not reply.is_refused
        assert asking._process is not None
        os.kill(asking._process.pid, signal.SIGKILL)
        asking._process.wait()
        assert asking.replies() == []
        asking.ask("chat", TIMEOUT_S)
        assert reply_of(asking).problem
    finally:
        asking.stop()


def test_a_model_is_asked_for_only_where_it_is_served() -> None:
    assert canary.asked_for({"chat": {}, "llm": {}, "transcribe": {}}) == ["chat"]
    assert canary.asked_for({}) == []
