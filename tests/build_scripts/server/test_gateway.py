"""The gateway beside a server: started, kept, drained, and left out where it cannot be had."""

from __future__ import annotations

import argparse
import dataclasses
import os
import signal
import socket
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.errors import ServerError
from build_scripts.server import settings
from build_scripts.server.gateway import Gateway
from build_scripts.server.settings import Settings
from build_scripts.server.temporary import free_ports
from tests.waiting import until


def read(*flags: str, **environment: str) -> Settings:
    parser = argparse.ArgumentParser()
    settings.add_arguments(parser)
    return settings.from_arguments(parser.parse_args(flags), environment)


@pytest.mark.parametrize(
    ("environment", "port", "is_asked"),
    [
        ({}, 8080, False),
        ({"GATEWAY": "0"}, None, False),
        ({"HTTP_PORT": "9000"}, None, False),
        ({"HTTP_PORT": "9000", "GATEWAY": "1"}, 8080, False),
        ({"HTTP_PORT": "9000", "GATEWAY_PORT": "9080"}, 9080, True),
        ({"GATEWAY_PORT": "9080", "GATEWAY": "0"}, None, True),
    ],
)
def test_settings(environment: dict[str, str], port: int | None, is_asked: bool) -> None:
    found = read(**environment)
    assert (found.gateway_port, found.is_gateway_asked) == (port, is_asked)


def test_wrong_settings() -> None:
    with pytest.raises(ServerError, match="`GATEWAY_PORT` is `web`"):
        read(GATEWAY_PORT="web")


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(paths, "LOG", tmp_path)
    http, grpc, own = free_ports(3)
    found = read(HTTP_PORT=str(http), GRPC_PORT=str(grpc), GATEWAY_PORT=str(own))
    return dataclasses.replace(found, drain_timeout_s=5)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def one(wanted: Settings, said: list[str]) -> Iterator[Gateway]:
    gateway = Gateway(wanted, said.append)
    yield gateway
    gateway.close()


def pid(gateway: Gateway) -> int:
    assert gateway._process is not None
    return gateway._process.pid


def test_one_that_ends_is_started_again(
    one: Gateway, wanted: Settings, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    one.open()
    until(one.is_settled)
    first = pid(one)
    with urllib.request.urlopen(f"http://127.0.0.1:{wanted.gateway_port}/") as answer:
        assert answer.status == 200
    assert f"http://127.0.0.1:{wanted.gateway_port}" in one.shown
    with monkeypatch.context() as changed:
        changed.setenv("GATEWAY_TLS_CERTIFICATE", "cert.pem")
        assert f"https://127.0.0.1:{wanted.gateway_port}" in one.shown
    os.kill(first, signal.SIGKILL)
    until(lambda: one.keep() or pid(one) != first)
    assert "SIGKILL" in said[0]
    until(lambda: _is_open(wanted))
    process = one._process
    one.drain()
    one.close()
    assert process is not None
    assert process.returncode == 0
    assert not _is_open(wanted)
    assert one.shown == ""


def test_wrong_settings_of_its_own_are_told_once(
    one: Gateway, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_KEYS_FILE", "")
    monkeypatch.setenv("GATEWAY_HOST", "0.0.0.0")
    one.open()
    until(lambda: one.keep() or said)
    assert "refused: onecard-gateway: " in said[0]
    assert "--allow-anyone" in said[0]
    for _ in range(3):
        one.keep()
    assert len(said) == 1
    assert one.is_settled()
    assert one.shown == ""


def _is_open(wanted: Settings) -> bool:
    with socket.socket() as caller:
        return caller.connect_ex(("127.0.0.1", wanted.gateway_port or 0)) == 0


def test_a_taken_port_keeps_nobody_from_serving_who_did_not_ask(
    wanted: Settings, said: list[str]
) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", wanted.gateway_port or 0))
        holder.listen()
        with pytest.raises(ServerError, match="GATEWAY=0"):
            Gateway(wanted, said.append).open()
        usual = Gateway(dataclasses.replace(wanted, is_gateway_asked=False), said.append)
        usual.open()
    assert usual.is_settled()
    assert usual.shown == ""
    assert said[0].startswith(f"warning: port `{wanted.gateway_port}`")


def test_none_is_wanted(wanted: Settings, said: list[str]) -> None:
    none = Gateway(dataclasses.replace(wanted, gateway_port=None), said.append)
    none.open()
    none.keep()
    none.close()
    assert (none.is_settled(), said) == (True, [])
