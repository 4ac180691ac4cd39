"""The verbs serve, wait, stop and status: one server, started here or found by what it recorded."""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from functools import partial

from build_scripts import arguments as dial
from build_scripts import paths
from build_scripts.console import say
from build_scripts.errors import ServerError
from build_scripts.server import lifecycle, preflight, running, served, settings, state
from build_scripts.server.api import Api
from build_scripts.server.settings import Settings


def main(verb: str, arguments: Sequence[str]) -> None:
    """Run one of the four verbs. Raises PortTaken or ServerError."""
    parser = argparse.ArgumentParser(prog=f"python -m build_scripts {verb}")
    settings.add_arguments(parser)
    if verb == "serve":
        dial.add_argument(parser)
        parser.add_argument("--detach", action="store_true", help="return at once; or DETACH=1")
    if verb == "wait":
        help_text = f"seconds, default {running.WAIT_TIMEOUT_S}; or TIMEOUT="
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
        limit = os.environ.get("TIMEOUT") or str(running.WAIT_TIMEOUT_S)
        running.wait(one, parsed.timeout or _seconds(limit))
    elif verb == "stop":
        running.stop(one)
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
        time.sleep(running.POLL_S)
    if process.poll() is not None:
        raise ServerError(running.messages(one))
    say(f"serving in the background (pid {process.pid}); `make wait` waits until it is ready")


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
