"""The gateway tells how the server behind it is."""

from __future__ import annotations

from typing import Any

from fake_server import FINISHED, RESULT, events


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


def test_who_has_no_key_reads_the_state_alone(gateway: Any, fake: Any, keys: Any) -> None:
    secret = keys.add("notes", "text")
    for one, state in ((fake(events(FINISHED)).url, "loading"), ("127.0.0.1:1", "unreachable")):
        with gateway(one, keys_file=keys.path).client() as client:
            health, ready = client.get("/health"), client.get("/readyz")
            assert (health.status_code, ready.status_code) == (503, 503)
            assert health.json()["status"] == state
            assert {*health.json()} <= {"status", "service"}
            assert ready.text == "not ready\n"
            assert "version" not in client.get("/").json()
            assert client.get("/openapi.json").json()["info"]["version"] == "1"
            client.headers["authorization"] = f"Bearer {secret}"
            assert {*client.get("/health").json()} & {"version", "detail"}
            assert client.get("/readyz").text != "not ready\n"


def test_the_gpu_is_what_a_result_told(gateway: Any, fake: Any) -> None:
    told = {"device": "cuda", "gpu": "NVIDIA H200", "compute_capability": "9.0"}
    engine = {**RESULT["engine"], "diarize": told}
    finished = {"event": "result", "result": {**RESULT, "engine": engine}}
    with gateway(fake(events(finished)).url).client() as client:
        assert client.get("/health").json()["gpu"] is None
        client.post("/v1/audio/transcriptions", files={"file": ("a.wav", b"RIFF")})
        found = client.get("/health").json()
    assert {name: found[name] for name in told} == told


def test_what_is_not_there(gateway: Any) -> None:
    with gateway().client() as client:
        found = client.get("/v2/none")
        wrong = client.post("/health")
    assert found.status_code == 404
    assert found.json()["error"]["type"] == "not_found_error"
    assert wrong.status_code == 405
