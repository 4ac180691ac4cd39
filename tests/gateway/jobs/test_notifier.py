"""Jobs whose end is told to a real HTTP server."""

from __future__ import annotations

import base64
import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from fake_server import FINISHED, events, says
from openai import InvalidWebhookSignatureError, OpenAI

from onecard_gateway.jobs import notifier
from onecard_gateway.webhooks import message
from tests.waiting import until

URL = "/v1/jobs"
FILE = {"file": ("talk.mp3", b"RIFF of some kind")}
SECRET = "whsec_" + base64.b64encode(b"0123456789" * 3).decode()


class Receiver(ThreadingHTTPServer):
    """Answers with one status after the other, the last one ever after. `got`: what came."""

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses = list(statuses)
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def url(self, host: str = "127.0.0.1", scheme: str = "http") -> str:
        return f"{scheme}://{host}:{self.server_port}/hook?of=jobs"


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        status = self.server.statuses[min(len(self.server.got), len(self.server.statuses) - 1)]
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.got.append((self.path, headers, body))
        self.send_response(status)
        self.send_header("location", "http://127.0.0.1:1/")
        self.end_headers()

    def log_message(self, *arguments: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Any]:
    started: list[Receiver] = []

    def start(*statuses: int) -> Receiver:
        started.append(Receiver(*statuses))
        return started[-1]

    yield start
    for one in started:
        one.shutdown()
        one.server_close()


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notifier, "PAUSES_S", (0.01, 0.02))


@pytest.fixture
def start(gateway: Any, fake: Any, tmp_path: Path) -> Any:
    def started(step: Any, *hosts: str) -> Any:
        settings = {"webhook_hosts": frozenset(hosts), "webhook_secret": SECRET}
        return gateway(fake(step).url, jobs_folder=tmp_path / "jobs", **settings).client()

    return started


def created(client: Any, url: str) -> dict[str, Any]:
    found = client.post(URL, files=FILE, data={"webhook_url": url})
    assert found.status_code == 202, found.text
    job: dict[str, Any] = found.json()
    return job


def webhook(client: Any, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"{URL}/{job['id']}").json()["webhook"]
    return found


def test_the_end_of_a_job_is_told_as_openai_s_client_reads_it(start: Any, receiver: Any) -> None:
    one = receiver(200)
    with start(events(FINISHED), "127.0.0.1") as client:
        job = created(client, one.url())
        until(lambda: webhook(client, job)["delivered_at"])
    [(path, headers, body)] = one.got
    assert (path, headers["content-type"]) == ("/hook?of=jobs", "application/json")
    with OpenAI(api_key="none", base_url="http://127.0.0.1:1") as openai:
        openai.webhooks.verify_signature(body, headers, secret=SECRET)
        with pytest.raises(InvalidWebhookSignatureError):
            openai.webhooks.verify_signature(body + b" ", headers, secret=SECRET)
    told = json.loads(body)
    assert (told["id"], told["type"]) == (f"evt_{job['id']}", "job.done")
    assert (told["data"]["id"], told["data"]["state"]) == (job["id"], "done")
    assert "result" not in told["data"]


def test_it_is_told_again_until_it_is_taken(start: Any, receiver: Any) -> None:
    one = receiver(500, 302, 204)
    with start(says("INVALID_ARG: not audio"), "127.0.0.1") as client:
        job = created(client, one.url())
        until(lambda: webhook(client, job)["delivered_at"])
        assert webhook(client, job)["attempts"] == 3
    assert [json.loads(body)["type"] for _, _, body in one.got] == ["job.failed"] * 3
    assert len({headers["webhook-id"] for _, headers, _ in one.got}) == 1


@pytest.mark.parametrize(("status", "attempts"), [(410, 1), (503, 3)])
def test_it_is_given_up(start: Any, receiver: Any, status: int, attempts: int) -> None:
    one = receiver(status)
    with start(events(FINISHED), "127.0.0.1") as client:
        job = created(client, one.url())
        until(lambda: webhook(client, job)["attempts"] == attempts)
        assert webhook(client, job)["delivered_at"] is None
    assert len(one.got) == attempts


def test_hosts_that_are_not_listed_get_nothing(start: Any, receiver: Any) -> None:
    one = receiver(200)
    with start(events(FINISHED), "localhost") as client:
        found = client.post(URL, files=FILE, data={"webhook_url": one.url()})
        assert found.status_code == 403
        assert "--webhook-hosts" in found.json()["error"]["message"]
        assert client.get(URL).json()["data"] == []
        # A listed name that leads to this machine, whose address is not listed.
        job = created(client, one.url("localhost"))
        until(lambda: webhook(client, job)["attempts"] == 3)
    assert one.got == []


def test_a_certificate_of_another_is_not_told(
    start: Any, receiver: Any, certificates: Path
) -> None:
    one = receiver(200)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates / "cert.pem", certificates / "key.pem")
    one.socket = context.wrap_socket(one.socket, server_side=True)
    with start(events(FINISHED), "127.0.0.1") as client:
        job = created(client, one.url(scheme="https"))
        until(lambda: webhook(client, job)["attempts"] == 3)
    assert one.got == []


def test_a_host_that_does_not_answer_holds_up_no_other(start: Any, receiver: Any) -> None:
    one = receiver(200)
    with start(events(FINISHED), "127.0.0.1") as client, silent() as port:
        held = created(client, f"http://127.0.0.1:{port}/")
        until(lambda: client.get(f"{URL}/{held['id']}").json()["state"] == "done")
        job = created(client, one.url())
        until(lambda: webhook(client, job)["delivered_at"])


def test_a_host_that_does_not_answer_is_given_up(
    start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message, "TIMEOUT_S", 0.1)
    with start(events(FINISHED), "127.0.0.1") as client, silent() as port:
        job = created(client, f"http://127.0.0.1:{port}/")
        until(lambda: webhook(client, job)["attempts"] == 3)


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]
