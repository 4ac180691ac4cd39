"""The verb certificates: what it signs is believed for its purpose alone, and its keys are ours."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from build_scripts.commands import certificates
from build_scripts.errors import PlanError

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    certificates.make(tmp_path, ["speech.example", "10.0.0.5"], "billing")
    return tmp_path


def verified(folder: Path, file: str, *arguments: str) -> bool:
    command = ["openssl", "verify", "-CAfile", "ca.pem", *arguments, file]
    return subprocess.run(command, cwd=folder, capture_output=True, check=False).returncode == 0


def test_each_certificate_serves_its_purpose_alone(folder: Path) -> None:
    assert verified(folder, "server.pem", "-purpose", "sslserver")
    assert verified(folder, "billing.pem", "-purpose", "sslclient")
    assert not verified(folder, "server.pem", "-purpose", "sslclient")
    assert not verified(folder, "billing.pem", "-purpose", "sslserver")


@pytest.mark.parametrize("name", ["localhost", "speech.example"])
def test_the_server_has_its_names_and_no_others(folder: Path, name: str) -> None:
    assert verified(folder, "server.pem", "-verify_hostname", name)
    assert not verified(folder, "server.pem", "-verify_hostname", f"x.{name}")


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "10.0.0.5"])
def test_the_server_has_its_addresses(folder: Path, address: str) -> None:
    assert verified(folder, "server.pem", "-verify_ip", address)
    assert not verified(folder, "server.pem", "-verify_ip", "10.0.0.6")


def test_keys_are_readable_by_their_owner_alone(folder: Path) -> None:
    keys = sorted(folder.glob("*-key.pem"))
    assert [key.name for key in keys] == ["billing-key.pem", "ca-key.pem", "server-key.pem"]
    assert {key.stat().st_mode & 0o777 for key in keys} == {0o600}
    assert {path.suffix for path in folder.iterdir()} == {".pem"}  # nothing half done is left


def test_an_authority_is_kept_and_signs_for_more_callers(folder: Path) -> None:
    before = (folder / "ca.pem").read_bytes()
    certificates.make(folder, client="reporting")
    assert (folder / "ca.pem").read_bytes() == before
    assert verified(folder, "billing.pem")
    assert verified(folder, "reporting.pem")


@pytest.mark.parametrize(
    ("names", "client"),
    [(["a b"], "client"), (["x,DNS:evil.example"], "client"), ([], "../client"), ([], "ca")],
)
def test_names_that_are_none_are_refused(tmp_path: Path, names: list[str], client: str) -> None:
    with pytest.raises(PlanError, match="wanted"):
        certificates.make(tmp_path / "none", names, client)
    assert not (tmp_path / "none").exists()
