"""A gateway speaks TLS with the files that it was given, and does not start with wrong ones."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from onecard_gateway.settings import Settings, SettingsError


def test_https(gateway: Any, certificates: Path) -> None:
    files = {"tls_certificate": certificates / "cert.pem", "tls_key": certificates / "key.pem"}
    one = gateway(**files)
    trusted = ssl.create_default_context(cafile=str(certificates / "cert.pem"))
    with one.client(verify=trusted) as client:
        assert one.url.startswith("https://")
        assert client.get("/").json()["service"] == "onecard-gateway"
    with one.client() as client, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY"):
        client.get("/")
    with pytest.raises(httpx.TransportError):
        httpx.get(one.url.replace("https", "http"))
    old = ssl.create_default_context(cafile=str(certificates / "cert.pem"))
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    old.set_ciphers("AES128-GCM-SHA256")  # without forward secrecy
    with one.client(verify=old) as client, pytest.raises(httpx.ConnectError):
        client.get("/")


def test_both_in_one_file(certificates: Path, tmp_path: Path) -> None:
    both = tmp_path / "both.pem"
    both.write_bytes(
        b"".join((certificates / f"{name}.pem").read_bytes() for name in ("cert", "key"))
    )
    assert Settings(tls_certificate=both).tls_key is None


@pytest.mark.parametrize(
    ("certificate", "key", "reason"),
    [
        ("none.pem", "key.pem", r"`--tls-certificate` is `.*none.pem`, which cannot be read"),
        ("cert.pem", "none.pem", r"`--tls-key` is `.*none.pem`, which cannot be read \(No such"),
        (".", "key.pem", "cannot be read"),
        ("cert.pem", "other.pem", "the key belongs to another certificate"),
        ("key.pem", "key.pem", "must be a certificate in PEM"),
        ("cert.pem", None, r"in the same file, or named with --tls-key"),
        ("cert.pem", "encrypted.pem", "must be without a pass phrase"),
    ],
)
def test_wrong_files(certificates: Path, certificate: str, key: str | None, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        Settings(tls_certificate=certificates / certificate, tls_key=key and certificates / key)


def test_the_certificate_that_is_shown_to_a_server(certificates: Path) -> None:
    pair = {"certificate_chain": "cert.pem", "private_key": "key.pem"}
    own: dict[str, Any] = {name: str(certificates / file) for name, file in pair.items()}
    assert Settings(**own).certificate_chain == own["certificate_chain"]
    with pytest.raises(SettingsError, match="one of --certificate-chain and --private-key"):
        Settings(private_key=own["private_key"])
    other = str(certificates / "other.pem")
    with pytest.raises(SettingsError, match="the key belongs to another certificate"):
        Settings(**{**own, "private_key": other})
