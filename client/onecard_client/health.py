"""The health of a server and its models."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelState:
    """One model of the pipeline, and whether it takes requests now."""

    name: str
    ready: bool


@dataclass(frozen=True)
class SpeechModel:
    """One of the Whispers that `transcribe` takes as `model`.

    Attributes:
        loaded: it answers without being loaded first.
        on_demand: it is loaded when a request names it, in place of another such one.
    """

    name: str
    loaded: bool
    on_demand: bool


@dataclass(frozen=True)
class Health:
    """A server that answered.

    Attributes:
        live: the server runs.
        ready: every model can be asked.
        models: the public ones first, then those that they call.
        speech_models: the usual one first; none from a server that does not tell.
    """

    live: bool
    ready: bool
    models: tuple[ModelState, ...]
    server_name: str
    server_version: str
    speech_models: tuple[SpeechModel, ...] = ()
