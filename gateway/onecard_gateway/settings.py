"""Settings of a gateway: from the command line, else from the environment, else their defaults."""

from __future__ import annotations

import argparse
import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

DEFAULT_URL = "localhost:8001"
DEFAULT_PORT = 8080
# The longest recording that a server takes (2 GB), and what a form has around it.
MAX_BODY_BYTES = 2_001_000_000
_TRUE = ("1", "true", "yes")


class SettingsError(Exception):
    """The gateway cannot start with these settings."""


@dataclass(frozen=True)
class Settings:
    """Settings of a gateway.

    Raises SettingsError for what it cannot start with.
    """

    urls: tuple[str, ...] = (DEFAULT_URL,)  # of Triton's gRPC services
    host: str = "127.0.0.1"  # the address to listen at
    port: int = DEFAULT_PORT
    allow_anyone: bool = False  # listens at other addresses than loopback, though nobody has a key
    allowed_hosts: frozenset[str] = frozenset()  # names in `Host`, beside this machine's
    allowed_origins: frozenset[str] = frozenset()  # of web pages that may call
    max_body_bytes: int = MAX_BODY_BYTES
    timeout_s: float = 3600.0  # for one request
    drain_s: float = 60.0  # for the requests in flight when the gateway is told to stop
    log_json: bool = False
    root_certificates: str | None = None  # of a server behind TLS; None for gRPC's own list
    token: str | None = None  # for a proxy in front of the server

    def __post_init__(self) -> None:
        if not self.urls:
            raise SettingsError(
                "no address of a server is given, must be one or more; set --url or ONECARD_URL"
            )
        if not 0 <= self.port <= 65535:
            raise SettingsError(f"the port is {self.port}, must be 0 to 65535; set --port")
        for name in ("max_body_bytes", "timeout_s", "drain_s"):
            if not getattr(self, name) > 0:
                raise SettingsError(f"`{name}` is {getattr(self, name)}, must be more than 0")
        if not self.allow_anyone and not _is_loopback(self.host):
            raise SettingsError(
                f"the gateway shall listen at `{self.host}`, where others reach it, and asks "
                "nobody for a key; listen at 127.0.0.1 behind a proxy that asks, or say "
                "--allow-anyone"
            )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def from_command_line(arguments: Sequence[str], environment: Mapping[str, str]) -> Settings:
    """Settings from flags, where there is none from variables.

    Raises:
        SettingsError: see `Settings`; a flag that does not exist ends the program.
    """
    found = _parser(environment).parse_args(arguments)
    try:
        return Settings(
            urls=_names(found.url),
            host=found.host,
            port=int(found.port),
            allow_anyone=found.allow_anyone,
            allowed_hosts=frozenset(name.lower() for name in _names(found.allowed_hosts)),
            allowed_origins=frozenset(_names(found.allowed_origins)),
            max_body_bytes=int(found.max_body_bytes),
            timeout_s=float(found.timeout_s),
            drain_s=float(found.drain_s),
            log_json=found.log_json,
            root_certificates=found.root_certificates or None,
            token=environment.get("ONECARD_TOKEN") or None,
        )
    except ValueError as error:
        raise SettingsError(f"a setting is not a number ({error}); give digits") from error


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="onecard-gateway",
        description="Serve a onecard server to applications that speak OpenAI's, "
        "whisper-asr-webservice's or Ollama's HTTP.",
        epilog="Every flag is a variable as well: --port is GATEWAY_PORT, --url is ONECARD_URL. "
        "ONECARD_TOKEN is sent as a bearer token to a proxy in front of the server.",
    )

    def add(name: str, default: object, text: str, variable: str | None = None) -> None:
        variable = variable or f"GATEWAY_{name.upper().replace('-', '_')}"
        given = environment.get(variable, str(default))
        parser.add_argument(
            f"--{name}", default=given, help=f"{text} (default: {default or 'none'})"
        )

    def switch(name: str, text: str) -> None:
        given = environment.get(f"GATEWAY_{name.upper().replace('-', '_')}", "")
        is_on = given.lower() in _TRUE
        parser.add_argument(f"--{name}", action="store_true", default=is_on, help=text)

    add("url", DEFAULT_URL, "Triton's gRPC address, or several with commas", "ONECARD_URL")
    add("host", Settings.host, "the address to listen at")
    add("port", Settings.port, "the port to listen at")
    switch("allow-anyone", "listen at an address that others reach, though nobody needs a key")
    add("allowed-hosts", "", "names that requests may have in `Host`, with commas")
    add("allowed-origins", "", "origins of web pages that may call, with commas")
    add("max-body-bytes", MAX_BODY_BYTES, "the largest body of a request")
    add("timeout-s", Settings.timeout_s, "seconds for one request")
    add("drain-s", Settings.drain_s, "seconds for the requests in flight at the end")
    switch("log-json", "write the log as JSON")
    add("root-certificates", "", "PEM file to verify a server behind TLS with")
    return parser
