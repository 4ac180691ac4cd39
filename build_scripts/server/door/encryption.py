"""TLS of the door's gRPC port, by files that are read again when they are replaced."""

from __future__ import annotations

import contextlib
import ssl
from pathlib import Path
from typing import Any

import grpc

from build_scripts.server.door.order import Order


def credentials(order: Order) -> Any:
    """What gRPC opens a port with; a certificate that was renewed is served from the next
    connection on.

    Raises:
        OSError: a file cannot be read.
    """
    files = _Files(order)
    return grpc.dynamic_ssl_server_credentials(
        files.read(), files.renewed, require_client_authentication=bool(order.roots)
    )


class _Files:
    def __init__(self, order: Order) -> None:
        self._certificate, self._key = Path(order.certificate), Path(order.key)
        self._roots = Path(order.roots) if order.roots else None
        self._seen = self._state()

    def read(self) -> Any:
        """Raises OSError where a file is missing, ssl.SSLError where two are no pair."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._certificate, self._key)
        pair = (self._key.read_bytes(), self._certificate.read_bytes())
        roots = self._roots.read_bytes() if self._roots is not None else None
        return grpc.ssl_server_certificate_configuration([pair], roots)

    def renewed(self) -> Any:
        """None where nothing changed, or what is there now cannot be served with: a certificate
        and its key are replaced one after the other."""
        with contextlib.suppress(OSError):  # ssl.SSLError is one
            state = self._state()
            if state != self._seen:
                found = self.read()
                self._seen = state
                return found
        return None

    def _state(self) -> list[tuple[int, int]]:
        """Of what the names lead to: Kubernetes replaces a link above them."""
        files = [self._certificate, self._key, *([self._roots] if self._roots else [])]
        return [(stat.st_mtime_ns, stat.st_ino) for stat in (file.stat() for file in files)]
