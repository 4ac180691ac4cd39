"""The settings of one server, from flags and environment: addresses, plan and directories."""

from __future__ import annotations

import hashlib
import os
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast, get_args

from build_scripts import arguments as dial
from build_scripts import paths as layout
from build_scripts.errors import ServerError
from build_scripts.plans import match
from build_scripts.plans.schema import DEFAULT_PLAN
from build_scripts.plans.topology import Part
from build_scripts.server import tls
from build_scripts.server.tls import Tls

LOOPBACK = "127.0.0.1"
DEFAULT_PORTS = {"HTTP_PORT": 8000, "GRPC_PORT": 8001, "METRICS_PORT": 8002}
GATEWAY_PORT = 8080
DRAIN_TIMEOUT_S = 300
SERVER = "ONECARD_SERVER"  # in the environment of everything that one server starts
# Triton 2.51 parses a body that is sent as `application/x-www-form-urlencoded` (what curl and
# Python's urllib say unless they are told otherwise) as a query, with two buffers of the body's
# length on the stack of a thread, and 16 bytes for every piece that a body of any type arrived in.
# With the usual 8 MiB a form of 4 MB ends the server; with this, one of 511 MiB is answered.
STACK_BYTES = 2**30


@dataclass(frozen=True)
class Settings:
    """One server. The HTTP port is its name: state, log and shared memory go by it."""

    address: str
    http_port: int
    grpc_port: int
    metrics_port: int
    repository: Path
    plan: str
    part: Part  # of a plan whose engines live in two servers
    drain_timeout_s: int
    vram_gib: float | None = None  # the memory to fit the plan to; None for its own
    warmup: bool = True  # make the first request of each kind before it is ready
    allowed_hosts: tuple[str, ...] = ()  # names, beside addresses, that callers may know it by
    gateway_port: int | None = None  # of the HTTP service for applications; None for none
    is_gateway_asked: bool = False  # by its port; then there is no serving without it
    tls: Tls | None = None  # of gRPC; None for none
    own_http_address: str | None = None  # where HTTP is not to be had where the rest is

    @property
    def ports(self) -> dict[str, int]:
        """Environment variable -> port."""
        numbers = (self.http_port, self.grpc_port, self.metrics_port)
        return dict(zip(DEFAULT_PORTS, numbers, strict=True))

    @property
    def http_address(self) -> str:
        """The address at which HTTP listens."""
        return self.own_http_address or self.address

    @property
    def addresses(self) -> dict[str, str]:
        """Environment variable of a port -> the address of it."""
        found = (self.http_address, self.address, self.address)
        return dict(zip(DEFAULT_PORTS, found, strict=True))

    @property
    def reachable_address(self) -> str:
        """An address to reach the server at from here."""
        return _reachable(self.address)

    @property
    def url(self) -> str:
        """The HTTP endpoint."""
        return f"http://{_reachable(self.http_address)}:{self.http_port}"

    @property
    def metrics_url(self) -> str:
        """The metrics endpoint."""
        return f"http://{self.reachable_address}:{self.metrics_port}"

    @property
    def run(self) -> Path:
        """The directory of a running server's records, for `wait`, `stop` and the next start."""
        return layout.RUN / str(self.http_port)

    @property
    def log(self) -> Path:
        """The file of Triton's whole output."""
        return layout.LOG / f"server-{self.http_port}.log"

    @property
    def messages(self) -> Path:
        """The file of what a detached `serve` would have printed."""
        return layout.LOG / f"serve-{self.http_port}.log"

    @property
    def gateway_log(self) -> Path:
        """The file of the gateway's whole output."""
        return layout.LOG / f"gateway-{self.http_port}.log"

    @property
    def shm_prefix(self) -> str:
        """The prefix of this server's shared-memory regions, which no other server has."""
        return shm_prefix(self.http_port)


@dataclass(frozen=True)
class Inner:
    """Ports of 127.0.0.1 on which Triton listens behind the door (`door`)."""

    http_port: int
    grpc_port: int
    metrics_port: int

    @property
    def url(self) -> str:
        """The HTTP endpoint."""
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def metrics_url(self) -> str:
        """The metrics endpoint."""
        return f"http://127.0.0.1:{self.metrics_port}"


def _reachable(address: str) -> str:
    wildcard = {"0.0.0.0": LOOPBACK, "::": "[::1]"}
    return wildcard.get(address, f"[{address}]" if ":" in address else address)


def shm_prefix(http_port: int | str) -> str:
    """A prefix that is distinct for every checkout on the machine and every port of it."""
    checkout = hashlib.sha256(str(layout.ROOT).encode()).hexdigest()[:10]
    return f"onecard_{checkout}_{http_port}_"


