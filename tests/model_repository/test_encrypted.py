"""A server with mutual TLS and a collector of traces: the real Triton with `chat` and its engine.

The files are those that `make certificates` writes.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from build_scripts import paths
from build_scripts.commands import certificates
from build_scripts.server.temporary import free_ports
from onecard_client import Client, ConnectionFailed, OnecardError
from onecard_gateway.app import create_app
from onecard_gateway.settings import from_command_line
from tests import conftest
from tests.collector import Collector, Told, collecting
from tests.model_repository.chat_calls import metrics
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
QUESTION = [{"role": "user", "content": "Name a river."}]
BODY = {"model": "any", "messages": QUESTION, "max_tokens": 4}


@dataclass(frozen=True)
class Encrypted:
    """A server, the files of its authority and of a stranger's, its gateway and what it tells."""

    server: conftest.Server
    files: Path
    gateway_port: int
    log: Path
    collector: Collector

    @property
    def url(self) -> str:
        return f"grpcs://localhost:{self.server.grpc_url.rpartition(':')[2]}"

    def own(self, name: str = "client") -> dict[str, Path]:
        """What a caller who is known there gives."""
        return {
            "root_certificates": self.files / "ca.pem",
            "certificate_chain": self.files / f"{name}.pem",
            "private_key": self.files / f"{name}-key.pem",
        }

    def flags(self) -> list[str]:
        """The same for a command line."""
        names = {f"--{name.replace('_', '-')}": str(path) for name, path in self.own().items()}
        return ["--url", self.url, *(text for pair in names.items() for text in pair)]


