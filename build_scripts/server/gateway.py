"""The HTTP service for applications beside a Triton: a process that is kept and drained with it."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping
from functools import partial

from build_scripts import child_process, paths, processes
from build_scripts.errors import ServerError
from build_scripts.server.logs import writer
from build_scripts.server.settings import Settings

RETRY_S = 5.0
LAST_WORDS_S = 1.0
WRONG_SETTINGS = 2  # how it ends where it would end so again
CLOSE_S = 10.0  # after Triton has ended, when nothing is left to wait for
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}
_NEEDED = ("fastapi", "prometheus_client", "python_multipart", "uvicorn")


class Gateway:
    """Opened after the door, asked to end before Triton drains, and closed after it has ended."""

    def __init__(
        self, settings: Settings, say: Callable[[str], None], target: str | None = None
    ) -> None:
        self._settings = settings
        self._target = target or f"{settings.reachable_address}:{settings.grpc_port}"
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._log: subprocess.Popen[bytes] | None = None  # what writes it
        self._is_ending = False
        self._has_ended = False  # by itself, at least once
        self._next_try_s = 0.0

    def open(self) -> None:
        """Start it, unless it is not wanted, or cannot be had and nobody asked for it.

        Raises ServerError where somebody did.
        """
        lack = self._lack()
        if lack and self._settings.is_gateway_asked:
            raise ServerError(lack)
        if lack:
            self._say(f"warning: {lack}; serving without it")
        elif self._settings.gateway_port is not None:
            self._process = self._started()

    def keep(self) -> None:
        """Start it again where it has ended, and while that fails now and then."""
        if self._process is None or self._process.poll() is None or self._is_ending:
            return
        if time.monotonic() < self._next_try_s:
            return
        if self._process.returncode == WRONG_SETTINGS:
            self._end_log()
            self._process = None
            self._say(f"serving without the gateway, which refused: {self._last_words()}")
            return
        how = processes.ended(self._process.returncode)
        self._has_ended = True
        self._next_try_s = time.monotonic() + RETRY_S
        self._say(f"the gateway ended with {how} (log in {self._settings.gateway_log})")
        self._process = self._started()

    def is_settled(self) -> bool:
        """Whether it answers, or none is waited for."""
        if self._process is None or self._has_ended:
            return True
        with contextlib.suppress(OSError), socket.create_connection(self._address, timeout=1.0):
            return True
        return False

    @property
    def shown(self) -> str:
        """Where it is, for people; empty if there is none."""
        host, port = self._address
        shown = f"[{host}]" if ":" in host else host
        scheme = "https" if os.environ.get("GATEWAY_TLS_CERTIFICATE") else "http"
        return f", gateway {scheme}://{shown}:{port}" if self._process is not None else ""

    def drain(self) -> None:
        """Have it take nothing more, and end with its last request."""
        self._is_ending = True
        if self._process is not None:
            self._process.terminate()

    def close(self) -> None:
        """End it; the requests that it had have their answers."""
        self.drain()
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(CLOSE_S)
            process.kill()
            process.wait()
        self._end_log()

    def _end_log(self) -> None:
        """Wait for the writer of its log, which ends after it."""
        if self._log is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._log.wait(LAST_WORDS_S)

    def _last_words(self) -> str:
        with contextlib.suppress(OSError):
            lines = self._settings.gateway_log.read_text(encoding="utf-8", errors="replace")
            return next((line for line in reversed(lines.splitlines()) if line.strip()), "")
        return f"see {self._settings.gateway_log}"

    @property
    def _address(self) -> tuple[str, int]:
        """Where it is reached from here; it reads GATEWAY_HOST itself."""
        host = os.environ.get("GATEWAY_HOST") or "127.0.0.1"
        return _WILDCARDS.get(host, host), self._settings.gateway_port or 0

    def _lack(self) -> str:
        """Why it cannot be started; empty where it can or is not wanted."""
        if self._settings.gateway_port is None:
            return ""
        missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
        if missing:
            return f"the gateway needs {', '.join(missing)}: run `make setup`"
        host, port = self._address
        if not processes.is_free(host, port):
            return (
                f"port `{port}` of `{host}` is taken by {processes.listener(port)}, wanted it for "
                "GATEWAY_PORT: stop that process or choose another, or GATEWAY=0"
            )
        return ""

    def _started(self) -> subprocess.Popen[bytes]:
        self._settings.gateway_log.parent.mkdir(parents=True, exist_ok=True)
        self._end_log()
        self._log = writer.start(self._settings.gateway_log, {})
        with self._log.stdin or contextlib.nullcontext() as file:
            return subprocess.Popen(
                [str(paths.PYTHON), "-m", "onecard_gateway"],
                cwd=paths.ROOT,
                env=_environment(self._settings, self._target, os.environ),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                start_new_session=True,  # a Ctrl-C at the terminal is a drain
                # As the door, it outlives a Triton that ends by itself.
                preexec_fn=partial(child_process.end_with_parent, signal.SIGKILL),
            )


def _environment(settings: Settings, target: str, inherited: Mapping[str, str]) -> dict[str, str]:
    """What it reads; what is said to it otherwise (`GATEWAY_*`) goes on to it."""
    folders = [str(paths.ROOT / name) for name in ("client", "gateway")]
    given = {
        "ONECARD_URL": target,
        "GATEWAY_PORT": str(settings.gateway_port),
        "GATEWAY_DRAIN_S": str(max(1, settings.drain_timeout_s)),
        "PYTHONPATH": os.pathsep.join(folders),
    }
    hosts = {"GATEWAY_ALLOWED_HOSTS": ",".join(settings.allowed_hosts)}
    return {"GRPC_VERBOSITY": "NONE", **hosts, **inherited, **given}
