"""The gateway tells how the server behind it is."""

from __future__ import annotations

from typing import Any

from fake_server import FINISHED, events


def test_no_server(gateway: Any) -> None:
    with gateway().client() as client:
        ready, health = client.get("/readyz"), client.get("/health")
    assert (ready.status_code, health.status_code) == (503, 503)
    assert "no answer from a gRPC server" in ready.text
    assert health.json()["status"] == "unreachable"


def test_a_model_is_not_ready(gateway: Any, fake: Any) -> None:
    with gateway(fake(events(FINISHED)).url).client() as client:
        ready, health = client.get("/readyz"), client.get("/health")
    assert (ready.status_code, ready.text) == (503, "not ready: align\n")
    assert health.json()["status"] == "loading"
    assert health.json()["models"]["align"] is False


def test_what_there_is(gateway: Any) -> None:
    with gateway().client() as client:
        paths = client.get("/").json()["paths"]
    assert {"/asr", "/api/chat", "/v1/responses", "/v1/models/{model_id}"} <= {*paths}


def test_what_is_not_there(gateway: Any) -> None:
    with gateway().client() as client:
        found = client.get("/v2/none")
        wrong = client.post("/health")
    assert found.status_code == 404
    assert found.json()["error"]["type"] == "not_found_error"
    assert wrong.status_code == 405
