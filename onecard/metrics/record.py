"""The whole way of one request, as it is told once it has ended: to a log, to a trace."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MAX_ID_LETTERS = 128  # of a caller's id in a log
MAX_SPANS = 2000  # of one request; the sums go on
_LEVELS = {"failed": "error", "refused": "warning"}


@dataclass(frozen=True)
class Origin:
    """Where a request comes from.

    Attributes:
        request_id: the caller's; empty where it has none.
        trace: the caller's trace as a JSON object of W3C headers; empty where there is none.
    """

    request_id: str = ""
    trace: str = ""


UNKNOWN = Origin()


@dataclass(frozen=True)
class Span:
    """One call to another model, in seconds since the request was accepted."""

    stage: str
    from_s: float
    until_s: float
    has_failed: bool


@dataclass
class Stage:
    """All calls of a request to one model; calls side by side count each."""

    calls: int = 0
    errors: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Record:
    """One request.

    Attributes:
        accepted_s: when, as `time.time` counts.
        seconds: from then to the end of the answer.
        in_state_s: state -> how long it was in it, of `traffic.STATES`.
        error: the kind of error that ended it; never its words, which may be the caller's.
    """

    model: str
    origin: Origin
    outcome: str
    error: str | None
    accepted_s: float
    seconds: float
    in_state_s: Mapping[str, float] = field(default_factory=dict)
    audio_s: float = 0.0
    stages: Mapping[str, Stage] = field(default_factory=dict)
    spans: tuple[Span, ...] = ()
    tokens_in: int = 0
    tokens_out: int = 0

    def line(self) -> dict[str, Any]:
        """What a log has of it: nothing of its content."""
        ended = datetime.datetime.fromtimestamp(
            self.accepted_s + self.seconds, tz=datetime.timezone.utc
        )
        found: dict[str, Any] = {
            "time": ended.isoformat(timespec="milliseconds"),
            "level": _LEVELS.get(self.outcome, "info"),
            "source": "model",
            "model": self.model,
            "id": self.origin.request_id[:MAX_ID_LETTERS],
            "outcome": self.outcome,
            "seconds": round(self.seconds, 3),
        }
        found |= {f"{state}_s": round(spent, 3) for state, spent in self.in_state_s.items()}
        if self.error is not None:
            found["error"] = self.error
        if self.audio_s:
            found["audio_s"] = round(self.audio_s, 3)
        if self.tokens_in or self.tokens_out:
            found |= {"tokens_in": self.tokens_in, "tokens_out": self.tokens_out}
        if self.stages:
            found["stages"] = {name: _shown(stage) for name, stage in self.stages.items()}
        return found


def _shown(stage: Stage) -> dict[str, Any]:
    found: dict[str, Any] = {"calls": stage.calls, "seconds": round(stage.seconds, 3)}
    return {**found, "errors": stage.errors} if stage.errors else found
