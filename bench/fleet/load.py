"""Files sent through one address by several callers, each accounted for."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from onecard_client import Client, OnecardError

TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Outcome:
    """Of one file. `text`: what was heard; empty with an `error`."""

    name: str
    text: str
    error: str
    took_s: float


def send(
    url: str,
    files: Sequence[tuple[str, bytes]],
    num_callers: int,
    on_done: Callable[[int], object] = lambda number: None,
) -> list[Outcome]:
    """The outcome of each file, in order.

    Args:
        files: names and contents.
        on_done: called with the number of files that have ended, after each.
    """
    done, lock = 0, threading.Lock()

    def one(client: Client, name: str, audio: bytes) -> Outcome:
        nonlocal done
        started_s = time.monotonic()
        text = error = ""
        try:
            text = client.transcribe(audio, language="en", timeout_s=TIMEOUT_S).text
        except OnecardError as failure:
            error = f"{type(failure).__name__}: {failure}"
        outcome = Outcome(name, text, error, time.monotonic() - started_s)
        with lock:
            done += 1
            on_done(done)
        return outcome

    with Client(url) as client, ThreadPoolExecutor(num_callers) as pool:
        return list(pool.map(lambda file: one(client, *file), files))


def lost(outcomes: Sequence[Outcome]) -> list[str]:
    """The files without a transcript, and why."""
    return [f"{one.name}: {one.error or 'no text'}" for one in outcomes if not one.text]
