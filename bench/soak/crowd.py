"""More streams at once than a server takes: who is refused, who waits, how long, and who is served.

Every caller sends one clip in the same moment. One that is refused asks again after the time that
`retry-after` names (by gRPC, which has no such header, after as many seconds).
"""

from __future__ import annotations

import datetime
import re
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from bench import machine, page, recordings
from build_scripts.console import say
from build_scripts.server.settings import Settings
from build_scripts.server.temporary import running
from onecard_client import Client, OnecardError, Unavailable

CLIP_S = 3.0
RETRY_AFTER_S = 2.0  # the gateway's, for callers of gRPC
LIMIT_S = 1800.0
SCRAPE_S = 0.25
STATES = ("running", "waiting", "sending")
_GAUGE = re.compile(
    r'^onecard_streams\{.*model="transcribe_stream".*state="(\w+)".*\} (\S+)$', re.M
)


@dataclass
class Asked:
    """One caller.

    Attributes:
        num_refused: answers that told it to ask again.
        accepted_s: when the request that was answered was sent.
        error: why it was not served; empty where it was.
    """

    num_refused: int = 0
    accepted_s: float = 0.0
    served_s: float = 0.0
    error: str = ""


Ask = Callable[[bytes, Asked, float], None]


def main(num_callers: int, results: Path) -> int:
    """Both ways one after the other. Exit status 0 where everybody was served."""
    clips = [recordings.wav(recordings.clip(CLIP_S, CLIP_S * n)) for n in range(num_callers)]
    found: dict[str, Any] = {
        "date": datetime.datetime.now().isoformat(timespec="seconds"),
        "machine": machine.facts(),
        "callers": num_callers,
        "clip_s": CLIP_S,
        "ways": {},
    }
    with running(has_gateway=True) as settings:
        url = f"{settings.reachable_address}:{settings.grpc_port}"
        with Client(url) as client:
            client.transcribe(clips[0], language="en")  # what every first request makes
        ways: dict[str, Ask] = {"gRPC": _by_grpc(url), "gateway": _by_http(settings)}
        for name, ask in ways.items():
            say(f"{num_callers} streams at once by {name}")
            with _gauges(settings) as most:
                asked = _all_at_once(clips, ask)
            found["ways"][name] = _summary(asked, most)
            way = found["ways"][name]
            say(f"  {way['served']} served, the last one after {way['last_s']} s")
    found["machine"]["load_after"] = machine.load()
    for path in page.write("crowd", found, markdown(found), results):
        say(f"wrote {path}")
    say("\n" + markdown(found))
    return 0 if all(way["served"] == num_callers for way in found["ways"].values()) else 1


def _all_at_once(clips: Sequence[bytes], ask: Ask) -> list[Asked]:
    barrier = threading.Barrier(len(clips))

    def one(clip: bytes) -> Asked:
        asked = Asked()
        barrier.wait()
        began_s = time.monotonic()
        try:
            ask(clip, asked, began_s)
        except (OnecardError, httpx.HTTPError) as error:
            asked.error = f"{type(error).__name__}: {error}"
        asked.served_s = time.monotonic() - began_s
        return asked

    with ThreadPoolExecutor(len(clips)) as pool:
        return list(pool.map(one, clips))


def _by_grpc(url: str) -> Ask:
    def ask(clip: bytes, asked: Asked, began_s: float) -> None:
        with Client(url, max_retries=0) as client:
            while True:
                asked.accepted_s = time.monotonic() - began_s
                try:
                    client.transcribe(clip, language="en", timeout_s=LIMIT_S)
                    return
                except Unavailable:
                    if asked.accepted_s > LIMIT_S:
                        raise
                    asked.num_refused += 1
                time.sleep(RETRY_AFTER_S)

    return ask


def _by_http(settings: Settings) -> Ask:
    url = f"http://127.0.0.1:{settings.gateway_port}/v1/audio/transcriptions"

    def ask(clip: bytes, asked: Asked, began_s: float) -> None:
        while True:
            asked.accepted_s = time.monotonic() - began_s
            files = {"file": ("clip.wav", clip)}
            answer = httpx.post(url, files=files, data={"model": "whisper-1"}, timeout=LIMIT_S)
            if answer.status_code not in (429, 503) or asked.accepted_s > LIMIT_S:
                answer.raise_for_status()
                return
            asked.num_refused += 1
            time.sleep(float(answer.headers["retry-after"]))  # a refusal without it is a fault

    return ask


@contextmanager
def _gauges(settings: Settings) -> Iterator[dict[str, float]]:
    """The most streams of each state at any scrape while the block runs."""
    most = dict.fromkeys(STATES, 0.0)
    is_over = threading.Event()

    def scrape() -> None:
        while not is_over.wait(SCRAPE_S):
            try:
                with urllib.request.urlopen(f"{settings.metrics_url}/metrics", timeout=5) as reply:
                    text = reply.read().decode()
            except OSError:
                continue
            for state, value in streams(text).items():
                most[state] = max(most[state], value)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield most
    finally:
        is_over.set()
        thread.join()


def streams(metrics: str) -> dict[str, float]:
    """Transcriptions by state, from a text of metrics."""
    return {state: float(value) for state, value in _GAUGE.findall(metrics) if state in STATES}


def _summary(asked: Sequence[Asked], most: dict[str, float]) -> dict[str, Any]:
    served = sorted(one.served_s for one in asked if not one.error)
    return {
        "served": len(served),
        "refused_at_first": sum(one.num_refused > 0 for one in asked),
        "refusals": sum(one.num_refused for one in asked),
        "most": {state: int(value) for state, value in most.items()},
        "first_s": round(served[0], 1) if served else None,
        "median_s": round(served[len(served) // 2], 1) if served else None,
        "last_s": round(served[-1], 1) if served else None,
        "errors": sorted({one.error for one in asked if one.error}),
        "asked": [asdict(one) for one in asked],
    }


def markdown(figures: dict[str, Any]) -> str:
    """The page."""
    rows = [
        [
            name, f"{way['served']} of {figures['callers']}", str(way["refused_at_first"]),
            str(way["refusals"]), *(str(way["most"][state]) for state in STATES[:2]),
            *(f"{way[key]} s" for key in ("first_s", "median_s", "last_s")),
        ]
        for name, way in figures["ways"].items()
    ]  # fmt: skip
    headings = ("by", "served", "refused at first", "refusals in all", "most running",
                "most waiting", "first answer", "median", "last")  # fmt: skip
    errors = [f"- {error}" for way in figures["ways"].values() for error in way["errors"]]
    parts = [
        f"# {figures['callers']} streams at once, {figures['date']}",
        page.machine_line(figures["machine"]),
        f"Clips of {figures['clip_s']:g} s, all sent in the same moment. Who is refused asks again "
        "when `retry-after` says.",
        page.table(headings, rows),
        "\n".join(errors),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"
