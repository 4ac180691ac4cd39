"""Makes the first request of each kind, before `serve` says that it is ready.

First requests are slow: kernels are chosen, pools grow, the grammar of verdicts is compiled.
Triton's `model_warmup` does not do for models that call others: they are loaded in any order, and
cannot wait for each other (server issue #4549) or call while they are loaded (python_backend pull
request #248).

A process of its own sends them, so that gRPC's threads are not in the one that starts Tritons.
"""

from __future__ import annotations

import subprocess
import sys
import wave
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from build_scripts import child_process, paths, processes

if TYPE_CHECKING:
    from onecard_client import Client

# Of each; a model that has crashed is loaded again meanwhile. A server that is started again has
# callers at once, behind whose speech triage waits: whether it is warm must not keep it from being
# ready for longer.
TIMEOUT_S = 60.0
READ_S = 0.01  # that `is_done` waits at most
RECORDING = Path("pyannote", "audio", "sample", "sample.wav")  # in the environment
SPEECH_S = 12  # of it
MAIL = {"id": "1", "subject": "Lunch?", "body": "On Friday at noon?"}


class Warmup:
    """The requests that `models` can answer, made side by side in the background.

    Args:
        address: of gRPC without TLS.
    """

    def __init__(self, address: str, models: Collection[str], say: Callable[[str], None]):
        self._say = say
        wanted = [model for model in REQUESTS if model in models]
        self._process = _start(address, wanted) if wanted else None

    def is_done(self) -> bool:
        """Whether all are answered; then says, once, which failed and why."""
        if self._process is None:
            return True
        try:
            failures, complaints = self._process.communicate(timeout=READ_S)
        except subprocess.TimeoutExpired:  # what was read until now is kept for the next call
            return False
        for line in failures.splitlines():
            self._say(line)
        if self._process.returncode != 0:
            how = processes.ended(self._process.returncode)
            why = complaints.strip().splitlines() or ["it said nothing"]
            self._say(f"the warm-up ended with {how}: {why[-1]}")
        self._process = None
        return True

    def stop(self) -> None:
        """Give up what is not answered yet."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()


def _start(address: str, models: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "build_scripts.server.models.warmup", address, *models],
        cwd=paths.ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=child_process.end_with_parent,
    )


def main(address: str, models: Sequence[str]) -> None:
    """Ask each of `models` once; print a line for each that did not answer."""
    from onecard_client import Client

    with Client(address, max_retries=0) as client, ThreadPoolExecutor(len(models)) as pool:
        asked = {model: pool.submit(REQUESTS[model], client) for model in models}
        for model, answer in asked.items():
            error = answer.exception()
            if error is not None:
                print(f"the first request to `{model}`, to warm it up, failed: {error}", flush=True)


def speech(from_s: int, seconds: int) -> tuple[bytes, dict[str, Any]]:
    """The beginning of the recording, and the options that describe it."""
    with wave.open(str(paths.site_packages() / RECORDING)) as file:
        rate = file.getframerate()
        file.setpos(from_s * rate)
        form = {"encoding": "pcm_s16le", "sample_rate": rate, "channels": file.getnchannels()}
        return file.readframes(seconds * rate), form


def _transcribe(client: Client) -> None:
    pcm, form = speech(0, SPEECH_S)
    client.transcribe(pcm, timeout_s=TIMEOUT_S, **form)
    for further in client.health().speech_models[1:]:
        if not further.on_demand:
            client.transcribe(
                pcm, timeout_s=TIMEOUT_S, model=further.name, align=False, diarize=False, **form
            )


def _chat(client: Client) -> None:
    for _ in client.chat("Hello", timeout_s=TIMEOUT_S, max_tokens=8):
        pass


def _triage(client: Client) -> None:
    for _ in client.triage([MAIL], timeout_s=TIMEOUT_S):
        pass


REQUESTS: Mapping[str, Callable[[Client], None]] = {
    "transcribe_stream": _transcribe,
    "chat": _chat,
    "triage": _triage,
}


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
