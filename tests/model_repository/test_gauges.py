"""A scrape of a server at work shows what is true, and nothing of it is left at the end."""

from __future__ import annotations

import contextlib
import math
import re
import threading
import time
from dataclasses import dataclass, field

import pytest
import requests
import yaml

from build_scripts.dashboards.dashboards import DASHBOARDS
from evaluation import recordings
from onecard_client import Client, Progress, Transcript
from onecard_gateway.metrics import Metrics
from tests.conftest import ROOT
from tests.model_repository.chat_calls import ask, metrics
from tests.waiting import PATIENCE_S, until

# As little work as a recording can be, in chunks so short that what is left can be seen to shrink.
CHEAP = {"language": "en", "beam_size": 1, "diarize": False, "align": False, "chunk_size": 3.0}
# Where there is a card.
OF_A_CARD = re.compile("nv_gpu_|onecard_vram_")
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
STREAM = 'model="transcribe_stream"'
LAG_S = 2.0  # how old a value may be, and how late an event
NUM_STREAMS = 8
# Of a model that it has not heard of for a while the server asks something itself.
CANARY_S = 2.0
MOVING = 2  # streams on their way from one state to another, which are two values


@dataclass
class Recording:
    """One stream and what is known of it.

    Attributes:
        leaves_after: the stage after whose first news its caller leaves. What it was asked for
            last is done nevertheless, so it may be under way for a while.
        asked_s, accepted_s, ended_s: when; the server has it from somewhere between the first two.
        left: when how many seconds of it were not done.
    """

    content: bytes
    length_s: float
    leaves_after: str | None = None
    asked_s: float = math.inf
    accepted_s: float = math.inf
    ended_s: float = math.inf
    left: list[tuple[float, float]] = field(default_factory=list)
    transcript: Transcript | None = None

    def run(self, client: Client) -> None:
        self.asked_s = time.monotonic()
        with contextlib.closing(client.transcribe_stream(self.content, **CHEAP)) as events:
            for event in events:
                self.accepted_s = min(self.accepted_s, time.monotonic())
                if isinstance(event, Progress):
                    self._heard(event)
                    if event.stage == self.leaves_after:
                        break
                if isinstance(event, Transcript):
                    self.transcript = event
            self.ended_s = time.monotonic()

    def _heard(self, event: Progress) -> None:
        share = 1.0 - event.done / event.total if event.stage == "recognize" else 1.0
        if event.stage in ("detect_speech", "recognize"):  # it is decoded: its length is known
            self.left.append((time.monotonic(), self.length_s * share))

    def streams(self, first_s: float, last_s: float) -> tuple[int, int]:
        """Whether it was under way all the time between the two, and whether at any time."""
        always = self.accepted_s <= first_s and last_s < self.ended_s
        ever = self.asked_s <= last_s and (first_s < self.ended_s or self.leaves_after is not None)
        return int(always), int(ever)

    def left_s(self, first_s: float, last_s: float) -> tuple[float, float]:
        """The least and the most that may have been left at any time between the two."""
        always, ever = self.streams(first_s, last_s)
        before = [left_s for at_s, left_s in self.left if at_s <= first_s]
        known = before[-1:] + [left_s for at_s, left_s in self.left if first_s < at_s <= last_s]
        least_s = min(known) if always and before else 0.0  # perhaps it was not decoded yet
        is_surely_less = before and self.leaves_after is None
        most_s = max(known) if is_surely_less else self.length_s
        return least_s, most_s if ever else 0.0


@dataclass(frozen=True)
class Scrape:
    first_s: float
    last_s: float
    states: dict[str, float]
    audio_left_s: float
    oldest_wait_s: float


def scrape(server) -> Scrape:
    first_s = time.monotonic() - LAG_S
    text = requests.get(f"http://{server.metrics_url}/metrics", timeout=PATIENCE_S).text
    found = {
        line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
        for line in text.splitlines()
        if line.startswith("onecard_") and STREAM in line
    }

    def value(name: str, label: str = "") -> float:
        [one] = [v for key, v in found.items() if key.startswith(name + "{") and label in key]
        return one

    states = {s: value("onecard_streams", f'"{s}"') for s in ("sending", "waiting", "running")}
    left_s = value("onecard_audio_seconds_left")
    oldest_s = value("onecard_oldest_wait_seconds")
    return Scrape(first_s, time.monotonic() + LAG_S, states, left_s, oldest_s)


