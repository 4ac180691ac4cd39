"""The certificates that gRPC is served with, named by Triton's own flags and checked at the start.

Triton itself listens on loopback, so the door ends TLS with them (`server/door/grpc.py`).
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from build_scripts.errors import ServerError

# Triton's flags (server, command_line_parser.cc); as variables in capitals, with `_` for `-`.
USE, MUTUAL = "grpc-use-ssl", "grpc-use-ssl-mutual"
CERTIFICATE, KEY, ROOTS = "grpc-server-cert", "grpc-server-key", "grpc-root-cert"
HELP = {
    USE: "1: gRPC by TLS, default 0; or GRPC_USE_SSL=",
    MUTUAL: "1: by TLS, and callers need a certificate of --grpc-root-cert, default 0; or "
    "GRPC_USE_SSL_MUTUAL=",
    CERTIFICATE: "PEM file of the server's certificate and those above it; or GRPC_SERVER_CERT=",
    KEY: "PEM file of its key, without a pass phrase; or GRPC_SERVER_KEY=",
    ROOTS: "PEM file of whoever signs callers' certificates; or GRPC_ROOT_CERT=",
}


@dataclass(frozen=True)
class Tls:
    """PEM files. `roots`: of callers' certificates; None where callers need none."""

    certificate: Path
    key: Path
    roots: Path | None = None


def chosen(value: Callable[[str], str]) -> Tls | None:
    """The files that flags or variables name; None for gRPC without TLS.

    Args:
        value: of a flag by its name; empty where it is not given.

    Raises:
        ServerError: a file that is missing, not readable, or no pair with its key.
    """
    is_used, is_mutual = _is_on(USE, value), _is_on(MUTUAL, value)
    names = (CERTIFICATE, KEY, ROOTS)
    if not (is_used or is_mutual):  # Triton ignores them then, and callers would send in the clear
        given = [name for name in names if value(name)]
        if given:
            raise ServerError(
                f"`--{given[0]}` is given and gRPC is without TLS: add --{USE}=1, or leave it out"
            )
        return None
    wanted = names if is_mutual else names[:2]
    for name in wanted:
        if not value(name):
            raise ServerError(
                f"`--{MUTUAL if is_mutual else USE}` is on without `--{name}`, wanted a file in "
                "PEM: `make certificates` makes all of them"
            )
    files = [_readable(name, Path(value(name)).absolute()) for name in wanted]
    tls = Tls(*files)
    _verify(tls)
    return tls


def _is_on(name: str, value: Callable[[str], str]) -> bool:
    text = value(name) or "0"
    if text.lower() not in ("0", "1", "true", "false"):
        raise ServerError(f"`--{name}` is `{text}`, wanted 0 or 1")
    return text.lower() in ("1", "true")


def _readable(name: str, path: Path) -> Path:
    try:
        path.read_bytes()
    except OSError as error:
        raise ServerError(
            f"`--{name}` is `{path}`, which cannot be read ({error.strerror}), wanted a file in PEM"
        ) from error
    return path


def _verify(tls: Tls) -> None:
    """Raises ServerError for what OpenSSL would not serve with."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(tls.certificate, tls.key, _no_password)
    except ssl.SSLError as error:
        raise ServerError(
            f"`{tls.certificate}` and `{tls.key}` are no certificate in PEM and its key "
            f"({error.reason or 'no PEM'}), wanted a pair: `make certificates` makes one"
        ) from error
    if tls.roots is not None:
        try:
            context.load_verify_locations(tls.roots)
        except ssl.SSLError as error:
            raise ServerError(
                f"`--{ROOTS}` is `{tls.roots}`, which has no certificate in PEM "
                f"({error.reason}), wanted that of whoever signs callers' certificates"
            ) from error


def _no_password() -> str:
    """OpenSSL would ask at the terminal, where nobody may be."""
    raise ServerError(
        f"the key of `--{KEY}` is encrypted, wanted one without a pass phrase: `openssl pkey` "
        "writes it anew; make it readable by its owner alone"
    )
