"""What the plan of a server says of its card's memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LedgerPart:
    """What an engine or a process has of one kind.

    Attributes:
        name: an engine, `llm` or `whisper`, or a process, such as `align`.
        kind: `weights`, `kv` (caches of keys and values) or `other`.
    """

    name: str
    kind: str
    bytes: int
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Ledger:
    """The plan that a server was started with: computed before, not measured now.

    Attributes:
        card: its name; None where the plan is for a machine without one, and the rest is missing.
        vram_bytes: the memory of the card.
        headroom_bytes: what the plan keeps free of it.
    """

    plan: str
    card: str | None = None
    vram_bytes: int | None = None
    headroom_bytes: int | None = None
    parts: tuple[LedgerPart, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