def add_arguments(parser: ArgumentParser) -> None:
    """The flags that say which server is meant; each has an environment variable as its default."""
    for variable, port in DEFAULT_PORTS.items():
        flag = "--" + variable.lower().replace("_", "-")
        parser.add_argument(flag, type=int, default=None, help=f"default {port}; or {variable}=")
    parser.add_argument("--address", help="default 127.0.0.1; or ADDRESS=")
    parser.add_argument("--repository", type=Path, help="default model_repository/; or REPOSITORY=")
    parser.add_argument(
        "--plan", help="whose configuration to serve, default cpu; or PLAN=; `auto` asks the driver"
    )
    parser.add_argument(
        "--part",
        choices=get_args(Part),
        help="of a plan with topology two_servers: `speech` or `text`; or PART=",
    )
    parser.add_argument(
        "--drain-timeout", type=int, help=f"seconds, default {DRAIN_TIMEOUT_S}; or DRAIN_TIMEOUT="
    )
    parser.add_argument(
        "--warmup",
        choices=("0", "1"),
        help="make the first request of each kind before it is ready, default 1; or WARMUP=",
    )
    parser.add_argument(
        "--allowed-hosts",
        help="names, with commas, that HTTP callers may use beside addresses and localhost; or "
        "ALLOWED_HOSTS=",
    )
    parser.add_argument(
        "--gateway",
        choices=("0", "1"),
        help="serve applications that speak OpenAI's HTTP and others, default 1 beside HTTP port "
        f"{DEFAULT_PORTS['HTTP_PORT']}; or GATEWAY=",
    )
    parser.add_argument(
        "--http-address",
        help="of HTTP alone, default that of the rest, and 127.0.0.1 beside gRPC with TLS, for "
        "HTTP has none; or HTTP_ADDRESS=",
    )
    for name, text in tls.HELP.items():
        parser.add_argument(f"--{name}", help=text)
    parser.add_argument("--gateway-port", help=f"default {GATEWAY_PORT}; or GATEWAY_PORT=")


def from_arguments(arguments: Namespace, environment: Mapping[str, str] = os.environ) -> Settings:
    """Flags win over the environment. Raises ServerError for a port that is no port,
    or a time that is no time, PlanError for an amount of memory that is none."""

    def chosen(name: str, default: str) -> str:
        given = getattr(arguments, name)
        return str(given if given is not None else environment.get(name.upper()) or default)

    ports = [_port(name, chosen(name.lower(), str(p))) for name, p in DEFAULT_PORTS.items()]
    if len(set(ports)) < len(ports):
        raise ServerError(f"the ports are `{ports}`, wanted three different ones")
    http_port, grpc_port, metrics_port = ports
    gateway_port = chosen("gateway_port", "")
    # One that stands beside the first server leaves the first one's gateway alone.
    is_usual = http_port == DEFAULT_PORTS["HTTP_PORT"] or gateway_port != ""
    encryption = tls.chosen(lambda name: chosen(name.replace("-", "_"), ""))
    address = chosen("address", LOOPBACK)
    has_gateway = _flag("GATEWAY", chosen("gateway", "1" if is_usual else "0"))
    return Settings(
        address=address,
        http_port=http_port,
        grpc_port=grpc_port,
        metrics_port=metrics_port,
        repository=Path(chosen("repository", str(layout.MODEL_REPOSITORY))).resolve(),
        plan=match.resolve(chosen("plan", DEFAULT_PLAN)),
        part=_part(chosen("part", "all")),
        drain_timeout_s=_seconds("DRAIN_TIMEOUT", chosen("drain_timeout", str(DRAIN_TIMEOUT_S))),
        vram_gib=dial.read(arguments.vram, environment) if "vram" in arguments else None,
        warmup=_flag("WARMUP", chosen("warmup", "1")),
        allowed_hosts=_names(chosen("allowed_hosts", "")),
        gateway_port=_port("GATEWAY_PORT", gateway_port or str(GATEWAY_PORT))
        if has_gateway
        else None,
        is_gateway_asked=gateway_port != "",
        tls=encryption,
        own_http_address=chosen("http_address", LOOPBACK if encryption else address),
    )


def _port(name: str, text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ServerError(f"`{name}` is `{text}`, wanted a number from 1 to 65535")
    return int(text)


def _seconds(name: str, text: str) -> int:
    if not text.isdecimal() or len(text) > 9:  # Triton's own is a 32-bit number
        raise ServerError(f"`{name}` is `{text}`, wanted a whole number of seconds, 0 or more")
    return int(text)


def _flag(name: str, text: str) -> bool:
    if text not in ("0", "1"):
        raise ServerError(f"`{name}` is `{text}`, wanted 0 or 1")
    return text == "1"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip().lower() for name in text.split(",") if name.strip())


def _part(text: str) -> Part:
    if text not in get_args(Part):
        raise ServerError(f"`PART` is `{text}`, wanted one of {', '.join(get_args(Part))}")
    return cast(Part, text)
