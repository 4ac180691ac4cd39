"""WhisperX in a process and an environment of its own, seen from here."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from build_scripts import paths
from evaluation.peers import environment as peers
from evaluation.peers.protocol import Peer, PeerError
from onecard.python_backend import threads


@dataclass(frozen=True)
class Answer:
    """What WhisperX made of a recording.

    Attributes:
        segments: `start`, `end` (s), `text`, `speaker` where one was found, and `words`, of which
            each has `word` and mostly `start`, `end` and `speaker`.
        turns: `start`, `end` (s), `speaker`; None where they were not asked for.
        seconds: by stage; `forward` and `path` lie within `align`, everything within `total`.
    """

    segments: list[dict[str, Any]]
    seconds: dict[str, float]
    language: str = ""
    text: str = ""
    turns: list[dict[str, Any]] | None = field(default=None)


class WhisperX:
    """The peer, loaded; a context manager.

    Args:
        align_models: a directory with an acoustic model for each language; by default the one
            that setup makes, which knows the bundled recordings alone
            (`evaluation.peers.acoustic`).

    Raises:
        PeerError: it was not set up, or did not start.
    """

    def __init__(self, num_threads: int | None = None, align_models: Path | None = None) -> None:
        if not peers.is_there():
            raise PeerError(f"WhisperX is not there: {peers.CURE}")
        self.num_threads = num_threads or threads.num_cores()
        command = [
            str(peers.PYTHON), "-m", "evaluation.peers.process",
            "--threads", str(self.num_threads),
            "--align", str(align_models or peers.ALIGN),
        ]  # fmt: skip
        environment = {
            **os.environ,
            "PYTHONPATH": str(paths.ROOT),
            "OMP_NUM_THREADS": str(self.num_threads),
        }
        self._peer = Peer(command, cwd=paths.ROOT, environment=environment)

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._peer.pid

    def transcribe(
        self, path: Path, language: str | None = None, *, align: bool = True, diarize: bool = True
    ) -> Answer:
        """Text, words, speakers. Raises PeerError."""
        found = self._peer.call(
            "transcribe", path=str(path.resolve()), language=language, align=align, diarize=diarize
        )
        return Answer(**found)

    def align(self, path: Path, segments: list[dict[str, Any]], language: str) -> Answer:
        """Times of the words of `segments` (`start`, `end`, `text`). Raises PeerError."""
        found = self._peer.call(
            "align", path=str(path.resolve()), segments=segments, language=language
        )
        return Answer(**found)

    def close(self) -> None:
        """End its process."""
        self._peer.close()

    def __enter__(self) -> WhisperX:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
