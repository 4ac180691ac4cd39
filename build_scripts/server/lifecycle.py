"""Runs one Triton from its start to its end: ready, supervised, drained, nothing left behind."""

from __future__ import annotations

import contextlib
import http.client
import os
import resource
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

from build_scripts import child_process, console, paths, processes
from build_scripts.bootstrap import triton
from build_scripts.errors import BuildError, ServerError
from build_scripts.server import api, preflight, served, settings
from build_scripts.server import (
    state as claim,
)
from build_scripts.server.api import Api
from build_scripts.server.door.door import Door
from build_scripts.server.door.order import METRICS_FILE
from build_scripts.server.gateway import Gateway
from build_scripts.server.launch import Launch, triton_command, triton_environment
from build_scripts.server.logs import engine, load_faults, reader, writer
from build_scripts.server.logs.engine import EngineLog
from build_scripts.server.models import supervisor
from build_scripts.server.models.drain import Drain
from build_scripts.server.models.loader import Loader
from build_scripts.server.models.supervisor import Supervisor
from build_scripts.server.models.warmup import Warmup
from build_scripts.server.monitoring import health, vram
from build_scripts.server.monitoring.canary import Canary
from build_scripts.server.monitoring.health import Health
from build_scripts.server.monitoring.vram import Watch
from build_scripts.server.on_demand.desk import Desk
from build_scripts.server.on_demand.turns import Turns
from build_scripts.server.served import Served
from build_scripts.server.settings import Settings
from build_scripts.server.triton import concealment, crashes, regions
from build_scripts.server.triton.crashes import Crashes
from build_scripts.server.triton.scratch import Scratch
from onecard.python_backend import speech_lock
from onecard.recognition import lease

ON_DEMAND_SOCKET = "on-demand"  # in the run directory
POLL_S = 0.1  # until it is ready
SERVING_POLL_S = 0.25
# After every model is unloaded no request is left; Triton then still waits for idle connections.
IDLE_CONNECTIONS_S = 3.0
# A model whose Python process ended before it could say so is waited for by Triton for ever.
DEAD_STUB_S = 5.0
BEAT_S = 5.0  # how often what was recorded is said to be so still
LAST_WORDS_S = 1.0  # for what the processes of a Triton that has ended still have to say


