"""The parameters that every served model has that calls the language model."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class LlmConfig:
    """Parameters of config.pbtxt: the engine, and how much is asked of it."""

    llm_model: str  # its name in the model repository
    tokenizer_dir: str
    engine_dir: str  # with the manifest
    engine_backend: str  # of the manifest that the plan counts on
    engine_precision: str  # in which that one computes
    max_seq_len: int  # prompt and answer together
    max_streams: int  # requests at a time
    temperature: float  # where a request names none


@dataclass(frozen=True)
class BackgroundConfig(LlmConfig):
    """The same, and how a request of many calls stands behind speech."""

    max_calls_in_flight: int  # of one request
    max_speech_wait_s: float  # of a request in sum, while speech is in flight
