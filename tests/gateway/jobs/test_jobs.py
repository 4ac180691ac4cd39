"""Jobs from the upload to the result, and whose they are, in front of a server with a script."""

from __future__ import annotations

import json
import sqlite3
import stat
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fake_server import FINISHED, PROGRESS, events, hangs, says

from onecard_gateway.jobs import queue
from tests.waiting import PATIENCE_S, until

URL = "/v1/jobs"
FILE = {"file": ("talk.mp3", b"RIFF of some kind")}
WELL = events(PROGRESS, FINISHED)


class Gate:
    """A step of a server that has begun and waits. `asked`: it has; `go_on`: lets it end."""

    def __init__(self) -> None:
        self.asked, self.go_on = threading.Event(), threading.Event()

    def __call__(self, request: Any, context: Any) -> Iterator[Any]:
        yield from events(PROGRESS)(request, context)
        self.asked.set()
        assert self.go_on.wait(PATIENCE_S)
        yield from events(FINISHED)(request, context)


@pytest.fixture
def gate() -> Iterator[Gate]:
    found = Gate()
    yield found
    found.go_on.set()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data" / "jobs"


@pytest.fixture
def start(gateway: Any, fake: Any, folder: Path) -> Callable[..., Any]:
    """`start(step, ..., **settings)`: a gateway with jobs in front of a server with these steps."""

    def started(*script: Any, **settings: Any) -> Any:
        return gateway(fake(*script).url, jobs_folder=folder, **settings)

    return started


def post(client: httpx.Client, **fields: str) -> dict[str, Any]:
    found = client.post(URL, files=FILE, data=fields)
    assert found.status_code == 202, found.text
    document: dict[str, Any] = found.json()
    assert found.headers["location"] == f"{URL}/{document['id']}"
    return document


