"""The journal of a run: what is done is not done again, whatever ended the run before."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from onecard_client._files.recording import Recording
from onecard_client._files.targets import identity
from onecard_client._files.transcription import Done, Settings
from onecard_client._verdicts.disk import Appender, locked

NAME = "transcribed.jsonl"
DIGEST_CHARACTERS = 32

# A file's path, its size, when it was changed, and what was asked of the server.
Key = tuple[str, int, int, str]


class Journal:
    """The recordings that are done, a line of JSON for each. Made by `journal`.

    Args:
        again: do all recordings again.
    """

    def __init__(self, path: Path, settings: Settings, *, again: bool) -> None:
        self._folder = path.parent
        self._options = fingerprint(settings)
        self._again = again
        self._results: dict[Key, list[str]] = {}
        self._appender = Appender(path, self._read(path))

    def has(self, recording: Recording) -> bool:
        """Whether it is done, as it is now and with the same options, and its results are there."""
        results = self._results.get(self._key(recording))
        if self._again or not results:
            return False
        return all((self._folder / name).exists() for name in results)

    def add(self, done: Done) -> None:
        """Raises: OSError; then nothing of the line stays."""
        key = self._key(done.recording)
        results = [os.path.relpath(path, self._folder) for path in done.paths]
        names = ("file", "num_bytes", "changed_ns", "options")
        line = {**dict(zip(names, key, strict=True)), "results": results, **account(done)}
        self._appender.add(json.dumps(line).encode() + b"\n")
        self._results[key] = results

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._appender.sync()
        self._appender.close()

    def _key(self, recording: Recording) -> Key:
        file = identity(recording.file)
        return file, recording.num_bytes, recording.changed_ns, self._options

    def _read(self, path: Path) -> int:
        """Reads what is there; how many bytes of it are whole lines."""
        num_bytes = 0
        with contextlib.suppress(FileNotFoundError), path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):  # a crash or a full disk tore it
                    break
                num_bytes += len(line)
                with contextlib.suppress(ValueError, KeyError, TypeError):
                    entry = json.loads(line)
                    key = tuple(entry[name] for name in ("file", "num_bytes", "changed_ns"))
                    self._results[(*key, entry["options"])] = list(entry["results"])
        return num_bytes


def account(done: Done) -> dict[str, Any]:
    """What is worth knowing of a recording that is done, without its text."""
    transcript = done.transcript
    return {
        "duration_s": transcript.duration_s,
        "seconds": round(done.elapsed_s, 3),
        "speed": round(done.speed, 3),
        "language": transcript.language,
        "speakers": len(transcript.speakers),
        "account": asdict(transcript.account),
        "engine": transcript.engine,
        "warnings": transcript.warnings,
    }


def fingerprint(settings: Settings) -> str:
    """The same for settings that give the same results."""
    asked: Mapping[str, Any] = {
        "request": dict(settings.request),
        "format": settings.output_format,
        "layout": asdict(settings.layout),
    }
    text = json.dumps(asked, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_CHARACTERS]


@contextlib.contextmanager
def journal(settings: Settings, *, again: bool) -> Iterator[Journal]:
    """Raises: Busy, where another process works into the same folder; OSError."""
    folder = settings.output_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / NAME):
        opened = Journal(folder / NAME, settings, again=again)
        try:
            yield opened
        finally:
            opened.close()
