"""The certificate of a gateway, held against its key before the gateway starts."""

from __future__ import annotations

import ssl
from pathlib import Path

# Those with forward secrecy and authenticated encryption; TLS 1.3 has no others.
CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


class CertificateError(ValueError):
    """A certificate or its key that cannot be served with."""


FLAGS = ("--tls-certificate", "--tls-key")


def verify(certificate: Path, key: Path | None, flags: tuple[str, str] = FLAGS) -> None:
    """Raises CertificateError for files that are missing, none of their kind, or no pair.

    Args:
        certificate: PEM, the gateway's first, then those between it and the root.
        key: PEM, unencrypted; None where it stands in the same file.
        flags: what named the two.
    """
    files = {flags[0]: certificate, **({flags[1]: key} if key else {})}
    for flag, path in files.items():
        verify_readable(flag, path)
    where = f"`{certificate}`" if key is None else f"`{certificate}` and `{key}`"
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key, _no_password)
    except ssl.SSLError as error:
        found = _found(error)
        raise CertificateError(
            f"{where}: {found}, must be a certificate in PEM and the key that it was made for"
            f"{f' (in the same file, or named with {flags[1]})' if key is None else ''}"
        ) from error


def verify_readable(flag: str, path: Path) -> None:
    """Raises CertificateError for a file that cannot be read. `flag`: what named it."""
    try:
        with path.open("rb") as file:
            file.read(1)
    except OSError as error:
        raise CertificateError(
            f"`{flag}` is `{path}`, which cannot be read ({error.strerror}); name a file in PEM"
        ) from error


def _no_password() -> str:
    """OpenSSL would ask at the terminal, where nobody may be."""
    raise CertificateError(
        "the key of the certificate is encrypted, must be without a pass phrase; write it anew "
        "with `openssl pkey`, readable by its owner alone"
    )


def _found(error: ssl.SSLError) -> str:
    if error.reason == "KEY_VALUES_MISMATCH":
        return "the key belongs to another certificate"
    return f"one of them is not readable as PEM ({error.reason or 'no certificate in it'})"
