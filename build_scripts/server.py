"""Runs one Triton from its start to its end: ready, supervised, drained, and nothing left behind.

It knows processes, signals and shared memory. What is said to people goes through `say`.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import IO, Any

from build_scripts import control, layout, preflight, processes, runtime, server_log, settings
from build_scripts.control import Api
from build_scripts.errors import ServerError
from build_scripts.settings import Settings
from build_scripts.supervisor import ControlApi, Supervisor

POLL_S = 0.1
# After every model is unloaded no request is left; Triton then still waits for idle connections.
IDLE_CONNECTIONS_S = 3.0
# A model whose Python process ended before it could say so is waited for by Triton for ever.
DEAD_STUB_S = 5.0
STATE = "server.json"


class Server:
    """One Triton and what was said about it; `run` returns its exit status."""

    def __init__(self, server: Settings, say: Callable[[str], None]) -> None:
        self._settings = server
        self._say = say
        self._api = Api(server.url, secrets.token_urlsafe(24))
        self._signals = 0
        self._tail = server_log.Tail(server.log)
        self._reader = server_log.Reader()
        self._calls: dict[str, set[str]] = {}
        self._dead: dict[int, float] = {}  # pid of a stub -> when it was first seen dead

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. A second signal ends it at once.

        Raises ServerError when the server ends by itself, PortTaken, or ServerError from the
        checks before the start.
        """
        with locked(self._settings):
            reclaim_all(self._settings.run, self._say)
            for warning in preflight.check(self._settings):
                self._say(warning)
            runtime.link_backends()
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)
            process = self._start()
            try:
                self._serve(process)
            finally:
                reclaim(self._settings.run)
                shutil.rmtree(self._settings.run, ignore_errors=True)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _start(self) -> subprocess.Popen[bytes]:
        log = self._settings.log
        log.parent.mkdir(parents=True, exist_ok=True)
        server_log.prune(log.parent)
        if log.exists():
            log.replace(log.with_suffix(".log.1"))
        with log.open("wb") as file:
            process = subprocess.Popen(
                settings.command(self._settings, self._api.secret),
                cwd=layout.ROOT,
                env=settings.environment(),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                # Its own session: a Ctrl-C at the terminal is ours to turn into a drain.
                start_new_session=True,
                preexec_fn=processes.end_with_parent,
            )
        self._record(process.pid, "starting")
        self._say(f"starting Triton (pid {process.pid}), log in {_short(log)}")
        return process

    def _serve(self, process: subprocess.Popen[bytes]) -> None:
        started_s = time.monotonic()
        supervisor: Supervisor | None = None
        while process.poll() is None and not self._signals:
            self._relay()
            if supervisor is None and self._is_stuck(process.pid):
                process.kill()
                process.wait()
            elif supervisor is None and self._api.is_ready():
                self._calls = self._api.calls(self._api.states())
                self._relay()
                self._announce(process.pid, time.monotonic() - started_s)
                api = ControlApi(self._api.url, control.HEADER, self._api.secret)
                supervisor = Supervisor(process.pid, api, self._say)
                supervisor.start()
            time.sleep(POLL_S)
        if supervisor is not None:
            supervisor.stop()
        if not self._signals:
            self._fail(process.returncode, was_ready=supervisor is not None)
        self._record(process.pid, "draining")
        if supervisor is not None:
            self._drain()
        self._end(process)
        self._say("stopped")

    def _is_stuck(self, pid: int) -> bool:
        """Whether a model's process died so early that Triton will never be ready."""
        now_s = time.monotonic()
        self._dead = {stub: self._dead.get(stub, now_s) for stub in processes.zombies(pid)}
        return any(now_s - since_s > DEAD_STUB_S for since_s in self._dead.values())

    def _announce(self, pid: int, seconds: float) -> None:
        self._record(pid, "ready")
        where = self._settings.reachable_address
        self._say(
            f"ready after {seconds:.0f} s: {len(self._calls)} models, "
            f"HTTP {where}:{self._settings.http_port}, gRPC {where}:{self._settings.grpc_port}, "
            f"metrics {where}:{self._settings.metrics_port}"
        )

    def _drain(self) -> None:
        """Unload callers before what they call; each waits for its requests in flight."""
        self._say("draining: no new requests; ends with the last one in flight (again: at once)")
        deadline_s = time.monotonic() + self._settings.drain_timeout_s
        try:
            for wave in control.waves(self._calls):
                failures = self._unload(wave)
                while (left := self._unloading(wave)) and self._signals < 2 and not failures:
                    if time.monotonic() > deadline_s:
                        self._say(f"gave up on requests in flight in {', '.join(left)}")
                        return
                    time.sleep(POLL_S)
                if failures:
                    self._say(f"warning: draining failed ({failures[0]})")
                    return
        except OSError as error:
            self._say(f"warning: the server did not answer while draining ({error})")

    def _unload(self, wave: list[str]) -> list[OSError]:
        """Begin to unload every model of `wave`; failures appear in what is returned."""
        failures: list[OSError] = []

        def unload(model: str) -> None:
            try:
                self._api.unload(model, timeout_s=self._settings.drain_timeout_s)
            except OSError as error:
                if self._signals < 2:
                    failures.append(error)

        for model in wave:  # side by side, for each returns only when its processes have ended
            threading.Thread(target=unload, args=(model,), daemon=True).start()
        return failures

    def _unloading(self, wave: list[str]) -> list[str]:
        states = self._api.states()
        return [model for model in wave if states.get(model) in ("READY", "UNLOADING")]

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(IDLE_CONNECTIONS_S)
        if process.poll() is None:
            process.kill()
            process.wait()
        self._relay()

    def _fail(self, status: int | None, was_ready: bool) -> None:
        time.sleep(POLL_S)  # what the stubs still had to say
        self._relay()
        when = "while it was serving" if was_ready else "before it was ready"
        why = "\n  ".join(server_log.reason(self._settings.log)) or "it said nothing"
        raise ServerError(
            f"Triton ended with status {status} {when}:\n  {why}\n"
            f"the whole log is in {_short(self._settings.log)}"
        )

    def _relay(self) -> None:
        for line in self._tail.lines():
            shown = self._reader.read(line)
            if shown:
                self._say(shown)

    def _record(self, pid: int, phase: str) -> None:
        """Say to `wait` and `stop` how things stand; replaced in one step."""
        document = {"phase": phase, "supervisor": os.getpid(), "server": pid}
        path = self._settings.run / STATE
        aside = path.with_suffix(".new")
        aside.write_text(json.dumps(document) + "\n", encoding="utf-8")
        aside.replace(path)


