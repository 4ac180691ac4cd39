"""Who has no key, not the scope, or used the limits, is refused before anything is done."""

from __future__ import annotations

import base64
import json
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from fake_server import FINISHED, events
from fastapi.routing import APIRoute

from onecard_gateway.app import ROUTERS
from tests.waiting import PATIENCE_S, until

SPEECH = "/v1/audio/transcriptions"
FILE = {"file": ("a.wav", b"RIFF")}
OPEN = {"/", "/page/{path:path}", "/health", "/readyz"}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def basic(key: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"me:{key}".encode()).decode()}


def scopes(route: APIRoute) -> set[str]:
    return {scope for one in route.dependencies for scope in one.dependency.scopes}


def test_every_route_says_what_it_needs() -> None:
    routes: list[Any] = [route for router in ROUTERS for route in router.routes]
    found = {route.path: scopes(route) for route in routes}
    assert {path for path, needed in found.items() if not needed} == OPEN
    assert found["/v1/chat/completions"] == found["/api/chat"] == {"text"}
    assert found[SPEECH] == found["/asr"] == found["/transcribe"] == {"speech"}
    assert found["/v1/models"] == {"speech", "text"}
    assert found["/v1/card"] == {"speech", "text", "admin"}
    assert found["/metrics"] == {"admin"}
    assert found["/v1/jobs/{job_id}"] == found["/v1/jobs/{job_id}/events"] == {"speech", "admin"}


def test_keys_in_every_place(gateway: Any, keys: Any) -> None:
    key = keys.add("notes")
    with gateway(keys_file=keys.path).client() as client:

        def status(**headers: str) -> int:
            return client.get("/api/tags", headers=headers).status_code

        assert [status(**bearer(key)), status(**basic(key))] == [200, 200]
        assert status(**{"api-key": key}) == 200
        assert status(**{"api-key": key, **bearer("none")}) == 200
        assert status(authorization=f"bearer  {key}") == 200
        for wrong in ("none", f"{key}x", key[:-1], key.upper()):
            found = [status(**bearer(wrong)), status(**basic(wrong)), status(**{"api-key": wrong})]
            assert found == [401, 401, 401]
        assert status(authorization=key) == 401
        assert status(authorization=f"Basic {key}") == 401
        odd = [(b"authorization", b"Basic \xff\xfe"), (b"api-key", b"\xff")]
        assert client.get("/api/tags", headers=odd).status_code == 401
        assert client.get(f"/api/tags?api-key={key}").status_code == 401


@pytest.mark.parametrize(
    ("path", "place"),
    [
        ("/v1/chat/completions", ["error", "message"]),
        (SPEECH, ["error", "message"]),
        ("/api/chat", ["error"]),
        ("/asr", ["detail"]),
        ("/transcribe", ["detail"]),
    ],
)
def test_refusals_in_each_api(gateway: Any, keys: Any, path: str, place: list[str]) -> None:
    limited = keys.add("limited", requests_a_minute=1)
    admin = keys.add("admin", "admin")
    with gateway(keys_file=keys.path).client() as client:

        def refused(**headers: str) -> tuple[httpx.Response, str]:
            found = client.post(path, headers=headers)
            message: Any = found.json()
            for name in place:
                message = message[name]
            return found, message

        found, message = refused()
        assert (found.status_code, found.headers["www-authenticate"]) == (401, "Bearer")
        assert message.startswith("the request has no key")
        found, message = refused(**bearer("sk-of-another"))
        assert found.status_code == 401
        assert "keys add NAME" in message
        assert "another`" not in message
        found, message = refused(**bearer(admin))
        assert found.status_code == 403
        assert message.startswith("the key `admin` has the scopes `admin`, must have ")
        refused(**bearer(limited))
        found, message = refused(**bearer(limited))
        assert found.status_code == 429
        assert 58 <= int(found.headers["retry-after"]) <= 60
        assert "at most 1 (`requests_a_minute`)" in message


def test_what_stays_open(gateway: Any, keys: Any) -> None:
    admin = keys.add("prometheus", "admin")
    one = gateway(keys_file=keys.path)
    with one.client() as client:
        assert client.get("/").status_code == 200
        paths = client.get("/openapi.json").json()["paths"]
        assert paths[SPEECH]["post"]["security"] == [{"key": []}]
        assert "security" not in paths["/health"]["get"]
        assert [client.get(path).status_code for path in ("/health", "/readyz")] == [503, 503]
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers=bearer(admin)).status_code == 200


