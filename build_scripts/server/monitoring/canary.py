"""Small requests to the public models, made to see whether they are answered.

A process of its own makes them, as in `warmup`, so that gRPC's threads are not in the one that
starts Tritons. It reads `MODEL TIMEOUT_S` a line, and writes a JSON object a line for each.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from build_scripts import child_process, paths
from build_scripts.server.models import warmup

if TYPE_CHECKING:
    from onecard_client import Client

FROM_S, SPEECH_S = 6, 2  # of the recording: somebody speaks there
# Beyond a request's own time: a process that hangs does not even hear that it is over.
MARGIN_S = 2.0


@dataclass(frozen=True)
class Reply:
    """The outcome of one request."""

    model: str
    seconds: float
    is_late: bool = False  # nothing came in time
    is_refused: bool = False  # there was no room for it
    stage: str = ""  # the model that the request had reached, if its events say so
    problem: str = ""  # empty if it was answered


class Canary:
    """Asks from a process that is started when it is needed, and again when it has ended.

    Args:
        address: of gRPC without TLS.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._process: subprocess.Popen[bytes] | None = None
        self._rest = b""

    def ask(self, model: str, timeout_s: float) -> None:
        """Begin a request; `replies` has what came of it, unless the process ends before."""
        if self._process is None or self._process.poll() is not None:
            self.stop()
            self._process = _start(self._address)
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):  # it ended just now
            self._process.stdin.write(f"{model} {timeout_s}\n".encode())

    def replies(self) -> list[Reply]:
        """The replies since the last call; does not wait."""
        if self._process is None or self._process.stdout is None:
            return []
        *lines, self._rest = (self._rest + (self._process.stdout.read() or b"")).split(b"\n")
        return [Reply(**json.loads(line)) for line in lines]

    def stop(self) -> None:
        """Give up what is not answered yet."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process, self._rest = None, b""


def _start(address: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-m", "build_scripts.server.monitoring.canary", address],
        cwd=paths.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
        preexec_fn=child_process.end_with_parent,
    )
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    return process


class Asker:
    """Makes the requests, each in a thread; `write` is called with what came of it."""

    def __init__(self, client: Client, write: Callable[[Reply], None]) -> None:
        self._client = client
        self._write = write

    def ask(self, model: str, timeout_s: float) -> None:
        threading.Thread(target=self._ask, args=(model, timeout_s), daemon=True).start()

    def _ask(self, model: str, timeout_s: float) -> None:
        """A process that hangs may keep the request's own thread for longer than its time."""
        started_s = time.monotonic()
        asked = _Asked()
        done = threading.Thread(target=asked.run, args=(self._client, model, timeout_s))
        done.daemon = True
        done.start()
        done.join(timeout_s + MARGIN_S)
        seconds = round(time.monotonic() - started_s, 2)
        late = done.is_alive() or asked.is_late
        self._write(Reply(model, seconds, late, asked.is_refused, asked.stage, asked.problem))


class _Asked:
    """One request."""

    def __init__(self) -> None:
        self.stage = self.problem = ""
        self.is_late = self.is_refused = False

    def run(self, client: Client, model: str, timeout_s: float) -> None:
        from onecard_client import ConnectionFailed, DeadlineExceeded, InvalidRequest, Unavailable

        try:
            REQUESTS[model](client, timeout_s, self._note)
        except InvalidRequest:
            pass  # an answer, too
        except DeadlineExceeded as error:
            self.is_late, self.problem = True, str(error)
        except Unavailable as error:  # no room, unless nobody was let in at all
            self.is_refused = not isinstance(error, ConnectionFailed)
            self.problem = str(error)
        except Exception as error:
            self.problem = str(error) or type(error).__name__

    def _note(self, stage: str) -> None:
        self.stage = stage


Note = Callable[[str], None]


def _transcribe(client: Client, timeout_s: float, note: Note) -> None:
    from onecard_client import Progress

    pcm, form = warmup.speech(FROM_S, SPEECH_S)
    for event in client.transcribe_stream(pcm, timeout_s=timeout_s, language="en", **form):
        if isinstance(event, Progress):
            note(event.stage)


def _chat(client: Client, timeout_s: float, note: Note) -> None:
    for _ in client.chat("Hello", timeout_s=timeout_s, max_tokens=1):
        pass


def _triage(client: Client, timeout_s: float, note: Note) -> None:
    """A triage of no emails: `chat` shows that the engine works."""
    for _ in client.triage([], timeout_s=timeout_s):
        pass


def _minutes(client: Client, timeout_s: float, note: Note) -> None:
    """Minutes of a transcript without a word: `chat` shows that the engine works."""
    for _ in client.minutes_stream({"segments": []}, timeout_s=timeout_s):
        pass


REQUESTS: Mapping[str, Callable[[Client, float, Note], None]] = {
    "transcribe_stream": _transcribe,
    "chat": _chat,
    "triage": _triage,
    "minutes": _minutes,
}


def asked_for(models: Collection[str]) -> list[str]:
    """The models for which there is a request.

    Not `transcribe`: Triton 2.51 can end when a unary request to an ensemble is cancelled (server
    issues #7368, #8034), and its steps are the models of `transcribe_stream`.
    """
    return [model for model in REQUESTS if model in models]


def main(address: str) -> None:
    """Ask for each line of standard input, until its end."""
    from onecard_client import Client

    lock = threading.Lock()

    def write(reply: Reply) -> None:
        document: dict[str, Any] = dict(vars(reply))
        with lock:
            sys.stdout.write(json.dumps(document) + "\n")
            sys.stdout.flush()

    with Client(address, max_retries=0) as client:
        asker = Asker(client, write)
        for line in sys.stdin:
            model, timeout_s = line.split()
            asker.ask(model, float(timeout_s))


if __name__ == "__main__":
    main(sys.argv[1])
