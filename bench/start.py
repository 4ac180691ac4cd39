"""From nothing to ready, the first request after that against later ones, and WhisperX's command.

Each kind of request is the first that a server of its own gets. The files that are loaded are in
the machine's cache, for both sides.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bench import recordings
from bench.interleave import Spread, interleaved, num_rounds, ratios, seconds, spread
from bench.mails import labelled
from bench.serving import serving
from build_scripts import layout
from onecard import threads
from onecard_client import Client

ROUNDS = 3
NUM_LATER = 5
SETTLE_S = 1.0  # between ready and the first request
CHAT_TOKENS = 64
PEERS = layout.ROOT / ".venv-peers" / "bin" / "python"


def measure() -> dict[str, Any]:
    """Seconds to ready, of first and later requests, and of WhisperX's command."""
    sides: dict[str, Callable[[], Mapping[str, float]]] = {
        name: partial(_served, request) for name, request in REQUESTS.items()
    }
    lack = _lack()
    if not lack:
        sides["whisperx"] = _whisperx
    found = interleaved(sides, num_rounds(ROUNDS), warmups=0)
    rounds = [one for name in REQUESTS for one in found[name]]
    results: dict[str, Any] = {"ready_s": spread([one["ready_s"] for one in rounds])}
    for name in REQUESTS:
        first, later = ([one[key] for one in found[name]] for key in ("first_s", "later_s"))
        results[name] = {
            "first_s": spread(first),
            "later_s": spread(later),
            "first_ratio": spread(ratios(first, later)),
        }
        _say(f"first `{name}` over later ones", results[name]["first_ratio"], first, later)
    print(f"  ready after {results['ready_s']['median']:.1f} s", flush=True)
    if lack:
        print(f"  {lack}: nothing to compare with", flush=True)
        return {**results, "skipped": {"whisperx_ratio": lack}}
    whole = [one["ready_s"] + one["first_s"] for one in found["transcribe"]]
    theirs = [one["seconds"] for one in found["whisperx"]]
    results["whisperx_s"] = spread(theirs)
    results["whisperx_ratio"] = spread(ratios(whole, theirs))
    _say("start and transcript over WhisperX's", results["whisperx_ratio"], whole, theirs)
    return results


def _transcribe(client: Client) -> None:
    client.transcribe(recordings.conversation(), language="en")


def _chat(client: Client) -> None:
    for _ in client.chat(
        "Name three colours.", max_tokens=CHAT_TOKENS, min_tokens=CHAT_TOKENS, temperature=0.0
    ):
        pass


def _triage(client: Client) -> None:
    for _ in client.triage([labelled()[0].email]):
        pass


REQUESTS: Mapping[str, Callable[[Client], None]] = {
    "transcribe": _transcribe,
    "chat": _chat,
    "triage": _triage,
}


def _served(request: Callable[[Client], None]) -> dict[str, float]:
    """A server's start, its first request, and the median of later ones."""
    with serving() as server:
        time.sleep(SETTLE_S)
        first_s = seconds(partial(request, server.client))
        later = [seconds(partial(request, server.client)) for _ in range(NUM_LATER)]
    return {
        "ready_s": server.ready_s,
        "first_s": first_s,
        "later_s": statistics.median(later),
    }


def _lack() -> str:
    """What WhisperX's command would need and this machine has not; empty where it can run."""
    if not PEERS.exists():
        return "WhisperX's own environment, .venv-peers, is not there"
    if not shutil.which("ffmpeg"):
        return "WhisperX's command runs `ffmpeg`, which is not there (apt-get install ffmpeg)"
    return ""


def _whisperx() -> dict[str, float]:
    """WhisperX's command on the same 30 s with the same Whisper weights.

    Without alignment and diarization, whose usual models have to be downloaded: it does less.
    """
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "conversation.wav"
        recording.write_bytes(recordings.conversation())
        command = [
            str(PEERS), "-m", "whisperx", str(recording),
            "--model", str(layout.ENGINES / "whisper"), "--device", "cpu",
            "--compute_type", "int8", "--beam_size", "5", "--language", "en", "--no_align",
            "--threads", str(threads.num_threads(1.0)), "--output_dir", folder,
        ]  # fmt: skip
        offline = {**os.environ, "HF_HUB_OFFLINE": "1", "PYANNOTE_METRICS_ENABLED": "0"}
        elapsed_s = seconds(
            lambda: subprocess.run(command, env=offline, check=True, capture_output=True)
        )
        if not list(Path(folder).glob("*.json")):
            raise RuntimeError("WhisperX's command wrote no transcript")
    return {"seconds": elapsed_s}


def _say(what: str, ratio: Spread, these: list[float], those: list[float]) -> None:
    print(
        f"  {what}: {ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f}); "
        f"{statistics.median(these):.2f} s, {statistics.median(those):.2f} s",
        flush=True,
    )
