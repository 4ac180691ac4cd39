"""Speech beside text: a transcription while mails are triaged, and triage while speech comes in.

Each is measured alone and beside the other, in turn, in one run against one server.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.mails import labelled
from build_scripts.demo import running
from onecard_client import Client

ROOT = Path(__file__).parents[1]
RECORDING = ROOT / ".samples" / "conversation" / "sample.wav"
ROUNDS = 5
NUM_MAILS = 12
PAUSE_SHARE = 1.0  # between two transcriptions, of the time that one takes


def measure() -> dict[str, Any]:
    """Seconds alone and together, and their ratios."""
    with running() as one, Client(f"{one.reachable_address}:{one.grpc_port}") as client:
        mails = [mail.email for mail in labelled()[:NUM_MAILS]]

        def transcribe() -> None:
            client.transcribe(RECORDING)

        def triage() -> None:
            for _ in client.triage(mails):
                pass

        transcribe()  # the first of each warms up
        triage()
        rounds = [_round(transcribe, triage) for _ in range(ROUNDS)]
    found = {name: [one[name] for one in rounds] for name in rounds[0]}
    speech = [b / a for a, b in zip(found["speech_alone_s"], found["speech_beside_s"], strict=True)]
    text = [b / a for a, b in zip(found["triage_alone_s"], found["triage_beside_s"], strict=True)]
    for what, measured, seconds in (
        ("30 s of speech beside a triage", speech, found["speech_beside_s"]),
        (
            f"a triage of {NUM_MAILS} mails beside speech half of the time",
            text,
            found["triage_beside_s"],
        ),
    ):
        print(
            f"  {what}: {statistics.median(seconds):.2f} s, "
            f"{statistics.median(measured):.2f} times its time alone "
            f"({min(measured):.2f} to {max(measured):.2f})",
            flush=True,
        )
    return {
        **found,
        "speech_ratio": statistics.median(speech),
        "triage_ratio": statistics.median(text),
    }


def _round(transcribe: Callable[[], None], triage: Callable[[], None]) -> dict[str, float]:
    found = {"speech_alone_s": _seconds(transcribe), "triage_alone_s": _seconds(triage)}
    # Triage without end, until the transcription is done.
    with Meanwhile(triage):
        time.sleep(1)
        found["speech_beside_s"] = _seconds(transcribe)
    pause_s = PAUSE_SHARE * found["speech_alone_s"]

    def speak_and_pause() -> None:
        transcribe()
        time.sleep(pause_s)

    with Meanwhile(speak_and_pause):
        found["triage_beside_s"] = _seconds(triage)
    return found


def _seconds(work: Callable[[], None]) -> float:
    started_s = time.monotonic()
    work()
    return time.monotonic() - started_s


class Meanwhile:
    """Does `work` over and over in a thread, until the block is left."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(work,))

    def _run(self, work: Callable[[], None]) -> None:
        while not self._is_over.is_set():
            work()

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()
