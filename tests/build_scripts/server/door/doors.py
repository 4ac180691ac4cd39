"""The process at the ports, in front of a stand-in for Triton that keeps what reaches it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
from tritonclient.grpc import service_pb2, service_pb2_grpc

from build_scripts import paths
from build_scripts.server.door.order import OPEN, Order
from build_scripts.server.temporary import free_ports
from tests.waiting import PATIENCE_S

SECRET = "a secret of this test"
REGION = "onecard_4c06138192_8121_02660dcf-ee47-42af-aca1-50ec4fe7210c"


class Http(BaseHTTPRequestHandler):
    """Keeps each request, and answers by what its path says."""

    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        self.server.seen.append((self.path, dict(self.headers), body))  # type: ignore[attr-defined]
        if self.path.endswith("generate_stream"):
            self._stream()
            return
        if body == b"waits":
            self.server.goes_on.wait(PATIENCE_S)  # type: ignore[attr-defined]
            self.server.left.append(self._is_left())  # type: ignore[attr-defined]
        status, answer = 200, b'{"outputs": []}'
        if self.path.endswith("broken/infer"):
            status, answer = 500, json.dumps({"error": f"no room for key '{REGION}'"}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_GET = do_POST

    def _is_left(self) -> bool:
        """Whether who asked has hung up, or does before it is given up to see."""
        self.connection.settimeout(1)
        with contextlib.suppress(TimeoutError):
            return self.connection.recv(1) == b""
        return False

    def _stream(self) -> None:
        """An event, and the next one when the test has had the first."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for event in ('data: {"EVENT": "1"}\n\n', f'data: {{"error": "no room in {REGION}"}}\n\n'):
            self.wfile.write(f"{len(event):x}\r\n{event}\r\n".encode())
            self.wfile.flush()
            self.server.goes_on.wait(PATIENCE_S)  # type: ignore[attr-defined]
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: Any) -> None:
        pass


class Service(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]
    """Keeps the names of models, and whether a call's other end went away."""

    def __init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.metadata: list[dict[str, str]] = []
        self.cancelled = threading.Event()
        self.finished = threading.Event()
        self.goes_on = threading.Event()
        self.index: dict[str, tuple[str, str]] = {}  # model -> its state, and why

    def RepositoryIndex(self, request: Any, context: Any) -> Any:
        return service_pb2.RepositoryIndexResponse(
            models=[
                service_pb2.RepositoryIndexResponse.ModelIndex(name=name, state=state, reason=why)
                for name, (state, why) in self.index.items()
            ]
        )

    def ServerReady(self, request: Any, context: Any) -> Any:
        return service_pb2.ServerReadyResponse(ready=True)

    def SystemSharedMemoryStatus(self, request: Any, context: Any) -> Any:
        return service_pb2.SystemSharedMemoryStatusResponse()

    def ModelInfer(self, request: Any, context: Any) -> Any:
        self.seen.append(("ModelInfer", request.model_name))
        self.metadata.append(dict(context.invocation_metadata()))
        if request.id == "waits":
            context.add_callback(self.cancelled.set)
            self.goes_on.wait(PATIENCE_S)
            self.finished.set()
        if request.id == "broken":
            context.abort(grpc.StatusCode.INTERNAL, f"no room for key '{REGION}'")
        return service_pb2.ModelInferResponse(model_name=request.model_name, id=request.id)

    def ModelStreamInfer(self, requests: Any, context: Any) -> Any:
        context.add_callback(self.cancelled.set)
        for request in requests:
            self.seen.append(("ModelStreamInfer", request.model_name))
            if request.id == "last":
                return
            if request.id == "broken":
                yield service_pb2.ModelStreamInferResponse(error_message=f"no room in {REGION}")
            response = service_pb2.ModelInferResponse(id=request.id)
            yield service_pb2.ModelStreamInferResponse(infer_response=response)


class Doors:
    """The process, the stand-in behind it, and calls to it."""

    def __init__(
        self,
        order: Order,
        behind: ThreadingHTTPServer,
        service: Service,
        stop_grpc: Callable[[], object],
    ) -> None:
        self.order = order
        self.stop_grpc = stop_grpc
        self.behind: Any = behind
        self.service = service
        self._channels: list[Any] = []

    def begin(self) -> None:
        self.behind.seen, self.behind.goes_on, self.behind.left = [], threading.Event(), []
        self.service.begin()

    def end(self) -> None:
        """Nobody waits any longer."""
        self.behind.goes_on.set()
        self.service.goes_on.set()
        for channel in self._channels:
            channel.close()
        self._channels.clear()

    def ask(
        self, method: str, path: str, body: bytes = b"", port: int | None = None, **headers: str
    ) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection(
            "127.0.0.1", port or self.order.http_port, timeout=PATIENCE_S
        )
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with contextlib.closing(connection):
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def sent(self, text: bytes) -> bytes:
        """What comes back for bytes that no library would send."""
        with socket.create_connection(("127.0.0.1", self.order.http_port), PATIENCE_S) as one:
            one.sendall(text)
            return one.recv(65536)

    def stub(self) -> Any:
        channel = grpc.insecure_channel(f"127.0.0.1:{self.order.grpc_port}")
        self._channels.append(channel)
        return service_pb2_grpc.GRPCInferenceServiceStub(channel)


@contextlib.contextmanager
def opened() -> Iterator[Doors]:
    behind = ThreadingHTTPServer(("127.0.0.1", 0), Http)
    service = Service()
    server = grpc.server(ThreadPoolExecutor(8))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(service, server)
    inner = server.add_insecure_port("127.0.0.1:0")
    port = behind.server_port
    order = Order(  # type: ignore[call-arg]
        "127.0.0.1", *free_ports(3), port, inner, port, SECRET, ("speech.example",),
        on_demand=("whisper_small",),
    )  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-m", "build_scripts.server.door.process"], cwd=paths.ROOT, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    with process, behind:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(order.write() + "\n")
        process.stdin.flush()
        assert process.stdout.readline().strip() == OPEN
        threading.Thread(target=behind.serve_forever, daemon=True).start()
        server.start()
        yield Doors(order, behind, service, lambda: server.stop(0).wait())
        process.terminate()
        assert process.wait(PATIENCE_S) == 0
        server.stop(0).wait()
        behind.shutdown()
