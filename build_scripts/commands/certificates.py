"""The verb certificates: a private authority, and what it signs for servers and callers of gRPC.

Files in PEM, by OpenSSL: `ca.pem` for both sides, `server.pem` and `server-key.pem`,
`client.pem` and `client-key.pem`. An authority that is there already signs new ones.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from build_scripts import paths
from build_scripts.console import say
from build_scripts.errors import MachineError, PlanError

FOLDER = paths.ROOT / ".certificates"
AUTHORITY = "ca"
LOCAL = ("localhost", "127.0.0.1", "::1")
AUTHORITY_DAYS, DAYS = 3650, 397
_NAME = re.compile(r"(?=.{1,253}$)(\*\.)?[A-Za-z0-9_]([A-Za-z0-9_-]*)(\.[A-Za-z0-9_-]+)*")
_SIGNING = "critical,CA:TRUE,pathlen:0"
_LEAF = "critical,CA:FALSE"


def main(arguments: Sequence[str]) -> None:
    """Make them, and say what each is for. Raises MachineError without OpenSSL, or PlanError for a
    name that is none."""
    parser = argparse.ArgumentParser(
        prog="python -m build_scripts certificates",
        description="A private authority, and certificates of a server and of callers for TLS on "
        "gRPC. An authority that is there is kept; what it signs is made anew.",
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"default {FOLDER}")
    parser.add_argument(
        "--names", nargs="*", default=[], metavar="NAME",
        help=f"host names and addresses of the server, beside {', '.join(LOCAL)}",
    )  # fmt: skip
    parser.add_argument("--client", default="client", metavar="NAME", help="default client")
    asked = parser.parse_args(arguments)
    make(asked.folder, asked.names, asked.client)
    folder, client = asked.folder, asked.client
    say(f"certificates in {folder}; {AUTHORITY}-key.pem signs: keep it off the server\n")
    say("serve:   GRPC_USE_SSL_MUTUAL=1 \\")
    say(f"         GRPC_SERVER_CERT={folder}/server.pem GRPC_SERVER_KEY={folder}/server-key.pem \\")
    say(f"         GRPC_ROOT_CERT={folder}/ca.pem make serve")
    say("call:    onecard status --url grpcs://localhost:8001 \\")
    say(f"         --root-certificates {folder}/ca.pem \\")
    own = f"{folder}/{client}"
    say(f"         --certificate-chain {own}.pem --private-key {own}-key.pem")


def make(folder: Path, names: Sequence[str] = (), client: str = "client") -> None:
    """Write the authority, where there is none, a server's certificate and a caller's.

    Args:
        names: of the server, beside `LOCAL`: hosts and IP addresses.
        client: the caller's name, in the certificate and of its files.

    Raises:
        MachineError: there is no OpenSSL, or it refuses.
        PlanError: a name that cannot be one.
    """
    if shutil.which("openssl") is None:
        raise MachineError("there is no `openssl`, wanted to sign with: `apt-get install openssl`")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", client) or client in (AUTHORITY, "server"):
        raise PlanError(f"the caller's name is `{client}`, wanted letters, digits, `.`, `-` or `_`")
    subjects = ",".join(_subject(name) for name in dict.fromkeys((*LOCAL, *names)))
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not (folder / f"{AUTHORITY}-key.pem").exists():
        _sign(folder, AUTHORITY, "onecard private authority", AUTHORITY_DAYS, [
            f"basicConstraints={_SIGNING}", "keyUsage=critical,keyCertSign,cRLSign",
            "subjectKeyIdentifier=hash",
        ])  # fmt: skip
    leaf = [f"basicConstraints={_LEAF}", "keyUsage=critical,digitalSignature"]
    _sign(folder, "server", "onecard", DAYS,
          [*leaf, "extendedKeyUsage=serverAuth", f"subjectAltName={subjects}"])  # fmt: skip
    _sign(folder, client, client, DAYS, [*leaf, "extendedKeyUsage=clientAuth"])


def _subject(name: str) -> str:
    try:
        return f"IP:{ipaddress.ip_address(name)}"
    except ValueError:
        pass
    if not _NAME.fullmatch(name):
        raise PlanError(f"`{name}` is no host name or address, wanted such as `speech.example`")
    return f"DNS:{name}"


def _sign(folder: Path, file: str, name: str, days: int, extensions: Sequence[str]) -> None:
    """Write `file`.pem and its key: signed by the authority, or by itself if it is that."""
    settings = ["[req]", "distinguished_name=subject", "x509_extensions=made", "[subject]",
                "[made]", *extensions]  # fmt: skip
    authority = ["-CA", f"{AUTHORITY}.pem", "-CAkey", f"{AUTHORITY}-key.pem"]
    with tempfile.TemporaryDirectory(dir=folder) as made:
        configuration = Path(made) / "openssl.cnf"
        configuration.write_text("\n".join(settings) + "\n")
        command = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
            "-nodes", "-sha256", "-days", str(days), "-subj", f"/CN={name}", "-config",
            str(configuration), "-keyout", f"{made}/key", "-out", f"{made}/certificate",
            *(authority if file != AUTHORITY else []),
        ]  # fmt: skip
        ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if ran.returncode != 0:
            raise MachineError(f"openssl refused to make {file}.pem: {ran.stderr.strip()}")
        os.chmod(f"{made}/key", 0o600)
        # Complete or absent: a server that reads them meanwhile keeps its old pair.
        os.replace(f"{made}/key", folder / f"{file}-key.pem")
        os.replace(f"{made}/certificate", folder / f"{file}.pem")
