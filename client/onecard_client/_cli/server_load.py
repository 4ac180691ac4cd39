"""What a server's metrics say of its work, for `onecard status --watch`."""

from __future__ import annotations

import re
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from onecard_client._errors import ConnectionFailed

PATIENCE_S = 5.0
GIB = 2**30
_LINE = re.compile(r"^(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
_LABEL = re.compile(r'([a-z_]+)="((?:[^"\\]|\\.)*)"')
STATES = ("sending", "waiting", "running")
OUTCOMES = ("done", "refused", "cancelled", "invalid", "failed")


@dataclass(frozen=True)
class Sample:
    """One line of the metrics."""

    name: str
    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class ModelLoad:
    """The requests of one model: how many are in each state, and how many ended in each way."""

    streams: Mapping[str, int]
    ended: Mapping[str, int]
    oldest_wait_s: float
    audio_left_s: float


@dataclass(frozen=True)
class ServerLoad:
    """Everything at one time.

    Attributes:
        audio_done_s, tokens_out: since the server began.
        kv_tokens, vram_bytes: in use, and all there are; None where the server does not say.
        sequences: of the language model's engine, running and waiting.
    """

    models: Mapping[str, ModelLoad] = field(default_factory=dict)
    audio_done_s: float = 0.0
    tokens_out: float = 0.0
    sequences: tuple[int, int] = (0, 0)
    kv_tokens: tuple[int, int] | None = None
    vram_bytes: tuple[float, float] | None = None


def fetched(url: str) -> ServerLoad:
    """The load of the server whose metrics are at `url`.

    Raises:
        ConnectionFailed: nobody answers there, or with something else.
    """
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
            return parsed(answer.read().decode())
    except (urllib.error.URLError, OSError, UnicodeDecodeError) as error:
        raise ConnectionFailed(
            f"no metrics at {url} ({error}); say where they are with --metrics-url, port 8002 of "
            "the server by default"
        ) from error


def parsed(text: str) -> ServerLoad:
    """The load that metrics in Prometheus' format tell."""
    samples = list(_samples(text))

    def total(name: str, **labels: str) -> float:
        return sum(
            one.value
            for one in samples
            if one.name == name and labels.items() <= one.labels.items()
        )

    def has(name: str) -> bool:
        return any(one.name == name for one in samples)

    def model_load(model: str) -> ModelLoad:
        ended = "onecard_streams_ended_total"
        return ModelLoad(
            {s: int(total("onecard_streams", model=model, state=s)) for s in STATES},
            {o: int(total(ended, model=model, outcome=o)) for o in OUTCOMES},
            total("onecard_oldest_wait_seconds", model=model),
            total("onecard_audio_seconds_left", model=model),
        )

    blocks, requests = "nv_trt_llm_kv_cache_block_metrics", "nv_trt_llm_request_metrics"
    per_block = total(blocks, model="llm", kv_cache_block_type="tokens_per")
    used, cap = (
        int(total(blocks, model="llm", kv_cache_block_type=kind) * per_block)
        for kind in ("used", "max")
    )
    running, waiting = (
        int(total(requests, model="llm", request_type=kind)) for kind in ("scheduled", "waiting")
    )
    memory = "nv_gpu_memory_used_bytes", "nv_gpu_memory_total_bytes"
    names = sorted({one.labels["model"] for one in samples if one.name == "onecard_streams"})
    return ServerLoad(
        {name: model_load(name) for name in names},
        total("onecard_audio_seconds_total"),
        total("onecard_llm_tokens_total", direction="out"),
        (running, waiting),
        (used, cap) if per_block else None,
        (total(memory[0]), total(memory[1])) if has(memory[1]) else None,
    )


def lines(load: ServerLoad, before: ServerLoad | None, passed_s: float) -> list[str]:
    """A table of the models, and what the server got done in the `passed_s` since `before`."""
    width = max([len("model"), *map(len, load.models)])
    headings = (*STATES, "oldest wait", "audio left", *OUTCOMES)
    found = [f"  {'model':<{width}}  " + "  ".join(headings)]
    for name, model in load.models.items():
        cells = [
            *(str(model.streams[state]) for state in STATES),
            _time(model.oldest_wait_s),
            _time(model.audio_left_s),
            *(str(model.ended[outcome]) for outcome in OUTCOMES),
        ]
        row = (cell.rjust(len(head)) for cell, head in zip(cells, headings, strict=True))
        found.append(f"  {name:<{width}}  " + "  ".join(row))
    if before is not None and passed_s > 0:
        audio_s = max(0.0, load.audio_done_s - before.audio_done_s) / passed_s
        tokens = max(0.0, load.tokens_out - before.tokens_out) / passed_s
        found.append(f"  done: {audio_s:.1f} s of audio and {tokens:.1f} tokens a second")
    if load.kv_tokens is not None:
        (used, cap), (running, waiting) = load.kv_tokens, load.sequences
        found.append(
            f"  llm: {running} sequences run and {waiting} wait, {used} of {cap} tokens of the KV "
            "cache in use"
        )
    if load.vram_bytes is not None:
        used_bytes, all_bytes = load.vram_bytes
        found.append(f"  VRAM: {used_bytes / GIB:.1f} of {all_bytes / GIB:.1f} GiB in use")
    return found


def _samples(text: str) -> Iterator[Sample]:
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is not None:
            labels = dict(_LABEL.findall(found["labels"] or ""))
            yield Sample(found["name"], labels, float(found["value"]))


def _time(seconds: float) -> str:
    whole = round(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes}:{whole % 60:02}"
