"""Reads what `python -m build_scripts measure` measured on one kind of GPU."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from build_scripts import gpus
from build_scripts.errors import PlanError
from build_scripts.plans.schema import Card


@dataclass(frozen=True)
class Figure:
    """One measured size, and how it was measured."""

    bytes: int
    source: str
    batch: int | None = None  # the batch it was measured with; None where it does not grow with one

    def scaled(self, batch: int) -> int:
        """Bytes for another batch."""
        return self.bytes if self.batch is None else -(-self.bytes * batch // self.batch)


Figures = Mapping[str, Figure]


def read_figures(card: Card, folder: Path) -> Figures:
    """Figures by name from the file in `folder` about this kind of GPU; empty without such a file.

    Raises:
        PlanError: a file does not hold what `measure` writes.
    """
    for path in sorted(folder.glob("*.json")):
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            if not gpus.is_called(str(document["gpu"]), card.name):
                continue
            where = f"{path.name}, driver {document['driver']}, {document['date']}"
            figures = document["figures"].items()
            return {name: _figure(entry, where) for name, entry in figures}
        except (KeyError, TypeError, ValueError) as error:
            raise PlanError(
                f"`{path}` is not what `python -m build_scripts measure` writes ({error!r}); "
                "measure again or remove it"
            ) from error
    return {}


def _figure(entry: Mapping[str, Any], where: str) -> Figure:
    batch = entry.get("batch")
    return Figure(
        int(entry["bytes"]), f"{where}: {entry['how']}", None if batch is None else int(batch)
    )