@pytest.fixture(scope="module")
def encrypted(
    installed_triton: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Encrypted]:
    folder = tmp_path_factory.mktemp("encrypted")
    files, models = folder / "certificates", folder / "models"
    certificates.make(files)
    certificates.make(files / "stranger")
    models.mkdir()
    for name in ("chat", "llm"):
        (models / name).symlink_to(paths.MODEL_REPOSITORY / name)
    (gateway_port,) = free_ports(1)
    asked = {
        "GRPC_USE_SSL_MUTUAL": "1",
        "GRPC_SERVER_CERT": str(files / "server.pem"),
        "GRPC_SERVER_KEY": str(files / "server-key.pem"),
        "GRPC_ROOT_CERT": str(files / "ca.pem"),
        "GATEWAY_PORT": str(gateway_port),
        "CANARY_S": "1",
        "WARMUP": "1",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    with (
        collecting() as collector,
        conftest.serving(
            folder,
            REPOSITORY=str(models),
            OTEL_EXPORTER_OTLP_ENDPOINT=collector.url,
            **asked,
        ) as server,
    ):
        found = Encrypted(server, files, gateway_port, folder / "log", collector)
        until(lambda: "ready after" in found.log.read_text(), found.log.read_text)
        yield found


def answer(client: Client) -> str:
    asked: dict[str, Any] = {"max_tokens": 4, "timeout_s": PATIENCE_S}
    return "".join(event for event in client.chat("Name a river.", **asked))


def test_it_is_ready_and_stays_so_by_its_own_requests(encrypted: Encrypted) -> None:
    """Its first request, and the ones by which it sees whether models answer."""
    assert "failed" not in encrypted.log.read_text()

    def num_done() -> float:
        return metrics(encrypted.server, "onecard_streams_ended_total", 'outcome="done"')

    until(lambda: num_done() >= 3)  # nobody else has asked yet
    assert encrypted.server.state()["phase"] == "ready"
    assert "not ready" not in encrypted.log.read_text()


def test_a_caller_with_a_certificate_of_the_authority_is_answered(encrypted: Encrypted) -> None:
    with Client(encrypted.url, **encrypted.own()) as client:
        assert client.health(timeout_s=PATIENCE_S).ready
        assert answer(client)


@pytest.mark.parametrize("name", [None, "server", "stranger/client"])
def test_nobody_else_is_answered(encrypted: Encrypted, name: str | None) -> None:
    """Without a certificate, with a server's, with one of another authority."""
    own = {"root_certificates": encrypted.files / "ca.pem"} if name is None else encrypted.own(name)
    with (
        Client(encrypted.url, max_retries=0, **own) as client,
        pytest.raises(OnecardError),
    ):
        answer(client)


def test_neither_is_a_caller_who_trusts_somebody_else_or_does_not_encrypt(
    encrypted: Encrypted,
) -> None:
    own = {**encrypted.own(), "root_certificates": encrypted.files / "stranger" / "ca.pem"}
    for client in (
        Client(encrypted.url, max_retries=0, **own),
        Client(encrypted.server.grpc_url, max_retries=0),
    ):
        with client, pytest.raises(ConnectionFailed):
            answer(client)


def test_status_shows_it(encrypted: Encrypted) -> None:
    command = [sys.executable, "-m", "onecard_client", "status", "--json", *encrypted.flags()]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    ready = {one["name"]: one["ready"] for one in json.loads(ran.stdout)["models"]}
    assert ready["chat"]
    assert ready["llm"]


def test_the_gateway_beside_it_answers_and_so_does_one_elsewhere(encrypted: Encrypted) -> None:
    """The one of `serve` calls on loopback, the other one by TLS."""
    url = f"http://127.0.0.1:{encrypted.gateway_port}"
    with contextlib.ExitStack() as stack:
        beside = stack.enter_context(httpx.Client(base_url=url, timeout=PATIENCE_S))
        settings = from_command_line([*encrypted.flags(), "--keys-file", ""], {})
        elsewhere = TestClient(create_app(settings), base_url="http://127.0.0.1")
        for one in (beside, stack.enter_context(elsewhere)):
            answered = one.post("/v1/chat/completions", json=BODY)
            assert answered.status_code == 200, answered.text
            assert answered.json()["choices"][0]["message"]["content"]


CALLER = "cd" * 8
TRITON = "onecard-triton"


def told(encrypted: Encrypted, trace: str, *names: str) -> dict[str, list[Told]]:
    """The spans of a trace by service, once those of these names and all above them were told."""

    def found() -> dict[str, list[Told]]:
        spans = encrypted.collector.spans(trace)
        services = {one.service for one in spans}
        return {name: [one for one in spans if one.service == name] for name in services}

    def is_whole() -> bool:
        spans = encrypted.collector.spans(trace)
        known = {CALLER, *(one.own for one in spans)}
        return {*names} <= {one.name for one in spans} and {one.above for one in spans} <= known

    until(is_whole, lambda: [(one.service, one.name) for one in encrypted.collector.spans(trace)])
    return found()


def test_one_trace_holds_caller_gateway_client_triton_and_models(encrypted: Encrypted) -> None:
    trace = "ab" * 16
    url = f"http://127.0.0.1:{encrypted.gateway_port}/v1/chat/completions"
    headers = {"traceparent": f"00-{trace}-{CALLER}-01", "x-request-id": "call-7"}
    answered = httpx.post(url, json=BODY, headers=headers, timeout=PATIENCE_S)
    assert answered.status_code == 200, answered.text
    route = "POST /v1/chat/completions"
    found = told(encrypted, trace, route, "call chat", "chat", "llm")
    by_name = {one.name: one for one in found["onecard-gateway"]}
    door, call = by_name[route], by_name["call chat"]
    assert door.above == CALLER
    assert call.above == door.own
    assert call.attribute("onecard.id") == "call-7"
    triton = {one.own: one for one in found[TRITON]}
    (request,) = [one for one in triton.values() if one.above == call.own]
    (model,) = [one for one in found["onecard"] if one.name == "chat"]
    above = model.above
    while above in triton and above != request.own:
        above = triton[above].above
    assert above == request.own
    (engine,) = [one for one in found["onecard"] if one.name == "llm"]
    assert engine.above == model.own


def test_a_trace_in_a_client_s_headers_is_the_models(encrypted: Encrypted) -> None:
    trace = "ef" * 16
    headers = {"traceparent": f"00-{trace}-{CALLER}-01"}
    with Client(encrypted.url, headers=headers, **encrypted.own()) as client:
        assert answer(client)
    found = told(encrypted, trace, "chat", "llm")
    assert CALLER in {one.above for one in found[TRITON]}