def test_a_body_is_not_waited_for(gateway: Any, keys: Any) -> None:
    keys.add("notes")
    host, port = gateway(keys_file=keys.path).url.removeprefix("http://").split(":")
    head = f"POST {SPEECH} HTTP/1.1\r\nhost: {host}\r\ncontent-length: 1000000\r\n\r\n"
    with socket.create_connection((host, int(port)), timeout=PATIENCE_S) as connection:
        connection.sendall(head.encode())
        assert connection.recv(12) == b"HTTP/1.1 401"


def test_limits_of_streams_and_audio(gateway: Any, fake: Any, keys: Any) -> None:
    key = keys.add("notes", streams=1, audio_seconds_a_day=3)
    asked, go_on = threading.Event(), threading.Event()

    def waits(request: Any, context: Any) -> Iterator[Any]:
        asked.set()
        assert go_on.wait(PATIENCE_S)
        yield from events(FINISHED)(request, context)

    one = gateway(fake(waits, events(FINISHED)).url, keys_file=keys.path)
    with one.client(headers=bearer(key)) as client:

        def post() -> httpx.Response:
            return client.post(SPEECH, files=FILE)

        answers: list[httpx.Response] = []
        caller = threading.Thread(target=lambda: answers.append(post()))
        caller.start()
        assert asked.wait(PATIENCE_S)
        over = post()
        assert over.status_code == 429
        assert over.headers["retry-after"]
        assert "`streams`" in over.json()["error"]["message"]
        assert over.json()["error"]["code"] == "rate_limit_exceeded"
        go_on.set()
        caller.join(PATIENCE_S)
        assert answers[0].status_code == 200
        assert post().status_code == 200  # 2 s of audio each, and a place that is free at once
        assert "`audio_seconds_a_day`" in post().json()["error"]["message"]


def test_the_log_has_the_name_and_no_key(
    gateway: Any, fake: Any, keys: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    key = keys.add("notes")
    one = gateway(fake(events(FINISHED)).url, keys_file=keys.path, log_json=True)
    with one.client() as client:
        found = client.post(SPEECH, files=FILE, headers=bearer(key))
        client.get("/api/tags", headers=bearer("sk-onecard-wrong"))

    def lines() -> list[dict[str, Any]]:
        found = [one.getMessage() for one in caplog.records if one.name == "onecard_gateway"]
        return [json.loads(one) for one in found]

    until(lambda: len(lines()) == 2)
    known, stranger = lines()
    assert (known["key"], known["route"], known["status"]) == ("notes", SPEECH, 200)
    assert known["audio_s"] == 2.0
    assert "key" not in stranger
    assert stranger["status"] == 401
    gateway_says = "\n".join(one.getMessage() for one in caplog.records)
    assert found.json()["text"] not in gateway_says
    assert key not in gateway_says
    assert "sk-onecard-wrong" not in gateway_says


def test_pages_ask_first_without_a_key(gateway: Any, keys: Any) -> None:
    key, page = keys.add("notes"), "https://notes.example"
    one = gateway(keys_file=keys.path, allowed_origins=frozenset({page}))
    wanted = {"access-control-request-method": "POST"}
    wanted |= {"access-control-request-headers": "authorization, content-type"}
    with one.client() as client:
        found = client.options(SPEECH, headers={"origin": page, **wanted})
        assert found.status_code == 200
        assert found.headers["access-control-allow-origin"] == page
        assert "authorization" in found.headers["access-control-allow-headers"]
        assert "access-control-allow-credentials" not in found.headers
        found = client.get("/api/tags", headers={"origin": page, **bearer(key)})
        assert found.headers["access-control-allow-origin"] == page
        assert "retry-after" in found.headers["access-control-expose-headers"].split(", ")
        found = client.get("/api/tags", headers={"origin": page})  # pages can read why
        assert found.status_code == 401
        assert found.headers["access-control-allow-origin"] == page
        found = client.options(SPEECH, headers={"origin": "https://evil.example", **wanted})
        assert found.status_code == 403
        assert "access-control-allow-origin" not in found.headers


def test_no_page_is_answered_unless_named(gateway: Any) -> None:
    with gateway().client() as client:
        found = client.get("/", headers={"origin": str(client.base_url).rstrip("/")})
        assert found.status_code == 200
        assert "access-control-allow-origin" not in found.headers
