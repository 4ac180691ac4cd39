"""gRPC channels to a server: addresses, limits, keepalive, encryption."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

DEFAULT_URL = "localhost:8001"
DEFAULT_PORT = 8001
DEFAULT_TLS_PORT = 443

UNLIMITED = -1
# Triton drops a connection that is pinged more often than every 300 s without data
# (--grpc-http2-min-recv-ping-interval-without-data), and a long transcription sends none.
KEEPALIVE_TIME_MS = 330_000
KEEPALIVE_TIMEOUT_MS = 20_000
# gRPC's own wait between connection attempts grows from 1 s to 120 s, longer than our retries.
FIRST_RECONNECT_MS = 100
MAX_RECONNECT_MS = 5_000

# gRPC's own balancing: a connection to each address, calls in turn over those that stand.
_ROUND_ROBIN = '{"loadBalancingConfig": [{"round_robin": {}}]}'
_PORT = re.compile(r":\d+$")
_LOOPBACK = re.compile(r"^(?:dns:///)?(localhost|127\.[\d.]+|\[::1\])(:|$)")


@dataclass(frozen=True)
class Address:
    """A server's address: gRPC's target, and whether to use TLS."""

    target: str
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Address:
        """`host`, `host:port`, `grpc://host:port`, or `grpcs://host:port` for TLS.

        With `dns:///host:port` calls go to all addresses that the name has, in turn; between the
        second and the third slash a name server may stand.

        Raises:
            ValueError: another scheme, or no host.
        """
        scheme, _, rest = url.rpartition("://")
        host = rest.rstrip("/")
        _, slash, name = host.rpartition("/")
        is_dns = scheme == "dns" and slash and name
        if not is_dns and (scheme not in ("", "grpc", "grpcs") or not host):
            raise ValueError(
                f"the server's address is `{url}`, must be `host:port`, `grpc://host:port`, "
                "`grpcs://host:port` or `dns:///host:port`; give that of Triton's gRPC service, "
                "port 8001 by default"
            )
        tls = scheme == "grpcs"
        if not _PORT.search(host):
            host = f"{host}:{DEFAULT_TLS_PORT if tls else DEFAULT_PORT}"
        return cls(f"dns://{host}" if is_dns else host, tls)

    @property
    def is_balanced(self) -> bool:
        """Whether calls are spread over all addresses that the name has."""
        return self.target.startswith("dns://")


def metadata(headers: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Headers as gRPC wants them: names in lower case."""
    return tuple((name.lower(), value) for name, value in (headers or {}).items())


def channel(address: Address, root_certificates: str | Path | None) -> Any:
    """A channel for blocking calls."""
    options = _options(address)
    if address.tls:
        return grpc.secure_channel(address.target, _credentials(root_certificates), options=options)
    return grpc.insecure_channel(address.target, options=options)


def aio_channel(address: Address, root_certificates: str | Path | None) -> Any:
    """A channel for the running event loop."""
    options = _options(address)
    if address.tls:
        credentials = _credentials(root_certificates)
        return grpc.aio.secure_channel(address.target, credentials, options=options)
    return grpc.aio.insecure_channel(address.target, options=options)


def _credentials(root_certificates: str | Path | None) -> Any:
    roots = None if root_certificates is None else Path(root_certificates).read_bytes()
    return grpc.ssl_channel_credentials(root_certificates=roots)


def _options(address: Address) -> list[tuple[str, int | str]]:
    options: list[tuple[str, int | str]] = [
        ("grpc.max_send_message_length", UNLIMITED),
        ("grpc.max_receive_message_length", UNLIMITED),
        ("grpc.keepalive_time_ms", KEEPALIVE_TIME_MS),
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", FIRST_RECONNECT_MS),
        ("grpc.max_reconnect_backoff_ms", MAX_RECONNECT_MS),
    ]
    if address.is_balanced:
        options.append(("grpc.service_config", _ROUND_ROBIN))
    if _LOOPBACK.match(address.target):
        # http_proxy is often set for a whole machine, and no proxy reaches this one's loopback
        options.append(("grpc.enable_http_proxy", 0))
    return options
