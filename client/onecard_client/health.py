"""The health of a server and its models."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelState:
    """One model of the pipeline, and whether it takes requests now."""

    name: str
    ready: bool


@dataclass(frozen=True)
class Health:
    """A server that answered.

    Attributes:
        live: the server runs.
        ready: every model can be asked.
        models: the public ones first, then those that they call.
    """

    live: bool
    ready: bool
    models: tuple[ModelState, ...]
    server_name: str
    server_version: str
