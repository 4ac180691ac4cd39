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


@dataclass(frozen=True)
class Certificates:
    """PEM files of a connection by TLS.

    Args:
        roots: to verify the server with; None for gRPC's own list.
        chain: the caller's certificate and those above it, for a server that wants one.
        key: the key of the caller's certificate, without a pass phrase.

    Raises:
        ValueError: a certificate without its key, or a key without its certificate.
    """

    roots: str | Path | None = None
    chain: str | Path | None = None
    key: str | Path | None = None

    def __post_init__(self) -> None:
        if (self.chain is None) != (self.key is None):
            found, lack = (
                ("private_key", "certificate_chain")
                if self.chain is None
                else ("certificate_chain", "private_key")
            )
            raise ValueError(
                f"`{found}` is given without `{lack}`, must be given together; name both PEM files"
            )

    def credentials(self) -> Any:
        """As gRPC takes them. Raises OSError for a file that cannot be read."""
        roots, chain, key = (
            None if path is None else Path(path).read_bytes()
            for path in (self.roots, self.chain, self.key)
        )
        return grpc.ssl_channel_credentials(roots, key, chain)


def metadata(headers: Mapping[str, str] | None) -> tuple[tuple[str, str], ...]:
    """Headers as gRPC wants them: names in lower case."""
    return tuple((name.lower(), value) for name, value in (headers or {}).items())


def channel(address: Address, certificates: Certificates) -> Any:
    """A channel for blocking calls."""
    options = _options(address)
    if address.tls:
        return grpc.secure_channel(address.target, certificates.credentials(), options=options)
    return grpc.insecure_channel(address.target, options=options)


def aio_channel(address: Address, certificates: Certificates) -> Any:
    """A channel for the running event loop."""
    options = _options(address)
    if address.tls:
        credentials = certificates.credentials()
        return grpc.aio.secure_channel(address.target, credentials, options=options)
    return grpc.aio.insecure_channel(address.target, options=options)


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
    else:
        # A name with several addresses, such as Kubernetes' headless services, is several servers:
        # each call goes to the next one, and past those that do not answer.
        options.append(("grpc.lb_policy_name", "round_robin"))
    return options
