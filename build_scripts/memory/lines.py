"""One allocation of the ledger, and where its number comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from build_scripts.errors import PlanError
from build_scripts.plans.schema import Card

GIB = 2**30
MIB = 2**20
MEASURED = Path("docs/measured")

# computed: follows from dimensions and from what the plan states. sourced: somebody else measured
# it and said so, or it is documented; scaled where `source` says so. measured: by
# `python -m build_scripts measure`, on this kind of card. estimated: nothing better is known.
Basis = Literal["computed", "sourced", "measured", "estimated"]


@dataclass(frozen=True)
class Line:
    """`process`: whose memory it is. `kind`: weights, kv, activations, context, pool, ...
    `engine`: `llm` or `whisper`, of what an engine allocates: both may be in one process."""

    name: str
    process: str
    kind: str
    bytes: int
    basis: Basis
    source: str
    engine: str = ""

    @property
    def owner(self) -> str:
        """The process, and in it the engine."""
        return f"{self.process}, {self.engine}" if self.engine else self.process


@dataclass(frozen=True)
class Figure:
    """`batch`: what it was measured with, where it grows with one; None where it does not."""

    bytes: int
    source: str
    batch: int | None = None

    def scaled(self, batch: int) -> int:
        """The bytes for another batch."""
        return self.bytes if self.batch is None else -(-self.bytes * batch // self.batch)


Figures = Mapping[str, Figure]


def measured(card: Card, folder: Path = MEASURED) -> Figures:
    """What was measured on this kind of card, by name; nothing where nothing was.

    Raises:
        PlanError: a file does not hold what `measure` writes.
    """
    for path in sorted(folder.glob("*.json")):
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            if not _names(card, str(found["gpu"])):
                continue
            where = f"{path.name}, driver {found['driver']}, {found['date']}"
            return {name: _figure(one, where) for name, one in found["figures"].items()}
        except (KeyError, TypeError, ValueError) as error:
            raise PlanError(
                f"`{path}` is not what `python -m build_scripts measure` writes ({error!r}); "
                "measure again or remove it"
            ) from error
    return {}


def _names(card: Card, gpu: str) -> bool:
    """Whether whole words of what the driver calls a GPU are the card's name, as in `cards`: what
    was measured on an L40 is not an L4's."""
    wanted, words = card.name.lower().split(), gpu.lower().replace("-", " ").split()
    return any(words[at : at + len(wanted)] == wanted for at in range(len(words)))


def _figure(found: Mapping[str, Any], where: str) -> Figure:
    batch = found.get("batch")
    return Figure(
        int(found["bytes"]), f"{where}: {found['how']}", None if batch is None else int(batch)
    )
