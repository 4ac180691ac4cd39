"""gRPC by TLS at the door: who gets in, with which certificate, and what follows a renewal."""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from build_scripts import paths
from build_scripts.commands import certificates
from build_scripts.server.door.order import OPEN, Order
from build_scripts.server.temporary import free_ports
from onecard_client import Client, ConnectionFailed, OnecardError
from tests.waiting import PATIENCE_S, until

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


class Service(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """A stand-in for Triton that is ready."""

    def ServerReady(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerReadyResponse(ready=True)

    def ServerLive(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerLiveResponse(live=True)

    def ServerMetadata(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerMetadataResponse(name="triton")

    def ModelReady(self, request: Any, context: Any) -> Any:
        return service_pb2.ModelReadyResponse(ready=True)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("certificates")
    certificates.make(folder, ["speech.example"])
    certificates.make(folder / "stranger")  # an authority that the server does not know
    return folder


@pytest.fixture(scope="module")
def behind() -> Iterator[int]:
    server = grpc.server(ThreadPoolExecutor(4))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Service(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield port
    server.stop(0).wait()


@contextlib.contextmanager
def door(behind: int, folder: Path, *, is_mutual: bool) -> Iterator[Order]:
    http, of_grpc, metrics, local = free_ports(4)
    order = Order(
        address="127.0.0.1", http_port=http, grpc_port=of_grpc, metrics_port=metrics,
        inner_http_port=1, inner_grpc_port=behind, inner_metrics_port=1, secret="of this test",
        certificate=str(folder / "server.pem"), key=str(folder / "server-key.pem"),
        roots=str(folder / "ca.pem") if is_mutual else "", local_grpc_port=local,
    )  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "build_scripts.server.door.process"], cwd=paths.ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(order.write() + "\n")
        process.stdin.flush()
        assert process.stdout.readline().strip() == OPEN
        try:
            yield order
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def mutual(behind: int, files: Path) -> Iterator[Order]:
    with door(behind, files, is_mutual=True) as order:
        yield order


def caller(order: Order, folder: Path, name: str | None = "client", **roots: Any) -> Client:
    own: dict[str, Any] = {} if name is None else {
        "certificate_chain": folder / f"{name}.pem", "private_key": folder / f"{name}-key.pem",
    }  # fmt: skip
    given: dict[str, Any] = {"root_certificates": folder / "ca.pem", **roots}
    return Client(f"grpcs://localhost:{order.grpc_port}", **own, **given)


def test_who_shows_a_certificate_of_the_authority_gets_in(mutual: Order, files: Path) -> None:
    with caller(mutual, files) as client:
        assert client.health(timeout_s=PATIENCE_S).ready


@pytest.mark.parametrize("name", [None, "server", "stranger/client"])
def test_nobody_else_gets_in(mutual: Order, files: Path, name: str | None) -> None:
    """Without a certificate, with a server's, with one of another authority."""
    with caller(mutual, files, name) as client, pytest.raises(OnecardError):
        client.health(timeout_s=PATIENCE_S)


def test_nobody_gets_in_without_tls(mutual: Order) -> None:
    with Client(f"localhost:{mutual.grpc_port}") as client, pytest.raises(OnecardError):
        client.health(timeout_s=PATIENCE_S)


def test_a_server_of_another_authority_is_not_believed(mutual: Order, files: Path) -> None:
    roots = files / "stranger" / "ca.pem"
    with (
        caller(mutual, files, root_certificates=roots) as client,
        pytest.raises(ConnectionFailed),
    ):
        client.health(timeout_s=PATIENCE_S)


def test_the_gateway_of_the_same_machine_needs_none_and_the_rules_stay(mutual: Order) -> None:
    target = f"127.0.0.1:{mutual.local_grpc_port}"
    with Client(target) as client:
        assert client.health(timeout_s=PATIENCE_S).ready
    with grpc.insecure_channel(target) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        with pytest.raises(grpc.RpcError) as raised:
            stub.ModelInfer(service_pb2.ModelInferRequest(model_name="llm"))
    assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED


def test_a_renewed_certificate_is_served_without_a_restart(behind: int, tmp_path: Path) -> None:
    certificates.make(tmp_path)
    with door(behind, tmp_path, is_mutual=False) as order:
        with caller(order, tmp_path, None) as client:
            assert client.health(timeout_s=PATIENCE_S).ready
        certificates.make(tmp_path / "new")
        for name in ("server-key.pem", "server.pem"):
            (tmp_path / "new" / name).replace(tmp_path / name)

        def is_served() -> bool:
            roots = {"root_certificates": tmp_path / "new" / "ca.pem"}
            with contextlib.suppress(OnecardError), caller(order, tmp_path, None, **roots) as one:
                return one.health(timeout_s=PATIENCE_S).ready
            return False

        until(is_served)
        # Half of a renewal is not served: the pair that was there goes on.
        (tmp_path / "server.pem").write_text("half a file")
        assert is_served()


def test_tls_before_1_2_is_refused(mutual: Order) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with (
        socket.create_connection(("127.0.0.1", mutual.grpc_port), PATIENCE_S) as one,
        pytest.raises((ssl.SSLError, ConnectionResetError)),
    ):
        old.wrap_socket(one).close()


def test_an_order_survives_its_line(mutual: Order) -> None:
    assert Order.read(mutual.write()) == dataclasses.replace(mutual)
