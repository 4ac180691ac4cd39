"""A triage of made-up mails by the command, and the fake server that decides them."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from commands import spawn
from fake_server import content, events, hangs, summary, verdict

from onecard_client.__main__ import main


class Desk:
    """A fake server that counts verdicts, and stops in the middle of a request if told to.

    Attributes:
        given: the ids of all verdicts that went out.
        asked: the ids of all mails that came in.
        stop_after: no more verdicts than these; None for no limit.
    """

    def __init__(self, fake: Callable[..., Any], stop_after: int | None = None) -> None:
        self.given: list[str] = []
        self.asked: list[str] = []
        self.stop_after = stop_after
        self.server = fake(self._step)
        self.url = self.server.url

    def _step(self, request: Any, context: Any) -> Iterator[Any]:
        ids = [document["id"] for document in json.loads(content(request))]
        self.asked += ids
        for mail_id in ids:
            if len(self.given) == self.stop_after:
                hangs(request, context)
                return
            self.given.append(
                mail_id
            )  # before it goes: a caller that leaves ends this at its yield
            yield from events(verdict(mail_id))(request, context)
        yield from events(summary(*ids))(request, context)


class Job:
    """Some made-up mails, where their verdicts go, and the command."""

    def __init__(self, folder: Path, num_mails: int) -> None:
        self.mails = folder / "mails.jsonl"
        self.file = folder / "out" / "verdicts.jsonl"
        self.partial = folder / "out" / "verdicts.jsonl.partial"
        self.file.parent.mkdir()
        self.ids = [f"m{number}" for number in range(num_mails)]
        self.write({})

    def write(self, changed: dict[str, str]) -> None:
        self.mails.write_text(
            "".join(
                json.dumps({"id": mail_id, "subject": changed.get(mail_id, "Hello"), "body": "Hi."})
                + "\n"
                for mail_id in self.ids
            )
        )

    def arguments(self, *options: object) -> list[str]:
        return ["triage", str(self.mails), "--output", str(self.file), *map(str, options)]

    def run(self, desk: Desk, *options: object) -> int:
        return main([*self.arguments(*options), "--url", desk.url])

    def start(self, desk: Desk, **streams: Any) -> subprocess.Popen[str]:
        return spawn(desk.url, *self.arguments(), **streams)

    def until(self, num_lines: int, process: subprocess.Popen[str]) -> None:
        """Waits for so many verdicts beside the file."""
        while not self.partial.exists() or self.partial.read_bytes().count(b"\n") < num_lines:
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)

    def names(self) -> list[str]:
        return sorted(path.name for path in self.file.parent.iterdir())


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]
