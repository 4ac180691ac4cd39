"""Settings of a gateway: from the command line, else from the environment, else their defaults."""

from __future__ import annotations

import argparse
import ipaddress
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from onecard_gateway import tls
from onecard_gateway.keys import file
from onecard_gateway.keys.key import KeysError
from onecard_gateway.webhooks import message

DEFAULT_URL = "localhost:8001"
DEFAULT_PORT = 8080
# The longest recording that a server takes (2 GB), and what a form has around it.
MAX_BODY_BYTES = 2_001_000_000
_TRUE = ("1", "true", "yes")
_POSITIVE = (
    "max_body_bytes",
    "uploads_at_a_time",
    "uploads_max_bytes",
    "timeout_s",
    "drain_s",
    "jobs_keep_hours",
    "jobs_max_bytes",
    "jobs_at_a_time",
)


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
    keys_file: Path | None = None  # of those who may come in; None where nobody is asked
    usage_file: Path | None = None  # of what keys have used; None for memory alone
    allow_anyone: bool = False  # listens at other addresses than loopback, though nobody has a key
    tls_certificate: Path | None = None  # PEM; None for HTTP without TLS
    tls_key: Path | None = None  # PEM; None where it stands in the certificate's file
    allowed_hosts: frozenset[str] = frozenset()  # names in `Host`, beside this machine's
    allowed_origins: frozenset[str] = frozenset()  # of web pages that may call
    max_body_bytes: int = MAX_BODY_BYTES
    uploads_at_a_time: int = 100
    uploads_max_bytes: int = 4 * MAX_BODY_BYTES  # of all under way, which are on disk
    timeout_s: float = 3600.0  # for one request
    jobs_folder: Path | None = None  # of jobs and their recordings; None for no jobs
    jobs_keep_hours: float = 24.0  # from a job's end
    jobs_max_bytes: int = 10 * MAX_BODY_BYTES  # of recordings and results together
    jobs_at_a_time: int = 2
    webhook_hosts: frozenset[str] = frozenset()  # names, addresses and networks that are told
    webhook_secret: str | None = None  # to sign what they are told
    drain_s: float = 60.0  # for the requests in flight when the gateway is told to stop
    log_json: bool = False
    root_certificates: str | None = None  # of a server behind TLS; None for gRPC's own list
    certificate_chain: str | None = None  # the gateway's own, for a server that asks for one
    private_key: str | None = None  # of that certificate
    token: str | None = None  # for a proxy in front of the server

    def __post_init__(self) -> None:
        if not self.urls:
            raise SettingsError(
                "no address of a server is given, must be one or more; set --url or ONECARD_URL"
            )
        if not 0 <= self.port <= 65535:
            raise SettingsError(f"the port is {self.port}, must be 0 to 65535; set --port")
        for name in _POSITIVE:
            if not 0 < getattr(self, name) < math.inf:
                raise SettingsError(f"`{name}` is {getattr(self, name)}, must be a number above 0")
        for origin in self.allowed_origins:
            _verify_origin(origin)
        self._verify_access()
        self._verify_certificates()
        self._verify_webhooks()

    @property
    def is_open(self) -> bool:
        """Whether others than this machine reach the gateway."""
        return not _is_loopback(self.host)

    def _verify_access(self) -> None:
        try:
            has_keys = self.keys_file is not None and bool(file.read(self.keys_file))
        except KeysError as error:
            raise SettingsError(str(error)) from error
        if self.is_open and not has_keys and not self.allow_anyone:
            where = f" (there is none in `{self.keys_file}`)" if self.keys_file else ""
            raise SettingsError(
                f"the gateway shall listen at `{self.host}`, where others reach it, and has no "
                f"keys to ask them for{where}; add one with `python -m onecard_gateway keys add "
                "NAME`, listen at 127.0.0.1, or say --allow-anyone"
            )

    def _verify_webhooks(self) -> None:
        if self.webhook_hosts and self.webhook_secret is None:
            raise SettingsError(
                "webhooks have hosts and no secret to be signed with; set GATEWAY_WEBHOOK_SECRET, "
                "such as to what `openssl rand -base64 32` prints"
            )
        try:
            if self.webhook_secret is not None:
                message.key(self.webhook_secret)
        except message.SecretError as error:
            raise SettingsError(f"{error}; it is in GATEWAY_WEBHOOK_SECRET") from error

    def _verify_certificates(self) -> None:
        if self.tls_certificate is None and self.tls_key is not None:
            raise SettingsError(
                f"`--tls-key` is `{self.tls_key}` and there is no certificate; name it with "
                "--tls-certificate, or leave the key out"
            )
        try:
            if self.tls_certificate is not None:
                tls.verify(self.tls_certificate, self.tls_key)
            if self.root_certificates is not None:
                tls.verify_readable("--root-certificates", Path(self.root_certificates))
            if self.certificate_chain is not None and self.private_key is not None:
                pair = (Path(self.certificate_chain), Path(self.private_key))
                tls.verify(*pair, flags=("--certificate-chain", "--private-key"))
            elif self.certificate_chain is not None or self.private_key is not None:
                raise SettingsError(
                    "one of --certificate-chain and --private-key is given, must be both or "
                    "none; name the other file"
                )
        except tls.CertificateError as error:
            raise SettingsError(str(error)) from error


