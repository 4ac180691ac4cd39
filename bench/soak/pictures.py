"""Both dashboards as pictures of a soak: a real Prometheus scrapes it, and every panel is asked."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench import panels, prometheus
from bench.panels import Window
from bench.prometheus import Prometheus
from build_scripts.console import say
from build_scripts.server.settings import Settings

OVERVIEW, MODEL = "overview.json", "model.json"
MODELS = ("transcribe_stream", "chat", "triage", "minutes")  # the first one is drawn
ASKED_EVERY_S = 5.0  # of the gateway, which the soak's own callers pass by
LAST_SCRAPE_S = 6.0
QUESTION = {
    "model": "any",
    "messages": [{"role": "user", "content": "Name a river."}],
    "max_tokens": 4,
}


@dataclass(frozen=True)
class Album:
    """Pictures of what `prometheus` saw since `from_s`."""

    prometheus: Prometheus
    from_s: float

    def write(self, folder: Path) -> list[str]:
        """Write the pictures; the panels that no query answered and that need no GPU."""
        time.sleep(LAST_SCRAPE_S)
        window = Window(self.from_s, time.time())
        overview = panels.draw(OVERVIEW, self.prometheus, window)
        models = [panels.draw(MODEL, self.prometheus, window, name) for name in MODELS]
        for name, drawn in ((OVERVIEW, overview), (MODEL, models[0])):
            say(f"wrote {panels.write(name, drawn, folder)}")
        # A panel of one model's needs an answer for one of them.
        never = set.intersection(*(set(one.silent) for one in models))
        silent = {**{name: models[0].silent[name] for name in never}, **overview.silent}
        return [
            title
            for title, queries in silent.items()
            if not all(panels.is_of_a_card(query) for query in queries)
        ]


@contextlib.contextmanager
def album(settings: Settings) -> Iterator[Album]:
    """An album of a server with a gateway, which is scraped and asked while the block runs."""
    targets = [f"{settings.reachable_address}:{settings.metrics_port}"]
    gateway = f"127.0.0.1:{settings.gateway_port}"
    is_over = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=f"http://{gateway}", timeout=120) as client:
            while not is_over.wait(ASKED_EVERY_S):
                with contextlib.suppress(httpx.HTTPError):
                    client.post("/v1/chat/completions", json=QUESTION)

    thread = threading.Thread(target=ask)
    configuration = prometheus.configured(targets, [gateway])
    with (
        tempfile.TemporaryDirectory() as folder,
        prometheus.scraping(configuration, Path(folder)) as asked,
    ):
        thread.start()
        try:
            yield Album(asked, time.time())
        finally:
            is_over.set()
            thread.join()
