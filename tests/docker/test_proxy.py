"""docker/nginx.conf in front of the real server: what passes, what does not, how that is said."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from build_scripts.processes import is_free
from build_scripts.server.door import rules
from build_scripts.server.temporary import free_ports
from onecard_client import Client
from tests.waiting import PATIENCE_S, until

CONFIGURATION = Path(__file__).parents[2] / "docker" / "nginx.conf"
NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
pytestmark = pytest.mark.skipif(NGINX is None, reason="no nginx here: apt-get install nginx-light")
CHAT = json.dumps({
    "MESSAGES": json.dumps([{"role": "user", "content": "Hi"}]), "max_tokens": 2, "stream": False,
}).encode()  # fmt: skip


@dataclass(frozen=True)
class Proxy:
    """Its addresses, and the header that opens everything where nobody takes it away."""

    http_url: str
    grpc_url: str
    owner: dict[str, str]

    def asked(self, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes]:
        request = urllib.request.Request(f"http://{self.http_url}{path}", body, headers)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as reply:
                return reply.status, reply.read()
        except urllib.error.HTTPError as refusal:
            with refusal:
                return refusal.code, refusal.read()


@pytest.fixture(scope="module")
def proxy(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    folder = tmp_path_factory.mktemp("nginx")
    http, of_grpc = free_ports(2)
    text = CONFIGURATION.read_text()
    for old, new in (
        ("127.0.0.1:8000", server.http_url),
        ("127.0.0.1:8001", server.grpc_url),
        ("listen 18000", f"listen 127.0.0.1:{http}"),
        ("listen 18001", f"listen 127.0.0.1:{of_grpc}"),
    ):
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    (folder / "nginx.conf").write_text(text)
    command = [str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", "daemon off;"]
    process = subprocess.Popen(command)
    closed = lambda: is_free("127.0.0.1", http) or is_free("127.0.0.1", of_grpc)  # noqa: E731
    until(lambda: process.poll() is not None or not closed())
    assert process.poll() is None
    try:
        yield Proxy(f"127.0.0.1:{http}", f"127.0.0.1:{of_grpc}", server.owner)
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


@pytest.fixture
def stub(proxy: Proxy) -> Iterator[Any]:
    with grpc.insecure_channel(proxy.grpc_url) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


def code(call: Any) -> grpc.StatusCode:
    with pytest.raises(grpc.RpcError) as raised:
        call()
    found: grpc.StatusCode = raised.value.code()
    return found


def test_health_and_public_models_pass_over_http(proxy: Proxy) -> None:
    for path in ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/chat"):
        assert proxy.asked(path)[0] == 200
    status, body = proxy.asked("/v2/models/chat/generate", CHAT)
    assert status == 200
    assert json.loads(json.loads(body)["EVENT"])["event"] == "answer"


def test_public_models_pass_over_grpc(proxy: Proxy, conversation: Path) -> None:
    with Client(proxy.grpc_url) as client:
        assert client.health().ready
        assert "Hello" in client.transcribe(conversation, language="en", timeout_s=PATIENCE_S).text
        assert "".join(client.chat("Hi", max_tokens=2, timeout_s=PATIENCE_S))


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/metrics",
        "/v2/models/stats",
        "/v2/models/llm/infer",
        "/v2/models/chat/../llm/infer",
        "/v2/models/%6clm/infer",
        "/v2//models/llm/infer",
        "/v2/repository/index",
        "/v2/repository/models/chat/unload",
        "/v2/systemsharedmemory/region/x/register",
        "/v2/logging",
        "/v2/trace/setting",
    ],
)
def test_everything_else_is_refused_over_http_even_to_the_owner(proxy: Proxy, path: str) -> None:
    assert proxy.owner
    assert proxy.asked(path, b"{}")[0] == 403
    assert proxy.asked(path, b"{}", **proxy.owner)[0] == 403


@pytest.mark.parametrize("model", sorted(rules.INNER))
def test_inner_models_are_refused_over_grpc_even_to_the_owner(
    proxy: Proxy, stub: Any, model: str
) -> None:
    request = service_pb2.ModelInferRequest(model_name=model)
    metadata = tuple(proxy.owner.items())
    for call in (
        lambda: stub.ModelInfer(request, metadata=metadata),
        lambda: next(stub.ModelStreamInfer(iter([request]), metadata=metadata)),
    ):
        assert code(call) is grpc.StatusCode.PERMISSION_DENIED


@pytest.mark.parametrize(
    "method",
    ["SystemSharedMemoryStatus", "CudaSharedMemoryStatus", "RepositoryIndex", "TraceSetting",
     "LogSettings", "RepositoryModelLoad", "ModelStatistics", "ModelConfig"],
)  # fmt: skip
def test_other_methods_are_refused_over_grpc(proxy: Proxy, stub: Any, method: str) -> None:
    request = getattr(service_pb2, f"{method}Request")()
    metadata = tuple(proxy.owner.items())
    call = lambda: getattr(stub, method)(request, metadata=metadata)  # noqa: E731
    assert code(call) is grpc.StatusCode.PERMISSION_DENIED


def test_a_body_has_a_limit_and_chunks_go_on_whole(proxy: Proxy) -> None:
    host, _, port = proxy.http_url.partition(":")
    head = "POST /v2/models/chat/generate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"

    def sent(text: bytes) -> bytes:
        with socket.create_connection((host, int(port)), PATIENCE_S) as one:
            one.sendall(text)
            answer = b""
            with contextlib.suppress(ConnectionResetError):  # nginx has said all that it says
                while part := one.recv(65536):
                    answer += part
            return answer

    assert b" 413 " in sent(f"{head}Content-Length: 67108865\r\n\r\n".encode())
    chunks = b"".join(b"1\r\n%c\r\n" % letter for letter in CHAT) + b"0\r\n\r\n"
    assert b" 200 " in sent(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks)


def test_a_page_of_a_browser_is_refused(proxy: Proxy) -> None:
    assert proxy.asked("/v2/models/chat/generate", CHAT, Origin="http://evil.example")[0] == 403


def test_its_lists_are_those_of_the_door() -> None:
    text = CONFIGURATION.read_text()
    for models in re.findall(r"\^/v2/models/\(([a-z_|]+)\)", text):
        assert not set(models.split("|")) & rules.INNER
    methods = re.search(r"GRPCInferenceService/\(([A-Za-z|]+)\)", text)
    assert methods is not None
    for method in methods[1].split("|"):
        rules.verify_method(f"/inference.GRPCInferenceService/{method}")
