"""Many files against the real server: killed and resumed, and a server that dies."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from archives import Archive
from commands import spawn
from cutter import Cutter

from onecard_client import Client
from tests.plans import max_streams
from tests.waiting import PATIENCE_S

NAMES = ("a.wav", "b.wav", "2024/a.wav", "2024/c.wav", "2024/may/d.wav", "e.wav")


@pytest.fixture
def archive(tmp_path: Path, few_words: bytes) -> Archive:
    """Six recordings of 3 s."""
    archive = Archive(tmp_path, *NAMES)
    for name in NAMES:
        (archive.folder / name).write_bytes(few_words)
    return archive


def journal(archive: Archive) -> list[dict[str, Any]]:
    path = archive.out / "transcribed.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def until(process: subprocess.Popen[str], archive: Archive, num_done: int) -> None:
    deadline_s = time.monotonic() + PATIENCE_S
    while len(journal(archive)) < num_done and time.monotonic() < deadline_s:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_server_says_what_it_can_hold(server: Any) -> None:
    with Client(server.grpc_url) as client:
        assert 1 < client.capacity() <= max_streams("transcribe_stream")


def test_killed_and_resumed(server: Any, archive: Archive) -> None:
    line = archive.line("--language", "en", "--no-diarize", "--jobs", 2)
    process = spawn(server.grpc_url, *line)
    until(process, archive, 2)
    process.kill()
    process.communicate()
    before = journal(archive)
    assert 2 <= len(before) < len(NAMES)
    process = spawn(server.grpc_url, *line, "--log-json")
    shown, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    statuses = [json.loads(one)["status"] for one in shown.splitlines()]
    assert statuses.count("kept") == len(before)
    assert statuses.count("done") == len(NAMES) - len(before)
    assert archive.results() == sorted(f"{name[:-4]}.txt" for name in NAMES)
    assert all("fellow" in (archive.out / name).read_text() for name in archive.results())
    assert len({one["file"] for one in journal(archive)}) == len(NAMES) == len(journal(archive))


def test_files_of_an_address_that_dies_go_to_the_other(server: Any, archive: Archive) -> None:
    network = Cutter(int(server.grpc_url.rpartition(":")[2]))
    line = archive.line("--language", "en", "--no-diarize", "--url", network.url)
    process = spawn(server.grpc_url, *line, "--url", server.grpc_url)
    threading.Thread(target=lambda: (until(process, archive, 1), network.cut())).start()
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, errors
    assert "its recordings go to whoever is there" in errors
    assert len(journal(archive)) == len(NAMES)
    assert len(archive.results()) == len(NAMES)