def get(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = client.get(f"{URL}/{job['id']}").json()
    return document


def ended(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    until(lambda: get(client, job)["state"] in ("done", "failed"))
    return get(client, job)


def told(client: httpx.Client, job: dict[str, Any]) -> Iterator[dict[str, Any]]:
    with client.stream("GET", f"{URL}/{job['id']}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line[6:])


def test_from_the_upload_to_the_result(fake: Any, gateway: Any, folder: Path, gate: Gate) -> None:
    behind = fake(gate)
    one = gateway(behind.url, jobs_folder=folder)
    with one.client() as client:
        fields = {"response_format": "verbose_json", "language": "en", "webhook": "x"}
        found = client.post(URL, files=FILE, data=fields)
        assert found.headers["x-onecard-ignored"] == "webhook"
        job = found.json()
        assert (job["state"], job["response_format"], job["attempts"]) == (
            "queued",
            fields["response_format"],
            0,
        )
        assert gate.asked.wait(PATIENCE_S)
        until(lambda: get(client, job)["progress"])
        running = get(client, job)
        assert (running["state"], running["attempts"]) == ("running", 1)
        assert running["progress"] == {"recognize": {"done": 1, "total": 4}}
        assert "result" not in running
        kept = folder / f"{job['id']}.recording"
        assert kept.read_bytes() == FILE["file"][1]
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (folder, kept)]
        assert modes == [0o700, 0o600]
        gate.go_on.set()
        done = ended(client, job)
        assert (done["state"], done["error"]) == ("done", None)
        assert done["result"]["text"] == "Hello there."
        assert done["result"]["segments"][0]["avg_logprob"] == -0.25
        assert done["expires_at"] - done["ended_at"] == 24 * 3600
        assert not kept.exists()
    assert behind.audio() == FILE["file"][1]
    assert behind.options()["language"] == "en"
    assert behind.requests[-1].id.startswith(job["id"])
    assert one.figure("onecard_gateway_audio_seconds_total") == 2.0


def test_results_in_other_formats(start: Any) -> None:
    with start(WELL).client() as client:
        jobs = {name: post(client, response_format=name) for name in ("json", "text", "srt")}
        found = {name: ended(client, job)["result"] for name, job in jobs.items()}
    assert found["json"]["text"] == "Hello there."
    assert found["text"] == "Hello there.\n"
    assert "00:00:00,100 --> 00:00:01,000" in found["srt"]


def test_who_watches_does_not_hold_up_the_end(start: Any, gate: Gate) -> None:
    """The time to drain is for those who wait for work; a watcher asks the next gateway."""
    one = start(gate, drain_s=PATIENCE_S)
    with one.client() as client:
        seen = told(client, post(client))
        assert next(seen)["state"] in ("queued", "running")
        assert gate.asked.wait(PATIENCE_S)
        began_s = time.monotonic()
        one.stop()
        assert [document["state"] for document in seen][-1:] != ["done"]
        one.wait()
    assert time.monotonic() - began_s < PATIENCE_S / 2


def test_events_for_those_who_come_early_and_late(start: Any, gate: Gate) -> None:
    with start(gate).client() as client:
        job = post(client)
        seen = told(client, job)
        before = []
        for document in seen:
            before.append(document)
            if document.get("progress"):
                break
        assert before[-1]["type"] == "progress"
        again = next(told(client, job))
        assert (again["type"], again["progress"]) == ("progress", before[-1]["progress"])
        gate.go_on.set()
        rest = list(seen)
        assert (rest[-1]["type"], rest[-1]["result"]["text"]) == ("done", "Hello there.")
        assert list(told(client, job)) == [rest[-1]]


def test_those_who_watch_are_told_now_and_then(
    start: Any, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "TOLD_S", 0.05)
    with start(gate).client() as client:
        job = post(client)
        assert gate.asked.wait(PATIENCE_S)
        seen = told(client, job)
        assert [next(seen)["type"] for _ in range(3)] == ["progress"] * 3
        gate.go_on.set()
        assert list(seen)[-1]["type"] == "done"


def test_a_recording_that_is_none_fails_at_once(start: Any) -> None:
    with start(says("INVALID_ARG: no audio in it")).client() as client:
        job = post(client)
        *_, last = told(client, job)
        assert (last["type"], last["attempts"]) == ("failed", 1)
        assert last["error"]["type"] == "invalid_request_error"
        assert "no audio in it" in last["error"]["message"]


def test_a_server_that_fails_is_asked_three_times(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "PAUSE_S", 0.01)
    broken = events(PROGRESS, then=says("INTERNAL: it broke"))
    with start(*[broken] * 4, WELL).client() as client:
        found = ended(client, post(client))
        assert (found["state"], found["attempts"]) == ("failed", 3)
        assert found["error"]["type"] == "server_error"
        found = ended(client, post(client))
        assert (found["state"], found["attempts"]) == ("done", 2)


def test_a_server_that_is_full_is_waited_for(start: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "PAUSE_S", 0.01)
    monkeypatch.setattr("onecard_gateway.servers.MAX_RETRIES", 0)
    full = says("UNAVAILABLE: the queue is full")
    with start(*[full] * 5, WELL).client() as client:
        found = ended(client, post(client))
        assert (found["state"], found["attempts"]) == ("done", 1)


def test_delete_ends_the_work(fake: Any, gateway: Any, folder: Path) -> None:
    behind = fake(events(PROGRESS, then=hangs), WELL)
    with gateway(behind.url, jobs_folder=folder, jobs_at_a_time=1).client() as client:
        first, second, third = post(client), post(client), post(client)
        until(lambda: get(client, first)["progress"])
        assert get(client, second)["state"] == "queued"
        seen = told(client, first)
        assert next(seen)["type"] == "progress"
        assert client.delete(f"{URL}/{second['id']}").json()["deleted"]
        assert client.delete(f"{URL}/{first['id']}").json()["deleted"]
        assert list(seen)[-1]["type"] == "deleted"
        assert behind.cancelled.wait(PATIENCE_S)
        assert ended(client, third)["state"] == "done"  # its turn came
        for job in (first, second):
            assert client.get(f"{URL}/{job['id']}").status_code == 404
            assert not (folder / f"{job['id']}.recording").exists()
        assert client.delete(f"{URL}/{third['id']}").status_code == 200
        assert client.get(URL).json() == {"object": "list", "data": [], "has_more": False}
    assert len(behind.requests) == 2


def test_wrong_ids_and_fields(start: Any) -> None:
    with start(WELL).client() as client:
        for name in ("job_none", "..%2f..%2fetc", "job_' OR 1=1"):
            for method, end in (("GET", ""), ("DELETE", ""), ("GET", "/events")):
                found = client.request(method, f"{URL}/{name}{end}")
                assert found.status_code == 404
                assert found.json()["error"]["type"] == "not_found_error"
        assert client.post(URL, data={"a": "b"}).status_code == 415
        assert client.post(URL, files={"other": b"x"}).status_code == 400
        for fields in ({"response_format": "x"}, {"stream": "true"}, {"task": "x"}):
            found = client.post(URL, files=FILE, data=fields)
            assert found.status_code == 400
            assert found.json()["error"]["param"] in fields
        assert client.get(f"{URL}?limit=0").status_code == 422
        assert client.get(URL).json()["data"] == []


def test_a_list_in_pages(start: Any) -> None:
    with start(WELL).client() as client:
        ids = [post(client)["id"] for _ in range(3)][::-1]
        page = client.get(f"{URL}?limit=2").json()
        assert ([job["id"] for job in page["data"]], page["has_more"]) == (ids[:2], True)
        page = client.get(f"{URL}?limit=2&after={ids[1]}").json()
        assert ([job["id"] for job in page["data"]], page["has_more"]) == (ids[2:], False)
        assert all("result" not in job for job in page["data"])


def test_jobs_are_seen_by_their_key_and_admin(start: Any, keys: Any) -> None:
    mine, other = keys.add("mine", audio_seconds_a_day=2), keys.add("other")
    admin, writer = keys.add("admin", "admin"), keys.add("writer", "text")
    one = start(WELL, keys_file=keys.path)

    def client(key: str) -> httpx.Client:
        found: httpx.Client = one.client(headers={"authorization": f"Bearer {key}"})
        return found

    with client(mine) as owner, client(other) as stranger, client(admin) as master:
        job = post(owner)
        assert ended(owner, job)["state"] == "done"
        assert ended(master, job)["result"]["text"] == "Hello there."
        assert [one["id"] for one in master.get(URL).json()["data"]] == [job["id"]]
        assert stranger.get(URL).json()["data"] == []
        for method, end in (("GET", ""), ("DELETE", ""), ("GET", "/events")):
            assert stranger.request(method, f"{URL}/{job['id']}{end}").status_code == 404
        over = owner.post(URL, files=FILE)  # what was recognized counts for its key
        assert (over.status_code, "audio_seconds_a_day" in over.text) == (429, True)
        assert master.post(URL, files=FILE).status_code == 403
        keys.remove("mine")
        namesake = keys.add("mine")
        with client(namesake) as another, client(writer) as text:
            assert another.get(f"{URL}/{job['id']}").status_code == 404
            assert text.get(URL).status_code == 403
        assert master.delete(f"{URL}/{job['id']}").status_code == 200
    assert httpx.get(f"{one.url}{URL}").status_code == 401


def test_the_disk_is_bounded(start: Any, folder: Path, gate: Gate) -> None:
    with start(gate, jobs_max_bytes=1000).client() as client:
        large = {"file": ("a.wav", b"x" * 1001)}
        found = client.post(URL, files=large)
        assert (found.status_code, "may have 1000" in found.text) == (413, True)
        job = client.post(URL, files={"file": ("a.wav", b"x" * 600)}).json()
        found = client.post(URL, files={"file": ("a.wav", b"x" * 500)})
        assert found.status_code == 507
        assert found.json()["error"]["code"] == "insufficient_storage"
        assert "delete some" in found.json()["error"]["message"]
        assert [path.stem for path in folder.glob("*.recording")] == [job["id"]]
        client.delete(f"{URL}/{job['id']}")
        gate.go_on.set()
        job = client.post(URL, files={"file": ("a.wav", b"x" * 500)}).json()
        assert ended(client, job)["state"] == "done"


def test_results_expire(start: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "EXPIRE_S", 0.05)
    with start(WELL, jobs_keep_hours=0.5 / 3600).client() as client:
        job = post(client)
        assert list(told(client, job))[-1]["type"] in ("done", "deleted")
        until(lambda: client.get(f"{URL}/{job['id']}").status_code == 404)

        def rows() -> int:
            with sqlite3.connect(folder / "jobs.sqlite3") as database:
                (count,) = database.execute("SELECT COUNT(*) FROM jobs").fetchone()
            database.close()
            return int(count)

        until(lambda: rows() == 0)


def test_a_gateway_without_jobs(gateway: Any) -> None:
    with gateway().client() as client:
        for method in ("GET", "POST"):
            found = client.request(method, URL)
            assert found.status_code == 404
            assert "--jobs-folder" in found.json()["error"]["message"]


def test_a_folder_belongs_to_one_gateway(
    start: Any, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue, "RETRY_S", 0.05)
    one = start(gate)
    with one.client() as first:
        job = post(first)
        assert gate.asked.wait(PATIENCE_S)
    with start(WELL).client() as second:
        found = second.get(URL)
        assert found.status_code == 503
        assert "another gateway" in found.json()["error"]["message"]
        assert second.get("/").status_code == 200
        one.stop()
        one.wait()
        until(lambda: second.get(URL).status_code == 200)
        assert ended(second, job)["state"] == "done"


def test_a_folder_that_others_may_read_is_refused(start: Any, folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    with start(WELL).client() as client:
        found = client.post(URL, files=FILE)
        assert (found.status_code, "mode 755" in found.text) == (503, True)
        folder.chmod(0o700)
        assert client.post(URL, files=FILE).status_code == 202


def test_a_database_that_is_none_keeps_the_rest_going(start: Any, folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True)
    database = folder / "jobs.sqlite3"
    database.write_text("no database at all" * 100)
    with start(WELL).client() as client:
        found = client.get(URL)
        assert (found.status_code, "cannot be read" in found.text) == (503, True)
        assert client.post("/v1/audio/transcriptions", files=FILE).status_code == 200
        database.unlink()
        assert ended(client, post(client))["state"] == "done"


def test_an_orderly_stop_counts_no_attempt(start: Any, gate: Gate) -> None:
    one = start(gate)
    with one.client() as client:
        job = post(client)
        assert gate.asked.wait(PATIENCE_S)
    one.stop()
    one.wait()
    with start(WELL).client() as client:
        found = ended(client, job)
        assert (found["state"], found["attempts"]) == ("done", 1)
        assert found["started_at"] <= time.time()


def test_minutes_that_nobody_would_make_are_refused_before_a_recording_is_taken(
    gateway: Any, fake: Any, keys: Any, folder: Path
) -> None:
    speech, both = keys.add("speech", "speech"), keys.add("both")
    behind = fake(says("INVALID_ARG: option `template` is `party`, must be `meeting`"))
    one = gateway(behind.url, jobs_folder=folder, keys_file=keys.path)
    with one.client() as client:

        def answer(key: str, **fields: str) -> Any:
            data = {"task": "minutes", **fields}
            return client.post(URL, files=FILE, data=data, headers={"api-key": key})

        assert answer(speech).status_code == 403
        wrong = answer(both, template="party")
        assert (wrong.status_code, "party" in wrong.text) == (400, True)
        assert answer(both, schema="[1]").json()["error"]["param"] == "schema"
        listed = client.get(URL, headers={"api-key": both}).json()
    assert listed["data"] == []
    assert behind.document() == {"segments": []}
