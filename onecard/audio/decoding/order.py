"""The order and the answer of a process that decodes, as lines of JSON, and the process's limits.

The limit on CPU time grows with the sound that comes out. A file that makes the decoder work
without sound is ended after seconds; one of hours may take minutes.
"""

from __future__ import annotations

import json
import resource
from dataclasses import asdict, dataclass
from typing import Any

from onecard.audio.clip import Choice, Clip, Form, Limits, Wanted

START_CPU_S = 5.0
# The least speed that is demanded of a core, relative to real time. For comparison: a core decodes
# Opus at 200 times real time, eight channels of 192 kHz at 60, and reads films at 500 MB a second.
MIN_SPEED, MIN_MB_PER_S = 20.0, 10.0
# Clock time allows for a machine whose cores are all busy, and for its disk.
WALL_START_S, WALL_PER_CPU = 20.0, 6.0
# In addition to the interpreter and the file, which is mapped. Six hours of anything take 0.1 GiB.
MEMORY_BYTES = 1 << 30
_PCM_BYTES_PER_S = 32_000
CONVERT = "convert it (`ffmpeg -i FILE out.flac`) and send that"
_ANY, _ALL = Choice(), Wanted()


@dataclass(frozen=True)
class Order:
    """One recording to decode.

    Attributes:
        form: that of sound without a header.
    """

    limits: Limits
    choice: Choice = _ANY
    form: Form | None = None
    wanted: Wanted = _ALL

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, line: bytes) -> Order:
        found = json.loads(line)
        form = found["form"]
        return cls(
            Limits(**found["limits"]),
            Choice(**found["choice"]),
            form and Form(**form),
            _wanted(found["wanted"]),
        )


def _wanted(document: dict[str, Any]) -> Wanted:
    spans = tuple((start, end) for start, end in document["spans"])
    return Wanted(spans, document["is_separate"])


def clip_of(document: dict[str, Any]) -> Clip:
    """A clip that was JSON."""
    gaps = tuple((start, end) for start, end in document["gaps"])
    return Clip(**{**document, "gaps": gaps, "warnings": tuple(document["warnings"])})


def cpu_s(num_bytes: int, heard_s: float) -> float:
    """Seconds of CPU time for a file of which `heard_s` came out so far, in all passes."""
    return START_CPU_S + num_bytes / 1e6 / MIN_MB_PER_S + heard_s / MIN_SPEED


def wall_s(num_bytes: int, heard_s: float) -> float:
    """Seconds on the clock for the same."""
    return WALL_START_S + WALL_PER_CPU * cpu_s(num_bytes, heard_s)


def confine(num_bytes: int, limits: Limits) -> None:
    """Have this process ended where it wants more than a recording may have.

    Its CPU time grows with `allow`.
    """
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    most = {
        resource.RLIMIT_AS: taken + num_bytes + MEMORY_BYTES,
        resource.RLIMIT_FSIZE: int((limits.max_audio_s + 60) * _PCM_BYTES_PER_S),
        resource.RLIMIT_CORE: 0,
    }
    for kind, value in most.items():
        resource.setrlimit(kind, (value, value))
    allow(num_bytes, 0.0)


def allow(num_bytes: int, heard_s: float) -> None:
    """CPU time for what came out so far. The kernel counts whole seconds."""
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    wanted = int(cpu_s(num_bytes, heard_s)) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (wanted if hard < 0 else min(wanted, hard), hard))
