"""How a server is doing.

It knows what Triton says of itself and of its models; it does not judge it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelState:
    """One model of the server's repository.

    Attributes:
        state: Triton's word: READY, LOADING, UNLOADING, UNAVAILABLE or UNKNOWN.
        version: empty where the server does not tell.
        reason: why it is not ready; empty if it is, or where the server does not tell.
    """

    name: str
    version: str
    state: str
    reason: str


@dataclass(frozen=True)
class Health:
    """A server that answered.

    Attributes:
        live: the server runs.
        ready: every model can be asked.
        models: all of them, or only the public ones where the server's operator has restricted
            the protocol that lists them.
    """

    live: bool
    ready: bool
    models: tuple[ModelState, ...]
    server_name: str
    server_version: str
