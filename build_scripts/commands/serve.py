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
from build_scripts.console import LOG_FORMATS, say, say_json
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
    server_settings = settings.from_arguments(parsed)
    if verb == "serve":
        _log_format()
        os.umask(0o077)  # logs say who asked what
    if verb == "serve" and (parsed.detach or os.environ.get("DETACH") == "1"):
        detach(server_settings, arguments)
    elif verb == "serve":
        lifecycle.Server(server_settings, say_json if _log_format() == "json" else say).run()
    elif verb == "wait":
        limit = os.environ.get("TIMEOUT") or str(running.WAIT_TIMEOUT_S)
        running.wait(server_settings, parsed.timeout or _seconds(limit))
    elif verb == "stop":
        running.stop(server_settings)
    else:
        status(server_settings)


def detach(settings: Settings, arguments: Sequence[str]) -> None:
    """Start `serve` in the background; returns when Triton is started, not when it is ready.

    Raises PortTaken or ServerError for what keeps it from being started.
    """
    if state.is_held(settings.run):
        with state.locked(settings):  # says who runs; taken only if that one ended just now
            pass
    preflight.check(settings, served.read(settings, say))
    settings.messages.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "build_scripts", "serve"]
    command += [argument for argument in arguments if argument != "--detach"]
    settings.messages.unlink(missing_ok=True)
    # To its end, wherever that is: what grows too long is begun anew.
    with open(settings.messages, "ab", opener=partial(os.open, mode=0o600)) as file:
        process = subprocess.Popen(
            command,
            cwd=paths.ROOT,
            env={**os.environ, "DETACH": ""},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    while process.poll() is None and state.state(settings).get("supervisor") != process.pid:
        time.sleep(running.POLL_S)
    if process.poll() is not None:
        raise ServerError(running.messages(settings))
    say(f"serving in the background (pid {process.pid}); `make wait` waits until it is ready")


def status(settings: Settings) -> None:
    """Print whether a server runs, and where. Raises ServerError when none is ready."""
    if not state.is_held(settings.run):
        raise ServerError(f"no server runs on port `{settings.http_port}`: `make serve`")
    found = state.state(settings)
    phase, pid = found.get("phase", "starting"), found.get("server", "?")
    say(f"{phase} (Triton pid {pid}) at {settings.url}")
    if why := state.trouble(found):
        raise ServerError(f"not ready ({why}): `make wait` waits, `{settings.messages}` has more")
    if not Api(settings.url).is_ready():
        raise ServerError("not every model is ready: `make wait`")


def _log_format() -> str:
    """Of what `serve` and its parts say. Raises ServerError for an unknown one."""
    found = os.environ.get("LOG_FORMAT") or "text"
    if found not in LOG_FORMATS:
        raise ServerError(f"`LOG_FORMAT` is `{found}`, wanted one of {', '.join(LOG_FORMATS)}")
    return found


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if float(text) > 0:
            return float(text)
    raise ServerError(f"`TIMEOUT` is `{text}`, wanted a number of seconds above 0")
