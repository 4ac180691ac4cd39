"""A stand-in for OpenTelemetry's collector: takes OTLP over HTTP, and keeps the spans."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Told:
    """A span, its ids in hexadecimal, and the service that sent it."""

    service: str
    name: str
    trace: str
    own: str
    above: str
    span: Any

    def attribute(self, name: str) -> str:
        """A text; empty where it has none of that name."""
        (*_, found) = ["", *(a.value.string_value for a in self.span.attributes if a.key == name)]
        return found


class Collector(ThreadingHTTPServer):
    """Listens on loopback. `paths`: where something was sent to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.paths: set[str] = set()
        self._told: list[Told] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def take(self, path: str, message: Any) -> None:
        self.paths.add(path)
        for resource in message.resource_spans:
            names = {one.key: one.value.string_value for one in resource.resource.attributes}
            self._told.extend(
                Told(names["service.name"], one.name, one.trace_id.hex(), one.span_id.hex(),
                     one.parent_span_id.hex(), one)
                for scope in resource.scope_spans
                for one in scope.spans
            )  # fmt: skip

    def spans(self, trace: str = "") -> list[Told]:
        """All until now, or those of a trace."""
        return [one for one in list(self._told) if trace in ("", one.trace)]


@contextlib.contextmanager
def collecting() -> Iterator[Collector]:
    with Collector() as one:
        thread = threading.Thread(target=one.serve_forever, daemon=True)
        thread.start()
        yield one
        one.shutdown()


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        is_json = "json" in self.headers["Content-Type"]
        self.server.take(self.path, _from_json(body) if is_json else _from_bytes(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


def _from_bytes(body: bytes) -> Any:
    return ExportTraceServiceRequest.FromString(body)


def _from_json(body: bytes) -> Any:
    """OTLP's JSON, whose ids are hexadecimal where protobuf's own has base64."""
    document = json.loads(body)
    message = json_format.ParseDict(
        document, ExportTraceServiceRequest(), ignore_unknown_fields=True
    )
    told = [one for r in document["resourceSpans"] for s in r["scopeSpans"] for one in s["spans"]]
    made = [one for r in message.resource_spans for s in r.scope_spans for one in s.spans]
    for given, one in zip(told, made, strict=True):
        one.trace_id = bytes.fromhex(given["traceId"])
        one.span_id = bytes.fromhex(given["spanId"])
        one.parent_span_id = bytes.fromhex(given.get("parentSpanId", ""))
    return message
