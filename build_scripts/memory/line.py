"""One allocation of the ledger, and where its number comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

# computed: follows from dimensions and from what the plan states. sourced: somebody else measured
# it and published it, or it is documented; scaled where `source` says so. measured: by
# `python -m build_scripts measure`, on this kind of GPU. estimated: nothing better is known.
Basis = Literal["computed", "sourced", "measured", "estimated"]


@dataclass(frozen=True)
class Line:
    """One allocation: its size, the process that holds it, and the source of the number."""

    name: str
    process: str
    kind: str  # weights, kv, activations, context, pool, ...
    bytes: int
    basis: Basis
    source: str
    engine: str = ""  # such as `llm`, where an engine allocates it: all may be in one process

    @property
    def owner(self) -> str:
        """The process, and in it the engine."""
        return f"{self.process}, {self.engine}" if self.engine else self.process
