"""Folders of made-up recordings, and a fake server that counts what it transcribes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
from fake_server import PATIENCE_S, PROGRESS, RESULT, FakeServer, content, events, fails, hangs

PLACES = {"places": "2", "max_streams": "32"}


class Archive:
    """A folder of recordings, each of which holds its own name, and a folder for results."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder / "calls"
        self.out = folder / "out"
        for name in names:
            self.add(name)

    def add(self, name: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
        return path

    def line(self, *arguments: object) -> list[str]:
        """The command without addresses."""
        where = [str(self.folder), "-o", str(self.out), "-f", "txt"]
        return ["transcribe", *where, *map(str, arguments)]

    def results(self) -> list[str]:
        """The results there are, as seen from their folder; also what is unfinished."""
        files = (path for path in self.out.rglob("*") if path.is_file())
        # what is killed leaves a lock that nobody holds
        kept = ("transcribed.jsonl", "failed.jsonl", ".transcribed.jsonl.lock")
        return sorted(str(path.relative_to(self.out)) for path in files if path.name not in kept)


class Desk:
    """A fake server that counts recordings.

    Attributes:
        asked: how often each recording came.
        done: how often each got its result.
        refused: recordings that it refuses.
        stop_after: no more results than these; None for no limit.
        most: recordings that were there at a time.
        gather: none is answered before so many came.
        poison: while this one is there, all connections break.
        on_ask: called with each recording that comes.
    """

    def __init__(self, fake: Callable[..., FakeServer], *, places: bool = True) -> None:
        self.asked: Counter[str] = Counter()
        self.done: Counter[str] = Counter()
        self.refused: set[str] = set()
        self.stop_after: int | None = None
        self.most = 0
        self.gather = 0
        self.on_ask: Callable[[str], object] = lambda name: None
        self.poison: str | None = None
        self._now: set[str] = set()
        self._lock = threading.Condition()
        self.server = fake(self._step)
        if places:
            self.server.parameters |= PLACES
        self.url = self.server.url

    def _step(self, request: Any, context: Any) -> Iterator[Any]:
        name = content(request).decode()
        with self._lock:
            self.asked[name] += 1
            self._now.add(name)
            self.most = max(self.most, len(self._now))
            self._lock.notify_all()
            self._lock.wait_for(lambda: self.asked.total() >= self.gather, PATIENCE_S)
        self.on_ask(name)
        try:
            yield from self._answer(name, request, context)
        finally:
            with self._lock:
                self._now.discard(name)

    def _answer(self, name: str, request: Any, context: Any) -> Iterator[Any]:
        if name in self.refused:
            fails(grpc.StatusCode.INVALID_ARGUMENT, f"{name} is no recording")(request, context)
        if self.poison in self._now:
            fails(grpc.StatusCode.UNAVAILABLE, "Socket closed")(request, context)
        yield from events(PROGRESS)(request, context)
        with self._lock:
            is_stopped = self.stop_after is not None and self.done.total() >= self.stop_after
            if not is_stopped:
                self.done[name] += 1
        if is_stopped:
            hangs(request, context)
            return
        yield from events({"event": "result", "result": RESULT})(request, context)