@contextmanager
def locked(server: Settings) -> Iterator[None]:
    """Hold this server's name. Raises ServerError while another `serve` of this checkout does."""
    file = _lock_file(server)
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = state(server).get("server", "?")
            raise ServerError(
                f"this checkout's server is running already on port `{server.http_port}` "
                f"(pid {pid}): `make stop` ends it, HTTP_PORT=... starts another beside it"
            ) from None
        # Another start may have cleaned the folder away before it was locked.
        server.run.mkdir(parents=True, exist_ok=True)
        yield


def _lock_file(server: Settings) -> IO[str]:
    while True:
        server.run.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            return (server.run / "lock").open("w")


def is_held(run: Path) -> bool:
    """Whether a living `serve` holds the lock in `run`; the kernel releases it with the process."""
    try:
        with (run / "lock").open("r") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def state(server: Settings) -> dict[str, Any]:
    """What the running `serve` recorded: phase, supervisor, server; empty when there is none."""
    try:
        document = json.loads((server.run / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def reclaim_all(own: Path, say: Callable[[str], None]) -> None:
    """Clean up after every server of this checkout whose `serve` is gone (kill -9, power cut).

    `own` is the directory whose lock the caller holds.
    """
    for run in sorted(layout.RUN.glob("*/")):
        if run == own or not is_held(run):
            count = reclaim(run)
            if count:
                say(f"cleaned up after a server that was killed: {count} processes and regions")
            if run != own:
                shutil.rmtree(run, ignore_errors=True)


def reclaim(run: Path) -> int:
    """End the processes and remove the shared memory of the server whose state is in `run`.

    Both are recognised by the shared-memory prefix, which is this checkout's and this port's
    alone: it stands in the command line of the server and of every stub. Returns how many.
    """
    prefix = settings.shm_prefix(run.name)
    left = processes.mentioning(prefix)
    processes.end(left, patience_s=3)
    regions = list(Path("/dev/shm").glob(f"{prefix}*"))
    for region in regions:
        region.unlink(missing_ok=True)
    (run / STATE).unlink(missing_ok=True)
    return len(left) + len(regions)


def _short(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(layout.ROOT))
    return str(path)
