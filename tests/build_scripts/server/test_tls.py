"""The flags of TLS on gRPC: Triton's names, what is refused, and where HTTP listens then."""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from build_scripts.commands import certificates
from build_scripts.errors import ServerError
from build_scripts.server import settings
from build_scripts.server.door.door import Door
from build_scripts.server.settings import Settings
from build_scripts.server.temporary import free_ports
from build_scripts.server.tls import Tls
from tests.waiting import PATIENCE_S

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("certificates")
    certificates.make(found)
    return found


def read(*flags: str, **environment: str) -> Settings:
    parser = argparse.ArgumentParser()
    settings.add_arguments(parser)
    return settings.from_arguments(parser.parse_args(flags), environment)


def named(folder: Path, **changed: str) -> dict[str, str]:
    usual = {
        "GRPC_SERVER_CERT": str(folder / "server.pem"),
        "GRPC_SERVER_KEY": str(folder / "server-key.pem"),
        "GRPC_ROOT_CERT": str(folder / "ca.pem"),
    }
    return {**usual, **changed}


def test_flags_and_variables_have_triton_s_names(folder: Path) -> None:
    pair = Tls(folder / "server.pem", folder / "server-key.pem")
    flags = ("--grpc-use-ssl=1", f"--grpc-server-cert={pair.certificate}")
    assert read(*flags, f"--grpc-server-key={pair.key}").tls == pair
    both = read(**named(folder), GRPC_USE_SSL="1", GRPC_USE_SSL_MUTUAL="true").tls
    assert both == Tls(pair.certificate, pair.key, folder / "ca.pem")
    assert read().tls is None


def test_http_stays_on_loopback_beside_tls_unless_it_is_told_otherwise(folder: Path) -> None:
    given = named(folder, GRPC_USE_SSL_MUTUAL="1", ADDRESS="0.0.0.0")
    found = read(**given)
    assert found.addresses == {
        "HTTP_PORT": "127.0.0.1", "GRPC_PORT": "0.0.0.0", "METRICS_PORT": "0.0.0.0",
    }  # fmt: skip
    assert read(**given, HTTP_ADDRESS="10.0.0.5").url == "http://10.0.0.5:8000"
    assert read(ADDRESS="0.0.0.0").http_address == "0.0.0.0"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({}, "gRPC is without TLS: add --grpc-use-ssl=1"),
        ({"GRPC_USE_SSL": "yes"}, "`--grpc-use-ssl` is `yes`, wanted 0 or 1"),
        ({"GRPC_USE_SSL": "1", "GRPC_SERVER_KEY": ""}, "without `--grpc-server-key`"),
        ({"GRPC_USE_SSL_MUTUAL": "1", "GRPC_ROOT_CERT": ""}, "without `--grpc-root-cert`"),
        ({"GRPC_USE_SSL": "1", "GRPC_SERVER_CERT": "none.pem"}, r"cannot be read \(No such file"),
        ({"GRPC_USE_SSL": "1", "GRPC_SERVER_KEY": "ca-key.pem"}, "KEY_VALUES_MISMATCH"),
        ({"GRPC_USE_SSL_MUTUAL": "1", "GRPC_ROOT_CERT": "ca-key.pem"}, "no certificate in PEM"),
    ],
)
def test_what_cannot_be_served_with_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, changed: dict[str, str], reason: str
) -> None:
    monkeypatch.chdir(folder)
    with pytest.raises(ServerError, match=reason):
        read(**named(folder, **changed))


def test_the_door_opens_with_what_the_flags_say(folder: Path) -> None:
    http, of_grpc, metrics = free_ports(3)
    ports = {"HTTP_PORT": str(http), "GRPC_PORT": str(of_grpc), "METRICS_PORT": str(metrics)}
    found = read(**named(folder, GRPC_USE_SSL_MUTUAL="1"), **ports)
    found.run.mkdir(parents=True)
    door = Door(found, "a secret of this test", print)
    try:
        door.open()
        pem = {name: (folder / name).read_bytes() for name in ("ca.pem", "client.pem")}
        key = (folder / "client-key.pem").read_bytes()
        own = grpc.ssl_channel_credentials(pem["ca.pem"], key, pem["client.pem"])
        # Refused by name, so who asks came through: no Triton answers here.
        request = service_pb2.ModelInferRequest(model_name="llm")
        for channel in (
            grpc.secure_channel(f"localhost:{of_grpc}", own),
            grpc.insecure_channel(door.grpc_target),
        ):
            stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
            with channel, pytest.raises(grpc.RpcError) as raised:
                stub.ModelInfer(request, timeout=PATIENCE_S)
            assert raised.value.code() is grpc.StatusCode.PERMISSION_DENIED
    finally:
        door.close()
        found.run.rmdir()
