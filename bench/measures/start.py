"""From nothing to ready, the first request after that against later ones, and WhisperX from cold.

Each kind of request is the first that a server of its own gets. The files that are loaded are in
the machine's cache, for both sides.
"""

from __future__ import annotations

import statistics
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
from evaluation.peers import ctc_repository, environment
from evaluation.peers.whisperx import WhisperX
from onecard_client import Client

ROUNDS = 5
NUM_LATER = 5
SETTLE_S = 1.0  # between ready and the first request
CHAT_TOKENS = 64
NO_PEER = f"WhisperX is not there: {environment.CURE}"


def measure() -> dict[str, Any]:
    """Seconds to ready, of first and later requests, and of WhisperX from cold."""
    sides: dict[str, Callable[[], Mapping[str, float]]] = {
        name: partial(_served, request) for name, request in REQUESTS.items()
    }
    if environment.is_there():
        sides["same_aligner"] = _served_with_the_peers_aligner
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
    if "whisperx" not in found:
        print(f"  {NO_PEER}: nothing to compare with", flush=True)
        return {**results, "skipped": {"whisperx_ratio": NO_PEER}}
    whole = [one["seconds"] for one in found["same_aligner"]]
    theirs = [one["seconds"] for one in found["whisperx"]]
    results["same_aligner_s"], results["whisperx_s"] = spread(whole), spread(theirs)
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


def _served_with_the_peers_aligner() -> dict[str, float]:
    """A server that aligns as WhisperX does, from its start to its first transcript."""
    with ctc_repository.chosen(), serving() as server:
        return {"seconds": server.ready_s + seconds(partial(_transcribe, server.client))}


def _whisperx() -> dict[str, float]:
    """WhisperX, from the start of its process to text, words and speakers of the same 30 s."""
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "conversation.wav"
        recording.write_bytes(recordings.conversation())
        started_s = time.perf_counter()
        with WhisperX() as peer:
            peer.transcribe(recording, language="en")
            # Before the block ends the process: a server's end does not count either.
            return {"seconds": time.perf_counter() - started_s}


def _say(what: str, ratio: Spread, these: list[float], those: list[float]) -> None:
    print(
        f"  {what}: {ratio['median']:.2f} ({ratio['low']:.2f} to {ratio['high']:.2f}); "
        f"{statistics.median(these):.2f} s, {statistics.median(those):.2f} s",
        flush=True,
    )
