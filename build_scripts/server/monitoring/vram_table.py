"""Planned against measured memory of a card, process by process."""

from __future__ import annotations

from dataclasses import dataclass

from build_scripts.memory.lines import GIB

RESERVES = ("driver", "host")  # of the ledger, and no processes of the card's


@dataclass(frozen=True)
class Row:
    """`measured_bytes`: None where this server does not run the process."""

    process: str
    planned_bytes: int
    measured_bytes: int | None

    @property
    def counted_bytes(self) -> int:
        """The larger: what is planned may still come. A reserve is what the plan says; what others
        hold beside it is the headroom's."""
        if self.process in RESERVES:
            return self.planned_bytes
        return max(self.planned_bytes, self.measured_bytes or 0)


@dataclass(frozen=True)
class Table:
    """`vram_gib` and `headroom_gib`: the plan's."""

    rows: tuple[Row, ...]
    vram_gib: float
    headroom_gib: float

    @property
    def counted_bytes(self) -> int:
        return sum(row.counted_bytes for row in self.rows)

    @property
    def unplanned_bytes(self) -> int:
        """Held beyond what is planned, of all processes."""
        return sum(row.counted_bytes - row.planned_bytes for row in self.rows)

    @property
    def budget_bytes(self) -> int:
        return int((self.vram_gib - self.headroom_gib) * GIB)

    @property
    def to_come_bytes(self) -> int:
        """Planned for processes of this server and not allocated yet: the first requests bring the
        working sets."""
        return sum(
            max(0, row.planned_bytes - row.measured_bytes)
            for row in self.rows
            if row.measured_bytes is not None and row.process not in RESERVES
        )

    def lines(self) -> list[str]:
        """For people, with a heading and the sums."""
        width = max(len(row.process) for row in self.rows)
        texts = [f"{'VRAM':{width}}  {'planned':>10}  {'measured':>10}  {'counted':>10}"]
        texts += [_text(row, width) for row in self.rows]
        total = f"{'sum':{width}}  {'':>10}  {'':>10}  {gib(self.counted_bytes):>10}"
        return [*texts, f"{total} of {gib(self.budget_bytes)} beside the headroom"]


def _text(row: Row, width: int) -> str:
    measured = "elsewhere" if row.measured_bytes is None else gib(row.measured_bytes)
    return (
        f"{row.process:{width}}  {gib(row.planned_bytes):>10}  {measured:>10}  "
        f"{gib(row.counted_bytes):>10}"
    )


def gib(num_bytes: float) -> str:
    return f"{num_bytes / GIB:.2f} GiB"
