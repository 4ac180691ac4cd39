"""The fingerprint of a step: a hash of what its result depends on, kept beside the result."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from build_scripts.engines.step import Step
from build_scripts.fetch import hub

FILENAME = "fingerprint.json"  # in a directory; beside a file, with its name before
FORMAT = 1  # raised when the same commands come to mean something else
# What a record calls the modules that our own steps run: their names when FORMAT 1 began. A module
# that moves makes the same, and an engine takes hours.
MODULES = {
    "build_scripts.engines.assemble": "build_scripts.trtllm_assemble",
    "build_scripts.engines.checkpoints.check": "build_scripts.trtllm_checkpoint",
    "build_scripts.engines.diarize": "build_scripts.trtllm_diarize",
    "build_scripts.engines.checkpoints.safetensors": "build_scripts.convert",
    "build_scripts.fetch.download": "build_scripts.trtllm_download",
    "build_scripts.fetch.hub": "build_scripts.trtllm_hub",
}
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Fingerprints:
    """The fingerprints of one build's steps.

    Args:
        builder: versions and GPU; what NVIDIA's tools make depends on them.
    """

    def __init__(self, steps: Sequence[Step], builder: Mapping[str, str | int], root: Path) -> None:
        self._steps, self._builder, self._root = steps, dict(builder), root

    def of(self, step: Step) -> str:
        """The hash. It changes when what `step` fetches is resolved to another commit."""
        text = json.dumps(self.document(step), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def document(self, step: Step) -> dict[str, Any]:
        """What is hashed; for people as well."""
        return {
            "format": FORMAT,
            "argv": [MODULES.get(word, word) for word in step.argv],
            "builder": self._builder if step.is_nvidia else {},
            "commit": self._commit(step),
            "inputs": {path: self._input(path) for path in step.inputs},
        }

    def producer(self, path: str) -> Step | None:
        """The step that makes `path`, or else the directory that it is in."""
        exact = [step for step in self._steps if path in step.outputs]
        around = [
            step
            for step in self._steps
            if any(path.startswith(f"{output}/") for output in step.outputs)
        ]
        return next(iter(exact + around), None)

    def is_recorded(self, step: Step) -> bool:
        """Whether what lies there is what `step` would make now."""
        try:
            found = json.loads(self.path(step).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        there = all((self._root / output).exists() for output in step.outputs)
        return there and bool(found.get("fingerprint") == self.of(step))

    def record(self, step: Step) -> None:
        """Say that `step` has succeeded; the last thing that is written."""
        path = self.path(step)
        document = {"fingerprint": self.of(step), **self.document(step)}
        aside = path.with_name(f"{path.name}.new")
        aside.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        aside.replace(path)

    def forget(self, step: Step) -> None:
        """Before `step` runs: an interrupted one leaves no record."""
        self.path(step).unlink(missing_ok=True)

    def path(self, step: Step) -> Path:
        """Where the record lies."""
        first = self._root / step.outputs[0]
        if first.is_dir():
            return first / FILENAME
        return first.with_name(f"{first.name}.{FILENAME}")

    def _input(self, path: str) -> str:
        producer = self.producer(path)
        return self.of(producer) if producer else _listing(self._root / path)

    def _commit(self, step: Step) -> str:
        """What a branch was resolved to when it was fetched; empty before, and for a commit."""
        revision = step.revision
        if revision is None or _COMMIT.fullmatch(revision.asked):
            return ""
        fetched = hub.read(self._root / revision.folder)
        return fetched.commit if fetched and fetched.asked == revision.asked else ""


def _listing(path: Path) -> str:
    """Names, sizes and times: what an operator brought is not hashed, it may be 50 GB."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(file, file.stat()) for file in files if file.is_file()]
    lines = [f"{file.name} {stat.st_size} {stat.st_mtime_ns}" for file, stat in stats]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
