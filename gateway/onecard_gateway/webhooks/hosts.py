"""The hosts that may be told of jobs, and where they are.

A name is resolved once, and the connection goes to the address that was verified: a name that
means another address a moment later (DNS rebinding) changes nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from onecard_gateway.errors import Refusal

FIELD = "webhook_url"
MAX_LETTERS = 2000
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class NotAllowed(Exception):
    """A host has no address that may be told; the message has neither its name nor the address."""


@dataclass(frozen=True)
class Target:
    """Where a message goes. `path`: with the query; `host`: a name or an address."""

    is_secure: bool
    host: str
    port: int
    path: str


class Hosts:
    """Names, and addresses or networks, that the operator listed.

    Addresses that are not of the public Internet have to be listed themselves, also those that a
    listed name has.
    """

    def __init__(self, listed: Iterable[str]) -> None:
        self._names: set[str] = set()
        self._networks: list[Network] = []
        for entry in listed:
            network = _network(entry)
            if network is None:
                self._names.add(entry.lower().rstrip("."))
            else:
                self._networks.append(network)

    def __bool__(self) -> bool:
        return bool(self._names or self._networks)

    def verified(self, url: str) -> Target:
        """The target of an address. Raises Refusal for one that may not be told."""
        target = _target(url)
        if target is None:
            raise Refusal(
                400,
                f"`{FIELD}` is `{url[:80]}`, must be an address with http or https, without a "
                "user or a fragment; correct it or leave it out",
                FIELD,
            )
        address = _address(target.host)
        is_listed = self._has(address) if address else target.host in self._names
        if not is_listed:
            raise Refusal(
                403,
                f"the host of `{FIELD}` is `{target.host[:80]}`, must be one that this gateway's "
                "operator listed; leave it out, or have the gateway started with it in "
                "--webhook-hosts",
                FIELD,
            )
        return target

    async def resolved(self, target: Target) -> str:
        """The address to connect to.

        Raises:
            NotAllowed: the host has none that is public or listed.
            OSError: it has none at all.
        """
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
        for *_, place in found:
            text = str(place[0]).partition("%")[0]
            address = ipaddress.ip_address(text)
            if _is_public(address) or self._has(address):
                return text
        raise NotAllowed("its addresses are not of the public Internet, and none is listed")

    def _has(self, address: Address) -> bool:
        plain = _unmapped(address)
        return any(plain in network for network in self._networks)


def _network(entry: str) -> Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None


def _address(host: str) -> Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def _unmapped(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, if it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address


def _is_public(address: Address) -> bool:
    plain = _unmapped(address)
    return plain.is_global and not plain.is_multicast


def _target(url: str) -> Target | None:
    is_plain = len(url) <= MAX_LETTERS and url.isascii() and url.isprintable() and " " not in url
    try:
        found = urlsplit(url)
        port = found.port or _PORTS.get(found.scheme, 0)
    except ValueError:
        return None
    is_whole = found.scheme in _PORTS and found.hostname and not found.fragment
    if not is_plain or not is_whole or "@" in found.netloc or "\\" in url:
        return None
    query = f"?{found.query}" if found.query else ""
    host = (found.hostname or "").rstrip(".")
    return Target(found.scheme == "https", host, port, (found.path or "/") + query)
