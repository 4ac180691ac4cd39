"""Both servers are started again, one after the other, while `onecard transcribe` works at both."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from build_scripts import paths
from build_scripts.console import say
from build_scripts.server.settings import Settings
from build_scripts.server.temporary import Temporary

JOURNAL = "transcribed.jsonl"
POLL_S = 0.2


@dataclass(frozen=True)
class Rolled:
    """What became of the files.

    Attributes:
        texts: file -> what was heard.
        done: file -> how often the journal has it.
        restarts_s: from the signal to a server to its being ready again.
    """

    status: int
    texts: dict[str, str]
    done: dict[str, int]
    said: str
    restarts_s: tuple[float, ...] = field(default=())

    def faults(self, names: Sequence[str]) -> list[str]:
        """Files without a text, and files that were answered more than once."""
        found = [f"{name}: no text" for name in names if not self.texts.get(name)]
        found += [f"{name}: answered {n} times" for name, n in self.done.items() if n != 1]
        return found + (
            [f"the command ended with {self.status}: {self.said}"] if self.status else []
        )


def roll(servers: Sequence[Temporary], files: Sequence[tuple[str, bytes]], folder: Path) -> Rolled:
    """Send `files` to all servers, and restart each in turn once some of them are done."""
    sent, out = folder / "sent", folder / "out"
    sent.mkdir()
    for name, audio in files:
        (sent / f"{name}.wav").write_bytes(audio)
    process = _transcribe([one.settings for one in servers], sent, out)
    restarts_s = []
    try:
        for number, server in enumerate(servers, start=1):
            _until(process, out, number * len(files) // (len(servers) + 2))
            began_s = time.monotonic()
            num_before = len(_journal(out))
            server.restart()
            restarts_s.append(time.monotonic() - began_s)
            meanwhile = len(_journal(out)) - num_before
            say(f"restarted server {number} in {restarts_s[-1]:.0f} s; {meanwhile} files meanwhile")
        said = process.communicate()[0]
    finally:
        process.kill()
        process.wait()
    texts = {path.stem: _text(path) for path in out.glob("*.json")}
    done = Counter(Path(name).stem for name in _journal(out))
    return Rolled(process.returncode, texts, dict(done), said[-1000:], tuple(restarts_s))


def _transcribe(servers: Sequence[Settings], sent: Path, out: Path) -> subprocess.Popen[str]:
    urls = [f"{one.reachable_address}:{one.grpc_port}" for one in servers]
    flags = [flag for url in urls for flag in ("--url", url)]
    wanted = ["--output-format", "json", "--output-dir", str(out), "--language", "en"]
    return subprocess.Popen(
        [sys.executable, "-m", "onecard_client", "transcribe", str(sent), *flags, *wanted],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(paths.ROOT), *sys.path]),
             "TERM": "dumb"},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def _until(process: subprocess.Popen[str], out: Path, num_done: int) -> None:
    """Until so many files are done, or all that will be."""
    while len(_journal(out)) < num_done and process.poll() is None:
        time.sleep(POLL_S)


def _journal(out: Path) -> list[str]:
    """The files that the journal has, in the order of their ends."""
    try:
        lines = (out / JOURNAL).read_text(encoding="utf-8").splitlines()
    except OSError:
        return []
    return [json.loads(line)["file"] for line in lines]


def _text(path: Path) -> str:
    document = json.loads(path.read_text(encoding="utf-8"))
    return " ".join(segment["text"] for segment in document["segments"])