def until_nothing(server, model: str) -> None:
    """Every gauge of the model's at 0, as it was before anybody asked."""
    of = f'model="{model}"'
    names = ("onecard_streams", "onecard_audio_seconds_left", "onecard_oldest_wait_seconds")
    until(lambda: [metrics(server, name, of) for name in names] == [0, 0, 0], f"{model} at 0")


def num_ended(server, outcome: str) -> float:
    label = f'model_instance="transcribe_stream_0_0",outcome="{outcome}"'
    return metrics(server, "onecard_streams_ended_total", label)


@pytest.fixture
def server_at_rest(server):
    until_nothing(server, "transcribe_stream")
    return server


def test_waiting_streams_and_audio_left_are_right_at_every_scrape(server_at_rest, few_words):
    server = server_at_rest
    before = {outcome: num_ended(server, outcome) for outcome in ("done", "cancelled")}
    whole = recordings.jfk().samples
    ones = [Recording(recordings.wav(whole), len(whole) / recordings.RATE)]
    ones += [Recording(few_words, 3.0) for _ in range(NUM_STREAMS - 3)]
    ones += [Recording(few_words, 3.0, stage) for stage in ("detect_speech", "recognize")]
    scrapes: list[Scrape] = []
    with Client(server.grpc_url) as client:
        threads = [threading.Thread(target=one.run, args=(client,)) for one in ones]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            scrapes.append(scrape(server))
            time.sleep(0.2)
    assert [one.transcript is None for one in ones] == [
        one.leaves_after is not None for one in ones
    ]
    _verify(scrapes, ones)
    until_nothing(server, "transcribe_stream")
    assert num_ended(server, "done") >= before["done"] + NUM_STREAMS - 2
    assert num_ended(server, "cancelled") >= before["cancelled"] + 2


def _verify(scrapes: list[Scrape], ones: list[Recording]) -> None:
    for found in scrapes:
        span = found.first_s, found.last_s
        least, most = map(sum, zip(*(one.streams(*span) for one in ones), strict=True))
        num_streams = sum(found.states.values())
        assert least - MOVING <= num_streams <= most + MOVING, (found, ones)
        least_s, most_s = map(sum, zip(*(one.left_s(*span) for one in ones), strict=True))
        assert least_s - 0.1 <= found.audio_left_s <= most_s + CANARY_S + 0.1, (found, ones)
    waiting = max(found.states["waiting"] for found in scrapes)
    running = max(found.states["running"] for found in scrapes)
    assert waiting >= 3, scrapes  # which Triton's own count of pending requests never shows
    assert running >= 1


def asked_for() -> set[str]:
    """The metrics that dashboards and rules name."""
    queries = [
        target["expr"]
        for dashboard in DASHBOARDS.values()
        for panel in dashboard.document()["panels"]
        for target in panel.get("targets", ())
    ]
    groups = yaml.safe_load(RULES.read_text())["groups"]
    queries += [rule["expr"] for group in groups for rule in group["rules"]]
    return {name for query in queries for name in re.findall(r"\b(?:onecard|nv)_[a-z_]+", query)}


def published(text: str) -> set[str]:
    return {re.split(r"[{ ]", line)[0] for line in text.splitlines() if line[:1] not in ("#", "")}


def test_every_metric_of_dashboards_and_rules_is_published(server):
    ask(server, "Hi", max_tokens=1)  # the engine's come with its first request
    gateway = Metrics()
    gateway.requests.labels("GET", "/", "200").inc()
    wanted = {name for name in asked_for() if not OF_A_CARD.match(name)}
    assert len(wanted) > 15

    def missing() -> set[str]:
        text = requests.get(f"http://{server.metrics_url}/metrics", timeout=PATIENCE_S).text
        return wanted - published(text) - published(gateway.text().decode())

    until(lambda: not missing(), lambda: missing())
