"""WhisperX's options that a request cannot decide: each may be given only the value that holds."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

PLAN = "the server's plan decides"
TOKEN = "the server has its models and needs no token"
LOG = "use `--verbose False` for errors only"


def _any(value: str | None) -> bool:
    return True


def _sentence(value: str | None) -> bool:
    return value == "sentence"


@dataclass(frozen=True)
class Taken:
    """An option without effect.

    Attributes:
        reason: what the server does instead.
        is_so: whether a value says what is so anyway; others are refused.
    """

    reason: str
    is_so: Callable[[str | None], bool] = _any


TAKEN = {
    "model_cache_only": Taken(PLAN),
    "model_dir": Taken(PLAN),
    "device": Taken(PLAN),
    "device_index": Taken(PLAN),
    "batch_size": Taken(PLAN),
    "compute_type": Taken(PLAN),
    "align_model": Taken(PLAN),
    "diarize_model": Taken(PLAN),
    "threads": Taken(PLAN),
    "fp16": Taken(PLAN),
    "hf_token": Taken(TOKEN),
    "log_level": Taken(LOG),
    "segment_resolution": Taken("segments are sentences", _sentence),
}


class Take(argparse.Action):
    """Notes an option for `note`, or for the refusals of the whole command."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option: str | None = None,
    ) -> None:
        taken = TAKEN[self.dest]
        if taken.is_so(values):
            namespace.taken = [*getattr(namespace, "taken", ()), self.dest]
            return
        given = f"`{option} {values}`" if values is not None else f"`{option}`"
        reason = f"{given} cannot be had: {taken.reason}; leave it out"
        namespace.refusals = [*getattr(namespace, "refusals", ()), reason]


def add(parser: argparse.ArgumentParser) -> None:
    for name in TAKEN:
        option = "--" + name.replace("_", "-")
        parser.add_argument(
            option, dest=name, nargs="?", action=Take,
            default=argparse.SUPPRESS, help=argparse.SUPPRESS,
        )  # fmt: skip


def note(namespace: argparse.Namespace) -> str | None:
    """One line on the options that were taken without effect; None where there are none."""
    reasons: dict[str, list[str]] = {}
    for name in dict.fromkeys(getattr(namespace, "taken", ())):
        reasons.setdefault(TAKEN[name].reason, []).append("--" + name.replace("_", "-"))
    if not reasons:
        return None
    parts = [f"{', '.join(options)} ({reason})" for reason, options in reasons.items()]
    return f"without effect: {'; '.join(parts)}"
