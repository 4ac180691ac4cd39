"""What a step's result depends on, in one hash, and the record of it beside the result."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from build_scripts.engines.step import Command
from build_scripts.fetch import hub

FILENAME = "fingerprint.json"  # in a directory; beside a file, with its name before
FORMAT = 1  # raised when the same commands come to mean something else
_COMMIT = re.compile(r"[0-9a-f]{40}")


class Fingerprints:
    """Of the commands of one build.

    Args:
        builder: versions and GPU; what NVIDIA's tools make depends on them.
    """

    def __init__(
        self, commands: Sequence[Command], builder: Mapping[str, str | int], root: Path
    ) -> None:
        self._commands, self._builder, self._root = commands, dict(builder), root

    def of(self, command: Command) -> str:
        """The hash. It changes when what `command` fetches is resolved to another commit."""
        text = json.dumps(self.document(command), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def document(self, command: Command) -> dict[str, Any]:
        """What is hashed; for people as well."""
        return {
            "format": FORMAT,
            "argv": list(command.argv),
            "builder": self._builder if command.is_nvidia else {},
            "commit": self._commit(command),
            "inputs": {one: self._input(one) for one in command.inputs},
        }

    def producer(self, path: str) -> Command | None:
        """The command that makes `path`, or else the directory that it is in."""
        exact = [one for one in self._commands if path in one.outputs]
        around = [
            one
            for one in self._commands
            if any(path.startswith(f"{output}/") for output in one.outputs)
        ]
        return next(iter(exact + around), None)

    def is_recorded(self, command: Command) -> bool:
        """Whether what lies there is what `command` would make now."""
        try:
            found = json.loads(self.path(command).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        there = all((self._root / one).exists() for one in command.outputs)
        return there and bool(found.get("fingerprint") == self.of(command))

    def record(self, command: Command) -> None:
        """Say that `command` has succeeded; the last thing that is written."""
        path = self.path(command)
        document = {"fingerprint": self.of(command), **self.document(command)}
        aside = path.with_name(f"{path.name}.new")
        aside.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        aside.replace(path)

    def forget(self, command: Command) -> None:
        """Before `command` runs: an interrupted one leaves no record."""
        self.path(command).unlink(missing_ok=True)

    def path(self, command: Command) -> Path:
        """Where the record lies."""
        first = self._root / command.outputs[0]
        if first.is_dir():
            return first / FILENAME
        return first.with_name(f"{first.name}.{FILENAME}")

    def _input(self, path: str) -> str:
        producer = self.producer(path)
        return self.of(producer) if producer else _listing(self._root / path)

    def _commit(self, command: Command) -> str:
        """What a branch was resolved to when it was fetched; empty before, and for a commit."""
        if not command.is_fetch or "--revision" not in command.argv:
            return ""
        asked = command.argv[command.argv.index("--revision") + 1]
        if _COMMIT.fullmatch(asked):
            return ""
        folder = command.argv[command.argv.index("--into") + 1]
        fetched = hub.read(self._root / folder)
        return fetched.commit if fetched and fetched.asked == asked else ""


def _listing(path: Path) -> str:
    """Names, sizes and times: what an operator brought is not hashed, it may be 50 GB."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    stats = [(one, one.stat()) for one in files if one.is_file()]
    lines = [f"{one.name} {stat.st_size} {stat.st_mtime_ns}" for one, stat in stats]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()
