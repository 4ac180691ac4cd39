"""The use of a Whisper that is loaded on demand, which whoever serves Triton grants."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from onecard.errors import Restarting, Unavailable

SOCKET = "ONECARD_ON_DEMAND"  # in the environment of Triton: where `serve` listens
BROKEN = b"broken"  # what is said at the end of a model that does not answer any more
CHECK_S = 0.25
TOLD_S = 5.0
# In the block `engine` of a result: what it took until the model could be used, in seconds.
LOAD_S, WAIT_S = "model_load_s", "model_wait_s"

Document = dict[str, Any]


@dataclass
class Lease:
    """A model that stays loaded until this ends.

    Attributes:
        load_s: seconds that its loading took; 0 where it was loaded.
        wait_s: seconds until it was this request's turn.
        is_broken: set by the user where the model does not answer.
    """

    load_s: float
    wait_s: float
    is_broken: bool = False


@contextlib.contextmanager
def lease(model: str, check: Callable[[], None]) -> Iterator[Lease]:
    """Have `model`, an engine of the repository, loaded while this is open.

    Args:
        check: raises where nobody waits for the answer any more.

    Raises:
        Unavailable: it is not to be had now; the message says why.
    """
    path = os.environ.get(SOCKET)
    if not path:
        raise Unavailable(
            f"`{model}` is loaded on demand, and nobody here loads it; start the server with "
            "`make serve`"
        )
    with socket.socket(socket.AF_UNIX) as desk:
        found = _asked(desk, Path(path), model, check)
        yield found
        if found.is_broken:
            with contextlib.suppress(OSError):
                desk.settimeout(TOLD_S)
                desk.sendall(BROKEN + b"\n")
                desk.recv(1)  # closed by the other side, which then knows


def using(model: str, check: Callable[[], None], work: Callable[[], Document]) -> Document:
    """What `work` makes while `model` is loaded, with what that took in its block `engine`.

    Where the model has lost its process, it is loaded anew, once.

    Raises what `lease` and `work` do.
    """
    load_s = wait_s = 0.0
    for is_last in (False, True):
        with lease(model, check) as held:
            load_s, wait_s = load_s + held.load_s, wait_s + held.wait_s
            try:
                found = work()
            except Restarting:
                held.is_broken = True
                if is_last:
                    raise
                continue
        times = {LOAD_S: round(load_s, 3), WAIT_S: round(wait_s, 3)}
        return {**found, "engine": {**found["engine"], **times}}
    raise AssertionError("the last attempt returns or raises")


def _asked(desk: socket.socket, path: Path, model: str, check: Callable[[], None]) -> Lease:
    answer = b""
    try:
        with address(path) as where:
            desk.connect(where)
        desk.sendall(json.dumps({"model": model}).encode() + b"\n")
        desk.settimeout(CHECK_S)
        while not answer.endswith(b"\n"):
            try:
                part = desk.recv(4096)
            except TimeoutError:
                check()
                continue
            if not part:
                raise OSError("it closed the connection")
            answer += part
        desk.settimeout(None)
    except OSError as error:
        raise Unavailable(
            f"`{model}` is loaded on demand, and who loads it does not answer ({error}); try again "
            "later"
        ) from error
    found = json.loads(answer)
    if "error" in found:
        raise Unavailable(found["error"])
    return Lease(found["load_s"], found["wait_s"])


@contextlib.contextmanager
def address(path: Path) -> Iterator[str]:
    """The address of a socket at `path`, however long that is: addresses have 107 bytes."""
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
