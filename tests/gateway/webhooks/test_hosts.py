"""Which hosts may be told of jobs, whatever their names mean."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from onecard_gateway.errors import Refusal
from onecard_gateway.webhooks.hosts import Hosts, NotAllowed, Target

HOSTS = Hosts(["Hooks.example.", "10.0.0.7", "192.168.0.0/24", "fd00::/8"])


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("https://hooks.example/a?b=c", Target(True, "hooks.example", 443, "/a?b=c")),
        ("http://HOOKS.example.:8080", Target(False, "hooks.example", 8080, "/")),
        ("http://10.0.0.7/", Target(False, "10.0.0.7", 80, "/")),
        ("http://192.168.0.9/", Target(False, "192.168.0.9", 80, "/")),
        ("http://[fd00::1]:81/", Target(False, "fd00::1", 81, "/")),
        ("http://[::ffff:10.0.0.7]/", Target(False, "::ffff:10.0.0.7", 80, "/")),
    ],
)
def test_listed_hosts(url: str, target: Target) -> None:
    assert HOSTS.verified(url) == target


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("https://example.org/", 403),
        ("https://hooks.example.evil.org/", 403),
        ("http://10.0.0.8/", 403),
        ("http://127.0.0.1/", 403),
        ("http://2130706433/", 403),
        ("http://[::1]/", 403),
        ("ftp://hooks.example/", 400),
        ("hooks.example/", 400),
        ("https://", 400),
        ("https://hooks.example@evil.org/", 400),
        ("https://evil.org\\@hooks.example/", 400),
        ("https://hooks.example/#a", 400),
        ("https://hooks.example:99999/", 400),
        ("https://hooks.example/a b", 400),
        ("https://hooks.example/\r\nx: y", 400),
        ("https://hooks.example/" + "a" * 2000, 400),
        ("http://[::1", 400),
    ],
)
def test_other_hosts_and_what_is_no_address(url: str, status: int) -> None:
    with pytest.raises(Refusal) as caught:
        HOSTS.verified(url)
    assert (caught.value.status, caught.value.param) == (status, "webhook_url")


def resolved(hosts: Hosts, *addresses: str) -> str:
    """Where a listed name leads that has these addresses."""

    class Loop:
        async def getaddrinfo(self, *asked: Any, **how: Any) -> list[Any]:
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (one, 443)) for one in addresses]

    async def asked() -> str:
        original = asyncio.get_running_loop
        asyncio.get_running_loop = Loop  # type: ignore[assignment]
        try:
            return await hosts.resolved(hosts.verified("https://hooks.example/"))
        finally:
            asyncio.get_running_loop = original

    return asyncio.run(asked())


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.8", "172.16.0.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "::1",
        "fe80::1%eth0", "224.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::",
        "255.255.255.255", "fc00::1",
    ],
)  # fmt: skip
def test_a_listed_name_does_not_lead_to_where_the_gateway_is(address: str) -> None:
    with pytest.raises(NotAllowed):
        resolved(HOSTS, address)


def test_public_and_listed_addresses_of_a_name() -> None:
    assert resolved(HOSTS, "93.184.215.14") == "93.184.215.14"
    assert resolved(HOSTS, "127.0.0.1", "10.0.0.7") == "10.0.0.7"
    assert resolved(HOSTS, "::ffff:93.184.215.14") == "::ffff:93.184.215.14"
