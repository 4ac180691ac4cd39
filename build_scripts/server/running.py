"""Waits for a server that was started elsewhere, stops it, and says what it last said."""

from __future__ import annotations

import signal
import time
from pathlib import Path

from build_scripts import processes
from build_scripts.console import say
from build_scripts.errors import ServerError
from build_scripts.server import state
from build_scripts.server.api import Api
from build_scripts.server.logs import reader
from build_scripts.server.settings import Settings

WAIT_TIMEOUT_S = 300
POLL_S = 0.2
SAY_EVERY_S = 10.0


def wait(settings: Settings, timeout_s: float) -> None:
    """Return when every model is ready, saying meanwhile what the server says.

    Raises ServerError when there is no server, when it ends, or after `timeout_s`.
    """
    if not state.is_held(settings.run):
        if settings.messages.is_file():
            raise ServerError(
                f"no server runs on port `{settings.http_port}`:\n{messages(settings)}"
            )
        raise ServerError(f"no server runs on port `{settings.http_port}`: `make serve DETACH=1`")
    deadline_s = time.monotonic() + timeout_s
    tail = reader.Tail(settings.messages)
    while time.monotonic() < deadline_s:
        ended = not state.is_held(settings.run)
        ready = not state.trouble(state.state(settings)) and Api(settings.url).is_ready()
        for line in tail.lines():  # after looking, so that the last words are among them
            say(line)
        if ready:
            return
        if ended:
            raise ServerError("the server ended while it was waited for; why is said above")
        time.sleep(POLL_S)
    raise ServerError(
        f"not ready after {timeout_s:.0f} s, which was the limit (TIMEOUT=): "
        f"look at `{settings.log}`; `make stop` ends it"
    )


def stop(settings: Settings) -> None:
    """End the server as SIGTERM does, and wait for it; a second SIGINT here ends it at once."""
    if not state.is_held(settings.run):
        left = state.reclaim(settings.run)
        say(
            f"no server runs on port `{settings.http_port}`"
            + (f"; cleaned up {left}" if left else "")
        )
        return
    pid = int(state.state(settings).get("supervisor", 0)) or _wait_for_supervisor(settings)
    for number in (signal.SIGTERM, signal.SIGCONT):  # one that is stopped hears of nothing
        processes.kill(pid, number)
    said_s = time.monotonic()
    while state.is_held(settings.run) and processes.is_alive(pid):
        if time.monotonic() - said_s > SAY_EVERY_S:
            say("waiting for requests in flight")
            said_s = time.monotonic()
        time.sleep(POLL_S)
    say("stopped")


def messages(settings: Settings) -> str:
    """The last lines that a server in the background wrote."""
    lines = Path(settings.messages).read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-20:]) or "it said nothing"


def _wait_for_supervisor(settings: Settings) -> int:
    while state.is_held(settings.run):
        pid = state.state(settings).get("supervisor")
        if pid:
            return int(pid)
        time.sleep(POLL_S)
    raise ServerError("the server ended by itself")
