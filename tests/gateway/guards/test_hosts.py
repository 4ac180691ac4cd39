"""Web pages of others do not reach a gateway, neither by DNS rebinding nor by a form."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from build_scripts.server.door import rules


@pytest.fixture(scope="module")
def client(lasting_gateway: Any) -> Any:
    one = lasting_gateway(
        allowed_hosts=frozenset({"box.lan"}), allowed_origins=frozenset({"app://notes.md"})
    )
    with one.client() as client:
        yield client


@pytest.mark.parametrize(
    "host", ["127.0.0.1:80", "[::1]:8080", "localhost", "LOCALHOST:1", "a.localhost", "box.lan"]
)
def test_own_names(client: Any, host: str) -> None:
    assert client.get("/", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example:8080", "box.lan.evil", ""]
)
def test_names_of_others(client: Any, host: str) -> None:
    found = client.get("/", headers={"host": host})
    assert found.status_code == 403
    assert "--allowed-hosts" in found.json()["error"]["message"]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1:80", "[::1]:8080", "[::1", "LOCALHOST.:1", "a.localhost", "box.lan", "BOX.lan:1",
     "evil.example", "localhost.evil", "box.lan.evil", "", "a:b", "1.2.3", "[box.lan]", "::1"],
)  # fmt: skip
def test_the_door_of_a_server_knows_the_same_hosts(client: Any, host: str) -> None:
    """Neither imports the other, and both say which hosts are their own."""
    try:
        rules.Rules("secret", frozenset({"box.lan"})).verify_browser([host], None, None)
        status = 200
    except rules.Refused:
        status = 403
    assert client.get("/", headers={"host": host}).status_code == status


def test_origins(client: Any) -> None:
    def status(origin: str) -> int:
        return client.post("/v1/none", headers={"origin": origin}).status_code

    own = str(client.base_url).rstrip("/")
    assert [status(own), status("app://notes.md")] == [404, 404]
    assert [status("https://evil.example"), status("null")] == [403, 403]
    assert [status("http://["), status("")] == [403, 403]


def test_no_host(client: Any) -> None:
    def answer(*headers: str) -> bytes:
        with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
            connection.sendall("\r\n".join(["GET / HTTP/1.0", *headers, "", ""]).encode())
            return connection.recv(2**16)

    assert b" 200 OK\r\n" in answer()
    assert b" 403 Forbidden\r\n" in answer("origin: https://evil.example")


def test_a_named_origin_is_told_that_it_may(client: Any) -> None:
    headers = {"origin": "app://notes.md", "access-control-request-method": "POST"}
    found = client.options("/v1/chat/completions", headers=headers)
    assert found.headers["access-control-allow-origin"] == "app://notes.md"
