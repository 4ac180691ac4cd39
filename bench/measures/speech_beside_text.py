"""Speech beside text: a transcription while mails are triaged, and triage while speech comes in.

Each is measured alone and beside the other, in turn, in one run against one server.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench import recordings
from bench.interleave import Spread, interleaved, num_rounds, once, ratios, seconds, spread
from bench.mails import labelled
from bench.serving import Serving, serving

ROUNDS = 5
NUM_MAILS = 12
HEAD_START_S = 1.0  # of what runs beside
PAUSE_SHARE = 1.0  # between two transcriptions, of the time that one takes


def measure() -> dict[str, Any]:
    """Seconds alone and together, and their ratios."""
    with serving() as server:
        pair = Pair(server)
        found = interleaved(
            {
                "speech_alone_s": pair.speech_alone,
                "triage_alone_s": pair.triage_alone,
                "speech_beside_s": pair.speech_beside,
                "triage_beside_s": pair.triage_beside,
            },
            num_rounds(ROUNDS),
        )
    speech = spread(ratios(found["speech_beside_s"], found["speech_alone_s"]))
    triage = spread(ratios(found["triage_beside_s"], found["triage_alone_s"]))
    beside = spread(found["speech_beside_s"])["median"], spread(found["triage_beside_s"])["median"]
    _say("30 s of speech beside a triage", beside[0], speech)
    _say(f"a triage of {NUM_MAILS} mails beside speech half of the time", beside[1], triage)
    return {
        **found,
        "speech_ratio": speech,
        "triage_ratio": triage,
        "triage_finished": once(pair.num_finished / pair.num_triages),
    }


class Pair:
    """A transcription and a triage, alone and each beside the other; what takes time is timed."""

    def __init__(self, server: Serving) -> None:
        self._client = server.client
        self._mails = [mail.email for mail in labelled()[:NUM_MAILS]]
        self._pause_s = 0.0
        self.num_triages = self.num_finished = 0

    def speech_alone(self) -> float:
        elapsed_s = seconds(self._transcribe)
        self._pause_s = PAUSE_SHARE * elapsed_s
        return elapsed_s

    def triage_alone(self) -> float:
        return seconds(self._triage)

    def speech_beside(self) -> float:
        """Triage without end, until the transcription is done."""
        with Meanwhile(self._triage):
            time.sleep(HEAD_START_S)
            return seconds(self._transcribe)

    def triage_beside(self) -> float:
        with Meanwhile(self._speak_and_pause):
            return seconds(self._triage)

    def _transcribe(self) -> None:
        self._client.transcribe(recordings.conversation())

    def _triage(self) -> None:
        self.num_triages += 1
        num_verdicts = sum(1 for _ in self._client.triage(self._mails))
        self.num_finished += num_verdicts == NUM_MAILS

    def _speak_and_pause(self) -> None:
        self._transcribe()
        time.sleep(self._pause_s)


class Meanwhile:
    """Does `work` over and over in a thread, until the block is left; what it raised is raised."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._is_over = threading.Event()
        self._pool = ThreadPoolExecutor(1)

    def _run(self) -> None:
        while not self._is_over.is_set():
            self._work()

    def __enter__(self) -> None:
        self._running = self._pool.submit(self._run)

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._pool.shutdown()
        self._running.result()


def _say(what: str, elapsed_s: float, ratio: Spread) -> None:
    print(
        f"  {what}: {elapsed_s:.2f} s, {ratio['median']:.2f} times its time alone "
        f"({ratio['low']:.2f} to {ratio['high']:.2f})",
        flush=True,
    )