class Server:
    """One Triton, and the next one where it ended by itself; `run` returns when it is stopped."""

    def __init__(self, server: Settings, say: Callable[[str], None]) -> None:
        self._settings = server
        self._say = console.undisturbed(say)
        secret = secrets.token_urlsafe(24)
        self._door = Door(server, secret, self._say)
        self._gateway = Gateway(server, self._say, self._door.grpc_target)
        self._api = Api(self._door.inner.url, secret, self._door.inner.metrics_url)
        self._signals = 0
        self._tail = reader.Tail(server.log)
        self._reader = reader.Reader()
        self._engine_log: EngineLog | None = None
        self._configs: dict[str, dict[str, Any]] = {}  # of the models; empty until the first ready
        self._dead: dict[int, float] = {}  # pid of a stub -> when it was first seen dead
        self._crashes = Crashes()
        self._scratch = Scratch(server.run)
        self._writer: subprocess.Popen[bytes] | None = None  # of Triton's log
        self._recorded = (0, "", "")  # pid, phase and why
        self._beat_s = self._measured_s = 0.0
        self._desk: Desk | None = None  # of models on demand, where there are any

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then drain. A second signal ends it at once.

        Raises ServerError when the server ends by itself before it was ever ready (twice, where
        Triton aborts), and PortTaken or ServerError from the checks before the start.
        """
        with claim.locked(self._settings):
            claim.reclaim_all(self._settings.run, self._say)
            found = self._prepare()
            watch = vram.watch(found.deployment, found.launch, self._say)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._on_signal)
            self._door.on_demand = found.launch.on_demand
            self._door.open()
            try:
                self._gateway.open()
                while not self._signals:
                    process = self._started(found, watch)
                    if process is not None:
                        self._serve(process, found.launch, watch)
                    self._close_desk()
                    claim.reclaim(self._settings.run)
                    self._pause()
                self._say("stopped")
            finally:
                self._close_desk()
                self._gateway.close()
                self._door.close()
                claim.reclaim(self._settings.run)
                shutil.rmtree(self._settings.run, ignore_errors=True)

    def _prepare(self) -> Served:
        """Resolve what is to be served, and check all that can be checked before the start."""
        health.quiet_s()
        found = served.read(self._settings, self._say)
        for warning in preflight.check(self._settings, found):
            self._say(warning)
        if found.launch.runtime == "embedded":
            triton.link_backends()
            plan = found.deployment.plan
            if plan.card is not None:
                self._say(
                    f"rehearsal: plan {plan.name} is served without its card, by onecard's "
                    "own backend on the CPU"
                )
        return found

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._signals += 1

    def _started(self, found: Served, watch: Watch) -> subprocess.Popen[bytes] | None:
        """A Triton; None where one that served before cannot be started again now, for want of
        memory, processes or disk, which may come back."""
        try:
            return self._start(found, watch)
        except (OSError, BuildError) as error:
            if not self._configs:
                raise
            self._crashes.add(served_s=0.0)
            self._say(
                f"Triton could not be started ({error}); trying again in "
                f"{self._crashes.pause_s:.0f} s"
            )
            return None

    def _start(self, found: Served, watch: Watch) -> subprocess.Popen[bytes]:
        watch.before()
        (self._settings.run / METRICS_FILE).unlink(missing_ok=True)  # of the Triton before
        log = self._settings.log
        log.parent.mkdir(parents=True, exist_ok=True)
        reader.prune(log.parent, in_use=claim.running())
        if log.exists():
            log.replace(reader.aside(log))
        self._tail, self._reader = reader.Tail(log), reader.Reader()
        self._engine_log = engine.watch_log(found)
        repository = served.repository_of(self._settings, found, self._say)
        stack = child_process.stack_limit(settings.STACK_BYTES)
        files = child_process.file_limit()

        def prepare() -> None:
            child_process.end_with_parent()
            os.umask(0o077)  # /dev/shm and whatever models write is nobody else's to read
            resource.setrlimit(resource.RLIMIT_STACK, stack)
            resource.setrlimit(resource.RLIMIT_NOFILE, files)

        self._scratch = Scratch(self._settings.run)
        server_variable = {settings.SERVER: self._settings.shm_prefix}
        desk = self._open_desk(found.launch)
        self._writer = writer.start(log, server_variable)
        with self._writer.stdin or contextlib.nullcontext() as file:
            process = subprocess.Popen(
                triton_command(
                    replace(self._settings, repository=repository),
                    self._api.secret,
                    found.launch,
                    self._door.inner,
                ),
                cwd=paths.ROOT,
                env={
                    **triton_environment(found.launch),
                    **server_variable,
                    **desk,
                    # Given from outside where two servers share one card: speech goes first.
                    speech_lock.RUN_DIRECTORY: os.environ.get(
                        speech_lock.RUN_DIRECTORY, str(self._settings.run)
                    ),
                },
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                # Its own session: a Ctrl-C at the terminal is ours to turn into a drain.
                start_new_session=True,
                preexec_fn=prepare,
            )
        self._record(process.pid, "starting")
        self._say(f"starting Triton (pid {process.pid}), log in {_short(log)}")
        return process

    def _open_desk(self, launch: Launch) -> dict[str, str]:
        """Where models on demand are asked for, as variables of the next Triton."""
        self._close_desk()
        if not launch.on_demand:
            return {}
        turns = Turns(self._api, launch.on_demand)
        if launch.runtime == "embedded":  # NVIDIA's engines are in Triton's own process
            turns.has_ended = self._has_ended
        path = self._settings.run / ON_DEMAND_SOCKET
        self._desk = Desk(path, turns)
        return {lease.SOCKET: str(path)}

    def _has_ended(self, model: str) -> bool:
        """Whether no process of `model` lives."""
        pid, *_ = self._recorded
        return model not in supervisor.stubs(pid).values()

    def _close_desk(self) -> None:
        desk, self._desk = self._desk, None
        if desk is not None:
            desk.close()

    def _has_logged(self) -> bool:
        """Whether Triton said anything; its log is made by a process of its own."""
        with contextlib.suppress(FileNotFoundError):
            return self._settings.log.stat().st_size > 0
        return False

    def _serve(self, process: subprocess.Popen[bytes], launch: Launch, watch: Watch) -> None:
        """Watch over `process` to its end, by itself or by a signal to `serve`."""
        started_s = time.monotonic()
        ready_s: float | None = None
        supervisor: Supervisor | None = None
        warmup: Warmup | None = None
        doctor: Health | None = None
        self._dead = {}
        is_concealed = False
        loader = Loader(self._api, launch, watch.on_loaded)
        while process.poll() is None and not self._signals:
            self._relay()
            if not is_concealed and self._has_logged():
                is_concealed = concealment.conceal(process.pid, self._api.secret)
            self._door.keep()
            self._gateway.keep()
            regions.hide(self._settings.shm_prefix)
            if supervisor is None and self._is_stuck(process.pid):
                process.kill()
                process.wait()
            elif supervisor is None and self._is_ready(loader):
                time.sleep(POLL_S)  # what was said until now is on its way through a pipe
                self._relay()
                self._verify(watch)
                # Before the first requests: a model may end on one of them.
                supervisor = self._supervise(process.pid)
                warmup = self._warm_up()
            elif warmup is not None and ready_s is None and self._is_open(warmup):
                ready_s = time.monotonic()
                self._announce(process.pid, ready_s - started_s)
                asking = Canary(self._door.grpc_target)
                doctor = Health(asking, self._api, self._configs, process.pid, self._say)
                doctor.start()
            elif doctor is not None:
                self._record(process.pid, *doctor.phase())
                self._measure(watch)
            if supervisor is None:
                self._scratch.look()
            time.sleep(POLL_S if doctor is None else SERVING_POLL_S)
        for watcher in (doctor, warmup, supervisor):
            if watcher is not None:
                watcher.stop()
        if not self._signals:
            self._survive(process.returncode, ready_s)
            return
        self._record(process.pid, "draining")
        self._gateway.drain()
        if ready_s is not None and process.poll() is None:
            self._drain(process.pid)
        self._end(process)

    def _record(self, pid: int, phase: str, why: str = "") -> None:
        """Say to others how things stand, and every `BEAT_S` that somebody still looks.

        Where the disk is full, the next beat says it again.
        """
        state, now_s = (pid, phase, why), time.monotonic()
        if state == self._recorded and now_s - self._beat_s < BEAT_S:
            return
        with contextlib.suppress(OSError):
            claim.record(self._settings, *state)
            self._recorded, self._beat_s = state, now_s

    def _measure(self, watch: Watch) -> None:
        """Leave what the card holds where whoever asks for metrics gets it, every `BEAT_S`."""
        now_s = time.monotonic()
        if now_s - self._measured_s < BEAT_S:
            return
        self._measured_s = now_s
        path = self._settings.run / METRICS_FILE
        with contextlib.suppress(OSError, BuildError):  # no disk, no driver: no gauges
            if text := watch.gauges() + (self._desk.turns.gauges() if self._desk else ""):
                aside = path.with_suffix(".new")
                aside.write_text(text, encoding="utf-8")
                aside.replace(path)

    def _is_ready(self, loader: Loader) -> bool:
        """Whether every model is loaded and answers; what they are is kept then."""
        try:
            if not self._api.is_ready() or not loader.is_done():
                return False
            self._configs = self._api.configs(self._api.states())
        except (OSError, http.client.HTTPException):  # it ended meanwhile
            return False
        except ServerError as error:  # of one model; the log has its reason
            raise ServerError(f"{error}{_cure(self._settings.log)}") from error
        return True

    def _verify(self, watch: Watch) -> None:
        """Check that what was loaded is what was planned. Raises ServerError if it is not."""
        for warning in self._engine_log.verify() if self._engine_log is not None else ():
            self._say(warning)
        table = watch.verify()
        for line in table.lines() if table is not None else ():
            self._say(line)

    def _is_open(self, warmup: Warmup) -> bool:
        """Whether the first requests are answered, and the gateway takes those of applications."""
        return warmup.is_done() and self._gateway.is_settled()

    def _is_stuck(self, pid: int) -> bool:
        """Whether a model's process died so early that Triton will never be ready."""
        now_s = time.monotonic()
        self._dead = {stub: self._dead.get(stub, now_s) for stub in processes.zombies(pid)}
        return any(now_s - since_s > DEAD_STUB_S for since_s in self._dead.values())

    def _supervise(self, pid: int) -> Supervisor:
        decoupled = {name for name, c in self._configs.items() if api.is_decoupled(c)}
        on_demand = api.on_demand(self._configs)
        supervisor = Supervisor(pid, self._api, decoupled, self._say, on_demand)
        supervisor.start()
        return supervisor

    def _warm_up(self) -> Warmup:
        models = self._configs if self._settings.warmup else {}
        return Warmup(self._door.grpc_target, models, self._say)

    def _announce(self, pid: int, seconds: float) -> None:
        self._record(pid, "ready")
        where = self._settings.reachable_address
        self._say(
            f"ready after {seconds:.0f} s: {len(self._configs)} models, "
            f"HTTP {where}:{self._settings.http_port}, gRPC {where}:{self._settings.grpc_port}, "
            f"metrics {where}:{self._settings.metrics_port}{self._gateway.shown}"
        )

    def _drain(self, pid: int) -> None:
        self._say("draining: no new requests; ends with the last one in flight (again: at once)")
        drain = Drain(self._api, pid, self._configs, self._settings.drain_timeout_s)
        drain.run(self._say, is_hurried=lambda: self._signals > 1)

    def _end(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(IDLE_CONNECTIONS_S)
        if process.poll() is None:
            process.kill()
            process.wait()
        self._relay_last()

    def _survive(self, status: int, ready_s: float | None) -> None:
        """Keep the log of a Triton that ended by itself, and say that another is started.

        Raises ServerError where another would be of no use.
        """
        served_s = 0.0 if ready_s is None else time.monotonic() - ready_s
        self._relay_last()
        when = "before it was ready" if ready_s is None else "while it was serving"
        what = f"Triton ended with {processes.ended(status)} {when}"
        log = self._settings.log
        was_ever_ready = bool(self._configs)
        if not was_ever_ready and not self._crashes.is_survived_at_start(status):
            # Nothing says that another would do better.
            raise ServerError(f"{what}:\n  {_reason(log)}\nthe whole log is in {_short(log)}")
        self._crashes.add(served_s)
        in_pause = f" in {self._crashes.pause_s:.0f} s" if self._crashes.pause_s else ""
        kept = _short(crashes.kept(log))
        self._say(f"{what}; starting it again{in_pause}; its log is kept in {kept}")

    def _pause(self) -> None:
        """Wait before another Triton is started; a signal ends it."""
        until_s = time.monotonic() + self._crashes.pause_s
        while (left_s := until_s - time.monotonic()) > 0 and not self._signals:
            self._record(0, "paused", f"Triton ended {self._crashes.count} times in a row")
            time.sleep(min(POLL_S, left_s))

    def _relay(self) -> None:
        for line in self._tail.lines():
            if self._engine_log is not None:
                self._engine_log.read(line)
            shown = self._reader.read(line)
            if shown:
                self._say(shown)
        if reader.is_output(self._settings.messages):
            reader.shorten(self._settings.messages)

    def _relay_last(self) -> None:
        """Pass on what is written until the log's writer ends, as it does after all processes."""
        if self._writer is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._writer.wait(LAST_WORDS_S)
        self._relay()


def _reason(log: Path) -> str:
    return ("\n  ".join(reader.reason(log)) or "it said nothing") + _cure(log)


def _cure(log: Path) -> str:
    """The cure on a line of its own; empty if none is known."""
    found = load_faults.cure(log)
    return f"\n{found}" if found else ""


def _short(path: Path) -> str:
    with contextlib.suppress(ValueError):
        return str(path.relative_to(paths.ROOT))
    return str(path)
