"""The verbs serve, wait, stop and status: one server, started here or found by what it recorded."""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from build_scripts import arguments as dial
from build_scripts import paths, processes
from build_scripts.console import say
from build_scripts.errors import ServerError
from build_scripts.server import lifecycle, preflight, served, settings, state
from build_scripts.server.api import Api
from build_scripts.server.logs import reader
from build_scripts.server.settings import Settings

WAIT_TIMEOUT_S = 300
POLL_S = 0.2
SAY_EVERY_S = 10.0


def main(verb: str, arguments: Sequence[str]) -> None:
    """Run one of the four verbs. Raises PortTaken or ServerError."""
    parser = argparse.ArgumentParser(prog=f"python -m build_scripts {verb}")
    settings.add_arguments(parser)
    if verb == "serve":
        dial.add_argument(parser)
        parser.add_argument("--detach", action="store_true", help="return at once; or DETACH=1")
    if verb == "wait":
        help_text = f"seconds, default {WAIT_TIMEOUT_S}; or TIMEOUT="
        parser.add_argument("--timeout", type=float, help=help_text)
    parsed = parser.parse_args(arguments)
    one = settings.from_arguments(parsed)
    if verb == "serve":
        os.umask(0o077)  # logs say who asked what
    if verb == "serve" and (parsed.detach or os.environ.get("DETACH") == "1"):
        detach(one, arguments)
    elif verb == "serve":
        lifecycle.Server(one, say).run()
    elif verb == "wait":
        wait(one, parsed.timeout or _seconds(os.environ.get("TIMEOUT") or str(WAIT_TIMEOUT_S)))
    elif verb == "stop":
        stop(one)
    else:
        status(one)


def detach(one: Settings, arguments: Sequence[str]) -> None:
    """Start `serve` in the background; returns when Triton is started, not when it is ready.

    Raises PortTaken or ServerError for what keeps it from being started.
    """
    if state.is_held(one.run):
        with state.locked(one):  # says who runs; taken only if that one ended just now
            pass
    preflight.check(one, served.read(one, say))
    one.messages.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "build_scripts", "serve"]
    command += [argument for argument in arguments if argument != "--detach"]
    one.messages.unlink(missing_ok=True)
    # To its end, wherever that is: what grows too long is begun anew.
    with open(one.messages, "ab", opener=partial(os.open, mode=0o600)) as file:
        process = subprocess.Popen(
            command,
            cwd=paths.ROOT,
            env={**os.environ, "DETACH": ""},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    while process.poll() is None and state.state(one).get("supervisor") != process.pid:
        time.sleep(POLL_S)
    if process.poll() is not None:
        raise ServerError(_messages(one))
    say(f"serving in the background (pid {process.pid}); `make wait` waits until it is ready")


def wait(one: Settings, timeout_s: float) -> None:
    """Return when every model is ready, saying meanwhile what the server says.

    Raises ServerError when there is no server, when it ends, or after `timeout_s`.
    """
    if not state.is_held(one.run):
        if one.messages.is_file():
            raise ServerError(f"no server runs on port `{one.http_port}`:\n{_messages(one)}")
        raise ServerError(f"no server runs on port `{one.http_port}`: `make serve DETACH=1`")
    deadline_s = time.monotonic() + timeout_s
    tail = reader.Tail(one.messages)
    while time.monotonic() < deadline_s:
        ended = not state.is_held(one.run)
        ready = not state.trouble(state.state(one)) and Api(one.url).is_ready()
        for line in tail.lines():  # after looking, so that the last words are among them
            say(line)
        if ready:
            return
        if ended:
            raise ServerError("the server ended while it was waited for; why is said above")
        time.sleep(POLL_S)
    raise ServerError(
        f"not ready after {timeout_s:.0f} s, which was the limit (TIMEOUT=): "
        f"look at `{one.log}`; `make stop` ends it"
    )


def stop(one: Settings) -> None:
    """End the server as SIGTERM does, and wait for it; a second SIGINT here ends it at once."""
    if not state.is_held(one.run):
        left = state.reclaim(one.run)
        say(f"no server runs on port `{one.http_port}`" + (f"; cleaned up {left}" if left else ""))
        return
    pid = int(state.state(one).get("supervisor", 0)) or _wait_for_supervisor(one)
    for number in (signal.SIGTERM, signal.SIGCONT):  # one that is stopped hears of nothing
        processes.kill(pid, number)
    said_s = time.monotonic()
    while state.is_held(one.run) and processes.is_alive(pid):
        if time.monotonic() - said_s > SAY_EVERY_S:
            say("waiting for requests in flight")
            said_s = time.monotonic()
        time.sleep(POLL_S)
    say("stopped")


def status(one: Settings) -> None:
    """Print whether a server runs, and where. Raises ServerError when none is ready."""
    if not state.is_held(one.run):
        raise ServerError(f"no server runs on port `{one.http_port}`: `make serve`")
    found = state.state(one)
    say(f"{found.get('phase', 'starting')} (Triton pid {found.get('server', '?')}) at {one.url}")
    if why := state.trouble(found):
        raise ServerError(f"not ready ({why}): `make wait` waits, `{one.messages}` has more")
    if not Api(one.url).is_ready():
        raise ServerError("not every model is ready: `make wait`")


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if float(text) > 0:
            return float(text)
    raise ServerError(f"`TIMEOUT` is `{text}`, wanted a number of seconds above 0")


def _wait_for_supervisor(one: Settings) -> int:
    while state.is_held(one.run):
        pid = state.state(one).get("supervisor")
        if pid:
            return int(pid)
        time.sleep(POLL_S)
    raise ServerError("the server ended by itself")


def _messages(one: Settings) -> str:
    lines = Path(one.messages).read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-20:]) or "it said nothing"
