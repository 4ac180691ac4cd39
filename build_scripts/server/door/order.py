"""What the process at the ports is told, what it says back, and where its owner finds it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from pathlib import Path

from build_scripts import paths
from onecard.contract.pipeline import OWNER_HEADER

OPEN = "open"  # when every port is
METRICS_FILE = "metrics.prom"  # in the run directory: what `serve` itself has to tell
FILE = "door.json"  # in the run directory; nobody but its owner can read it
SECRET = "ONECARD_SECRET"  # of a server of another checkout or machine, in the environment


@dataclasses.dataclass(frozen=True)
class Order:
    """Where to listen, where Triton does (on 127.0.0.1), and whom to let in."""

    address: str
    http_port: int
    grpc_port: int
    metrics_port: int
    inner_http_port: int
    inner_grpc_port: int
    inner_metrics_port: int
    secret: str
    hosts: tuple[str, ...] = ()
    http_address: str = ""  # where that of HTTP is another one
    on_demand: tuple[str, ...] = ()  # models that are loaded when a request names them
    more_metrics: str = ""  # a file that is appended to Triton's metrics, if it is there
    # PEM files that gRPC is served with, and of whoever signs callers' certificates.
    certificate: str = ""
    key: str = ""
    roots: str = ""
    local_grpc_port: int = 0  # beside TLS, of 127.0.0.1 and without it, for the gateway

    def write(self) -> str:
        """One line."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def read(cls, line: str) -> Order:
        given = json.loads(line)
        names = {key: tuple(given.get(key, ())) for key in ("hosts", "on_demand")}
        return cls(**{**given, **names})

    def save(self, run: Path) -> None:
        """Leave it where `owner_headers` looks."""
        path = run / FILE
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self.write() + "\n")


def owner_headers(url: str) -> dict[str, str]:
    """The header by which the server at `url` (`host:port`, HTTP or gRPC) knows its owner: every
    model and every API is open to it. None where no server of this checkout has that port, and
    the environment has no secret."""
    port = int(url.rpartition(":")[2])
    secret = os.environ.get(SECRET, "")
    for path in paths.RUN.glob(f"*/{FILE}"):
        with contextlib.suppress(OSError, ValueError, TypeError, KeyError):
            order = Order.read(path.read_text(encoding="utf-8"))
            if port in (order.http_port, order.grpc_port, order.metrics_port):
                secret = order.secret
    return {OWNER_HEADER: secret} if secret else {}
