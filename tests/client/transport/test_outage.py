"""A server that dies amid a batch and comes back, and one that stays away."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from fake_server import FINISHED, PROGRESS, SEGMENTS, FakeServer, events, hangs

from onecard_client import ConnectionFailed
from onecard_client.__main__ import main
from onecard_client._errors import CallContext
from onecard_client._transport.retry import MAX_CONNECTION_RETRIES, Acquaintance, Attempts, Backoff
from tests.waiting import PATIENCE_S

REFUSED = ConnectionFailed("failed to connect to all addresses; last error: Connection refused")
BROKEN = ConnectionFailed("Socket closed")


class Dying:
    """A server that dies at its first request, and what the client's waits do about it."""

    def __init__(self, fake: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.num_waits = 0
        self.comes_back_at = 0  # the wait at which there is another server; 0 for never
        self.is_too_late_at = 0  # the wait that would reach beyond the deadline; 0 for never
        self.other: FakeServer | None = None
        self._fake = fake
        self.server = fake(self._die)
        monkeypatch.setattr(Backoff, "delay_s", lambda backoff, number: self._wait())

    def _die(self, request: Any, context: Any) -> Any:
        yield from events(PROGRESS, SEGMENTS)(request, context)
        threading.Thread(target=self.server.stop).start()
        hangs(request, context)

    def _wait(self) -> float:
        self.num_waits += 1
        if self.num_waits == self.comes_back_at:
            self.other = self._fake(events(FINISHED), port=self.server.port)
        return float("inf") if self.num_waits == self.is_too_late_at else 0.05


@pytest.fixture
def dying(fake: Any, monkeypatch: pytest.MonkeyPatch) -> Dying:
    return Dying(fake, monkeypatch)


@pytest.fixture
def line(dying: Dying, tmp_path: Path) -> list[str]:
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"audio")
    files = [str(tmp_path / "a.wav"), str(tmp_path / "b.wav")]
    return ["transcribe", *files, "--url", dying.server.url, "-o", str(tmp_path), "-f", "txt"]


def test_a_batch_goes_on_when_the_server_is_back(
    dying: Dying, line: list[str], tmp_path: Path, capsys: Any
) -> None:
    dying.comes_back_at = 3 * MAX_CONNECTION_RETRIES
    assert main(line) == 0
    assert (tmp_path / "a.txt").exists()
    assert (tmp_path / "b.txt").exists()
    assert dying.other is not None
    assert len(dying.other.requests) == 2
    assert capsys.readouterr().err.count("waiting for it to come back") == 1


def test_a_server_that_stays_away_ends_the_batch_with_a_list(
    dying: Dying, line: list[str], tmp_path: Path, capsys: Any
) -> None:
    dying.is_too_late_at = 3 * MAX_CONNECTION_RETRIES
    assert main([*line, "--timeout-s", str(PATIENCE_S)]) == 3
    errors = capsys.readouterr().err
    assert errors.count("waiting for it to come back") == 1
    assert f"not tried: {tmp_path / 'b.wav'}" in errors


def test_the_library_waits_as_well(dying: Dying, connect: Any) -> None:
    dying.comes_back_at = 3 * MAX_CONNECTION_RETRIES
    told: list[Any] = []
    client = connect(dying.server.url, on_outage=told.append)
    assert client.transcribe(b"audio", timeout_s=PATIENCE_S).text == "Hello there."
    assert [type(error) for error in told] == [ConnectionFailed]


def test_only_a_server_that_was_there_is_waited_for() -> None:
    acquaintance = Acquaintance()
    attempts = Attempts(CallContext("a:1"), None, acquaintance=acquaintance)
    for _ in range(MAX_CONNECTION_RETRIES):
        attempts.delay_s(REFUSED)
    with pytest.raises(ConnectionFailed):
        attempts.delay_s(REFUSED)
    acquaintance.has_answered = True
    attempts = Attempts(CallContext("a:1"), None, acquaintance=acquaintance)
    for _ in range(100):
        attempts.delay_s(REFUSED)


def test_audio_that_brings_the_server_down_again_and_again_is_given_up() -> None:
    attempts = Attempts(CallContext("a:1"), None)
    for _ in range(MAX_CONNECTION_RETRIES):
        attempts.delay_s(BROKEN)
        for _ in range(20):
            attempts.delay_s(REFUSED)
    with pytest.raises(ConnectionFailed, match="Socket closed"):
        attempts.delay_s(BROKEN)


def test_a_limit_that_a_caller_sets_holds_for_waits_too() -> None:
    attempts = Attempts(CallContext("a:1"), 2, acquaintance=Acquaintance(has_answered=True))
    attempts.delay_s(REFUSED)
    attempts.delay_s(REFUSED)
    with pytest.raises(ConnectionFailed):
        attempts.delay_s(REFUSED)