def _verify_origin(origin: str) -> None:
    """`*` and `null` would be everybody, and browsers send an origin without a path."""
    try:
        found = urlsplit(origin)
        is_one = bool(found.scheme and found.netloc)
        is_one = is_one and origin == f"{found.scheme}://{found.netloc}"
    except ValueError:
        is_one = False
    if not is_one:
        raise SettingsError(
            f"an allowed origin is `{origin}`, must be a scheme and a host with its port, such as "
            "`https://notes.example:8443`; correct it in --allowed-origins"
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
            keys_file=_keys_file(found.keys_file, environment),
            usage_file=_path(found.usage_file),
            allow_anyone=found.allow_anyone,
            tls_certificate=_path(found.tls_certificate),
            tls_key=_path(found.tls_key),
            allowed_hosts=frozenset(name.lower() for name in _names(found.allowed_hosts)),
            allowed_origins=frozenset(_names(found.allowed_origins)),
            max_body_bytes=int(found.max_body_bytes),
            uploads_at_a_time=int(found.uploads_at_a_time),
            uploads_max_bytes=int(found.uploads_max_bytes),
            timeout_s=float(found.timeout_s),
            jobs_folder=_path(found.jobs_folder),
            jobs_keep_hours=float(found.jobs_keep_hours),
            jobs_max_bytes=int(found.jobs_max_bytes),
            jobs_at_a_time=int(found.jobs_at_a_time),
            webhook_hosts=frozenset(_names(found.webhook_hosts)),
            webhook_secret=environment.get("GATEWAY_WEBHOOK_SECRET") or None,
            drain_s=float(found.drain_s),
            log_json=found.log_json or environment.get("LOG_FORMAT") == "json",
            root_certificates=found.root_certificates or None,
            certificate_chain=found.certificate_chain or None,
            private_key=found.private_key or None,
            token=environment.get("ONECARD_TOKEN") or None,
        )
    except ValueError as error:
        raise SettingsError(f"a setting is not a number ({error}); give digits") from error


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _data(environment: Mapping[str, str], name: str) -> Path:
    home = environment.get("HOME") or os.path.expanduser("~")
    data = environment.get("XDG_DATA_HOME") or f"{home}/.local/share"
    return Path(data, "onecard", name)


def _keys_file(text: str, environment: Mapping[str, str]) -> Path | None:
    """The file of keys. Raises SettingsError where one was named that does not exist."""
    path = _path(text)
    if path is not None and path != file.default_path(environment) and not path.exists():
        raise SettingsError(
            f"the file of keys is `{path}`, which does not exist; make it with `python -m "
            "onecard_gateway keys add NAME --keys-file ...`, or correct --keys-file"
        )
    return path


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _parser(environment: Mapping[str, str]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="onecard-gateway",
        description="Serve a onecard server to applications that speak OpenAI's, "
        "whisper-asr-webservice's or Ollama's HTTP.",
        epilog="Every flag is a variable as well: --port is GATEWAY_PORT, --url is ONECARD_URL. "
        "ONECARD_TOKEN is sent as a bearer token to a proxy in front of the server. "
        "`onecard-gateway keys --help` tells of keys.",
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
    add("keys-file", file.default_path(environment), "keys of those who may come in")
    add("usage-file", _data(environment, "usage.sqlite3"), "seconds of audio that keys have used")
    add("tls-certificate", "", "PEM file to serve HTTPS with")
    add("tls-key", "", "PEM file of its key, where that is not in the same file")
    switch("allow-anyone", "listen at an address that others reach, though nobody needs a key")
    add("allowed-hosts", "", "names that requests may have in `Host`, with commas")
    add("allowed-origins", "", "origins of web pages that may call, with commas")
    add("max-body-bytes", MAX_BODY_BYTES, "the largest body of a request")
    add("uploads-at-a-time", Settings.uploads_at_a_time, "uploads under way at a time")
    add("uploads-max-bytes", Settings.uploads_max_bytes, "bytes of all uploads under way")
    add("timeout-s", Settings.timeout_s, "seconds for one request")
    add(
        "jobs-folder",
        _data(environment, "jobs"),
        "jobs and their recordings, of one gateway",
    )
    add("jobs-keep-hours", Settings.jobs_keep_hours, "hours that results are kept")
    add("jobs-max-bytes", Settings.jobs_max_bytes, "bytes of all recordings and results")
    add("jobs-at-a-time", Settings.jobs_at_a_time, "jobs under way at a time")
    add("webhook-hosts", "", "hosts that jobs may tell of their end, with commas")
    add("drain-s", Settings.drain_s, "seconds for the requests in flight at the end")
    switch("log-json", "write the log as JSON lines; or LOG_FORMAT=json")
    add("root-certificates", "", "PEM file to verify a server behind TLS with")
    add("certificate-chain", "", "PEM file to show to a server that wants a certificate")
    add("private-key", "", "PEM file of its key")
    return parser
