"""A gateway on a free port, in front of whatever server a test has."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from onecard_gateway.__main__ import Server
from onecard_gateway.keys import file
from onecard_gateway.keys.key import DEFAULT_SCOPES, Key, Limits, digest, made
from onecard_gateway.settings import Settings
from tests.waiting import PATIENCE_S, until

sys.path.insert(0, str(Path(__file__).parents[1] / "client"))

from fake_server import FakeServer, Step, events


class Gateway(Server):
    """A gateway in a thread of its own. `url`: where it listens."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._thread = threading.Thread(target=self.run)
        self._thread.start()
        until(lambda: self.started or not self._thread.is_alive())
        port = self.servers[0].sockets[0].getsockname()[1]
        scheme = "http" if settings.tls_certificate is None else "https"
        self.url = f"{scheme}://127.0.0.1:{port}"

    def client(self, **arguments: Any) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=PATIENCE_S, **arguments)

    def figure(self, name: str) -> float:
        """The sum of a figure of /metrics over its labels."""
        with self.client() as client:
            lines = client.get("/metrics").text.splitlines()
        return sum(float(line.split()[-1]) for line in lines if line.startswith(name))

    def stop(self) -> None:
        self.should_exit = True

    def wait(self) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()


@pytest.fixture(scope="session")
def stopped() -> Iterator[list[Gateway]]:
    """Those that were told to stop, which takes a while; waited for at the end."""
    found: list[Gateway] = []
    yield found
    for one in found:
        one.wait()


@contextlib.contextmanager
def starting(stopped: list[Gateway]) -> Iterator[Callable[..., Gateway]]:
    with contextlib.ExitStack() as stack:

        def start(*urls: str, **settings: Any) -> Gateway:
            one = Gateway(Settings(urls=urls or ("127.0.0.1:1",), port=0, **settings))
            stopped.append(one)
            stack.callback(one.stop)
            return one

        yield start


@pytest.fixture
def gateway(stopped: list[Gateway]) -> Iterator[Callable[..., Gateway]]:
    """`gateway(url, ...)` starts one in front of these servers; keywords are settings."""
    with starting(stopped) as start:
        yield start


@pytest.fixture(scope="module")
def lasting_gateway(stopped: list[Gateway]) -> Iterator[Callable[..., Gateway]]:
    """The same, for a gateway that the tests of a file share."""
    with starting(stopped) as start:
        yield start


@pytest.fixture(scope="module")
def _refusing(
    lasting_gateway: Callable[..., Gateway], lasting_fake: Callable[..., FakeServer]
) -> Iterator[tuple[httpx.Client, FakeServer]]:
    behind = lasting_fake(events())
    with lasting_gateway(behind.url).client() as client:
        yield client, behind


@pytest.fixture
def refusing(_refusing: tuple[httpx.Client, FakeServer]) -> Iterator[httpx.Client]:
    """A client of a gateway; fails where one of its requests gets to the server behind."""
    client, behind = _refusing
    yield client
    assert behind.requests == []


class Keys:
    """A file of keys. `path`: where it is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def add(self, name: str, *scopes: str, **limits: Any) -> str:
        """The new key."""
        secret = made()
        key = Key(name, digest(secret), scopes or DEFAULT_SCOPES, Limits(**limits), "2026-01-31")
        file.add(self.path, key)
        return secret

    def remove(self, name: str) -> None:
        file.remove(self.path, name)


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return Keys(tmp_path / "keys" / "keys.json")


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`cert.pem` of 127.0.0.1, signed by itself; its key, plain and encrypted; another's key."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    folder = tmp_path_factory.mktemp("certificates")
    curve = ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"]
    for name in ("key", "other"):
        openssl(folder, "genpkey", *curve, "-out", f"{name}.pem")
    encrypted = ("-aes256", "-passout", "pass:secret", "-out", "encrypted.pem")
    openssl(folder, "pkey", "-in", "key.pem", *encrypted)
    names = "subjectAltName=IP:127.0.0.1"
    about = ("-days", "2", "-subj", "/CN=onecard", "-addext", names, "-out", "cert.pem")
    openssl(folder, "req", "-x509", "-key", "key.pem", *about)
    return folder


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@contextlib.contextmanager
def faking() -> Iterator[Callable[..., FakeServer]]:
    with contextlib.ExitStack() as stack:

        def start(*script: Step) -> FakeServer:
            one = FakeServer(*script)
            stack.callback(one.stop)
            return one

        yield start


@pytest.fixture
def fake() -> Iterator[Callable[..., FakeServer]]:
    """`fake(step, ...)` starts a fake onecard server with that script."""
    with faking() as start:
        yield start


@pytest.fixture(scope="module")
def lasting_fake() -> Iterator[Callable[..., FakeServer]]:
    """The same, for a server that the tests of a file share."""
    with faking() as start:
        yield start


@pytest.fixture(scope="session")
def live(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway in front of the server of all tests."""
    folder = tmp_path_factory.mktemp("data") / "jobs"
    one = Gateway(Settings(urls=(server.grpc_url,), port=0, jobs_folder=folder))
    yield one
    one.stop()
    one.wait()
