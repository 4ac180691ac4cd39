"""A gateway that is killed with jobs open, and the one that takes them up."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_server import FINISHED, PROGRESS, events, hangs

from build_scripts.server.temporary import free_ports
from tests.gateway.routers.test_minutes import TOLD
from tests.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[3]
FILE = {"file": ("talk.mp3", b"RIFF of some kind")}
WELL = events(PROGRESS, FINISHED)
STUCK = events(PROGRESS, then=hangs)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[[str], tuple[subprocess.Popen[str], str]]]:
    """`begin(url)`: a gateway in a process of its own, with jobs; its address as well."""
    paths = os.pathsep.join(str(ROOT / name) for name in ("client", "gateway"))
    folder = {"GATEWAY_JOBS_FOLDER": str(tmp_path / "jobs"), "GATEWAY_KEYS_FILE": ""}
    with ExitStack() as stack:

        def started(behind: str) -> tuple[subprocess.Popen[str], str]:
            (port,) = free_ports(1)
            process = subprocess.Popen(
                [sys.executable, "-m", "onecard_gateway", "--url", behind, "--port", str(port)],
                env={**os.environ, "PYTHONPATH": paths, **folder},
                stderr=subprocess.PIPE,
                text=True,
            )
            stack.callback(lambda: (process.kill(), process.communicate()))
            url = f"http://127.0.0.1:{port}/v1/jobs"
            until(lambda: is_up(url))
            return process, url

        yield started


def is_up(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.TransportError:
        return False


def test_jobs_outlive_a_killed_gateway(begin: Any, fake: Any) -> None:
    process, url = begin(fake(STUCK).url)
    jobs = [
        httpx.post(url, files=FILE, data={"response_format": "text"}).json()["id"] for _ in range(3)
    ]

    def found(number: int) -> dict[str, Any]:
        document: dict[str, Any] = httpx.get(f"{url}/{jobs[number]}").json()
        return document

    until(lambda: found(0)["progress"] and found(1)["progress"])
    assert found(2)["state"] == "queued"
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE_S)
    behind = fake(WELL)
    process, url = begin(behind.url)
    until(lambda: all(found(number)["state"] == "done" for number in range(3)))
    assert [found(number)["attempts"] for number in range(3)] == [2, 2, 1]
    assert {found(number)["result"] for number in range(3)} == {"Hello there.\n"}
    assert behind.audio() == FILE["file"][1]
    process.terminate()
    _, log = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, log
    assert log.count(" done seconds=") == 3
    assert "Hello there" not in log


def test_minutes_of_a_killed_gateway_are_made_without_transcribing_again(
    begin: Any, fake: Any, tmp_path: Path
) -> None:
    nothing = events(*TOLD)  # the options are tried first
    process, url = begin(fake(nothing, WELL, events(TOLD[0], then=hangs)).url)
    form = {"task": "minutes", "template": "call", "schema": '{"type": "object"}'}
    job = httpx.post(url, files=FILE, data=form).json()["id"]

    def found() -> dict[str, Any]:
        document: dict[str, Any] = httpx.get(f"{url}/{job}").json()
        return document

    until(lambda: "minutes" in found()["progress"])
    assert len(list((tmp_path / "jobs").glob("*.transcript"))) == 1
    process.send_signal(signal.SIGKILL)
    process.wait(PATIENCE_S)
    behind = fake(events(*TOLD))
    _, url = begin(behind.url)
    until(lambda: found()["state"] == "done")
    assert len(behind.requests) == 1  # of the minutes
    assert behind.options() == {"template": "call", "schema": {"type": "object"}}
    document = found()
    assert (document["attempts"], document["response_format"]) == (2, "minutes")
    result = document["result"]
    assert result["title"] == "Hello"
    assert result["account"]["complete"]
    assert result["transcript"]["segments"][0]["text"] == "Hello there."
    assert [path.name for path in (tmp_path / "jobs").glob("job_*")] == []


def test_what_ends_its_gateway_is_given_up(fake: Any, gateway: Any, tmp_path: Path) -> None:
    """As a gateway that was killed leaves it: under way, half copied, and without a recording."""
    folder, behind = tmp_path / "jobs", fake(STUCK)
    one = gateway(behind.url, jobs_folder=folder, jobs_at_a_time=1)
    with one.client() as client:
        ids = [client.post("/v1/jobs", files=FILE).json()["id"] for _ in range(3)]
        until(lambda: behind.requests)
    one.stop()
    one.wait()
    with closing(sqlite3.connect(folder / "jobs.sqlite3", isolation_level=None)) as database:
        change = "UPDATE jobs SET state = ?, attempts = ? WHERE id = ?"
        database.execute(change, ("running", 3, ids[0]))
        database.execute(change, ("arriving", 0, ids[1]))
    (folder / f"{ids[2]}.recording").unlink()
    with gateway(fake(WELL).url, jobs_folder=folder).client() as client:
        found = [client.get(f"/v1/jobs/{job_id}").json() for job_id in ids]
    assert (found[0]["state"], found[2]["state"]) == ("failed", "failed")
    assert "3 times" in found[0]["error"]["message"]
    assert "gone from the disk" in found[2]["error"]["message"]
    assert found[1]["error"]["type"] == "not_found_error"
    assert list(folder.glob("*.recording")) == []
