"""Planned and measured memory of a GPU, process by process, and what to do where they differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from build_scripts.console import GIB
from build_scripts.errors import PlanError, ServerError
from build_scripts.gpus import Gpu
from build_scripts.memory.ledger import Ledger

RESERVES = ("driver", "host")  # entries of the ledger that are no processes of the GPU's
# Processes whose lines `make measure` replaces; it runs no engine.
MEASURED = ("align", "diarize")
# The driver's part shrinks with the GPU's memory, by 1.5 % of what is taken off.
REFIT_MARGIN = 1.02


@dataclass(frozen=True)
class Row:
    """One process."""

    process: str
    planned_bytes: int
    measured_bytes: int | None  # None if this server does not run the process

    @property
    def counted_bytes(self) -> int:
        """The larger of both: what is planned may still come. A reserve is what the plan says;
        what others hold beside it belongs to the headroom."""
        if self.process in RESERVES:
            return self.planned_bytes
        return max(self.planned_bytes, self.measured_bytes or 0)


def gauges(rows: Sequence[Row]) -> str:
    """Rows as Prometheus reads them; a process that another server runs has nothing used."""
    lines = [
        "# HELP onecard_vram_planned_bytes GPU memory that the plan has for a process",
        "# TYPE onecard_vram_planned_bytes gauge",
        *(f'onecard_vram_planned_bytes{{process="{r.process}"}} {r.planned_bytes}' for r in rows),
        "# HELP onecard_vram_used_bytes GPU memory that a process holds",
        "# TYPE onecard_vram_used_bytes gauge",
        *(
            f'onecard_vram_used_bytes{{process="{row.process}"}} {row.measured_bytes}'
            for row in rows
            if row.measured_bytes is not None
        ),
    ]
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Table:
    """Every process, and the memory that the plan counts on."""

    rows: tuple[Row, ...]
    vram_gib: float
    headroom_gib: float

    @property
    def counted_bytes(self) -> int:
        return sum(row.counted_bytes for row in self.rows)

    @property
    def unplanned_bytes(self) -> int:
        """Bytes that all processes hold beyond what is planned."""
        return sum(row.counted_bytes - row.planned_bytes for row in self.rows)

    @property
    def budget_bytes(self) -> int:
        return int((self.vram_gib - self.headroom_gib) * GIB)

    @property
    def to_come_bytes(self) -> int:
        """Bytes planned for this server's processes and not allocated yet.

        The working sets come with the first requests.
        """
        return sum(
            max(0, row.planned_bytes - row.measured_bytes)
            for row in self.rows
            if row.measured_bytes is not None and row.process not in RESERVES
        )

    def lines(self) -> list[str]:
        """The table as text, with a heading and the sums."""
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


def too_little(ledger: Ledger, gpu: Gpu, needed: int) -> PlanError | ServerError:
    """The error before the start; a PlanError if the GPU is too small for the plan alone, too."""
    what = f"`{gpu.name}` has {gib(gpu.free_bytes)} free of {gib(gpu.total_bytes)}, wanted"
    if gpu.total_bytes < needed + int(ledger.headroom_gib * GIB):
        size = f"{gpu.total_bytes / GIB:.1f}"
        return PlanError(
            f"{what} {gib(needed)} and {ledger.headroom_gib:g} GiB of headroom: the plan is for "
            f"{ledger.vram_gib:g} GiB; set card.vram_gib to {size} (`make plan VRAM_GIB={size}` "
            "says what gives way), or take the plan of this card with PLAN=auto"
        )
    size = f"{ledger.vram_gib - (needed - gpu.free_bytes) / GIB:.1f}"
    return ServerError(
        f"{what} {gib(needed)}: held by {holders(gpu)}; end them, or give the plan less with "
        f"card.vram_gib (`make plan VRAM_GIB={size}` says what gives way)"
    )


def over_budget(table: Table) -> ServerError:
    """The error when everything is loaded and it is more than the plan has."""
    over = table.counted_bytes - table.budget_bytes
    gives_way = tenths(table.vram_gib - REFIT_MARGIN * table.unplanned_bytes / GIB)
    less_headroom = tenths(table.headroom_gib - over / GIB)
    kept = f"; or lower card.headroom_gib to {less_headroom:.1f}" if less_headroom >= 0 else ""
    worst = max(table.rows, key=lambda row: row.counted_bytes - row.planned_bytes)
    return ServerError(
        f"{gib(table.counted_bytes)} are held or still to come, {gib(over)} more than the plan has "
        f"beside its headroom, so this server does not become ready: "
        f"{cure(worst.process, gives_way)}{kept}\n" + "\n".join(table.lines())
    )


def nothing_left(table: Table, gpu: Gpu, ours: Iterable[int]) -> ServerError:
    """The error when others hold what the first requests will need.

    Args:
        ours: pids of this server's processes.
    """
    return ServerError(
        f"{gib(table.to_come_bytes)} of what is planned are still to be allocated, "
        f"{gib(gpu.free_bytes)} of `{gpu.name}` are free; end what holds the rest: "
        f"{holders(gpu, ours)}\n" + "\n".join(table.lines())
    )


def cure(process: str, vram_gib: float | None = None) -> str:
    """What to do if a process of the ledger holds more than its lines say.

    To lower card.vram_gib itself does not help: what the plan may hold shrinks by as much.

    Args:
        vram_gib: the amount for which the rest of the plan is small enough.
    """
    asked = "<card.vram_gib less that much>" if vram_gib is None else f"{vram_gib:.1f}"
    measuring = (
        "measure this card (`make measure`) so that the ledger knows, or "
        if process in MEASURED
        else ""
    )
    return (
        f"if nothing else was started on the card meanwhile, `{process}` needs more than its lines "
        f"of the ledger say; {measuring}lower speech.chunks_in_flight or llm.context_tokens and "
        f"llm.kv_tokens to what `make plan VRAM_GIB={asked}` shows, and leave card.vram_gib as it "
        "is"
    )


def tenths(size_gib: float) -> float:
    """The size rounded down to the precision of a plan."""
    return math.floor(size_gib * 10) / 10


def holders(gpu: Gpu, ours: Iterable[int] = ()) -> str:
    """The processes that hold the GPU's memory, the largest first, without `ours`."""
    own = set(ours)
    named = [
        f"{process.name or 'a process'} (pid {process.pid} of the host, "
        f"{gib(process.bytes) if process.bytes else 'the driver does not say how much'})"
        for process in gpu.processes
        if process.pid not in own
    ]
    unnamed = f"memory that the driver names no process for ({gib(gpu.used_bytes)} used in all)"
    return ", ".join(named[:5]) or unnamed
