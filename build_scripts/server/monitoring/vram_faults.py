"""What is said where a card's memory is not what a plan counts on: what was found, and what to
do.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

from build_scripts.errors import PlanError, ServerError
from build_scripts.gpus import Gpu
from build_scripts.memory.ledger import Ledger
from build_scripts.memory.lines import GIB
from build_scripts.server.monitoring.vram_table import Table, gib

# Whose lines `make measure` replaces; it runs no engine.
MEASURED = ("align", "diarize")
# The driver's part becomes smaller with the card's, by 1.5 % of what is taken off it.
REFIT_MARGIN = 1.02


def too_little(found: Ledger, gpu: Gpu, needed: int) -> PlanError | ServerError:
    """Before the start. A PlanError where the card would be too small for it alone, too."""
    what = f"`{gpu.name}` has {gib(gpu.free_bytes)} free of {gib(gpu.total_bytes)}, wanted"
    if gpu.total_bytes < needed + int(found.headroom_gib * GIB):
        size = f"{gpu.total_bytes / GIB:.1f}"
        return PlanError(
            f"{what} {gib(needed)} and {found.headroom_gib:g} GiB of headroom: the plan is for "
            f"{found.vram_gib:g} GiB; set card.vram_gib to {size} (`make plan VRAM_GIB={size}` "
            "says what gives way), or take the plan of this card with PLAN=auto"
        )
    size = f"{found.vram_gib - (needed - gpu.free_bytes) / GIB:.1f}"
    return ServerError(
        f"{what} {gib(needed)}: held by {holders(gpu)}; end them, or give the plan less with "
        f"card.vram_gib (`make plan VRAM_GIB={size}` says what gives way)"
    )


def over_budget(table: Table) -> ServerError:
    """Everything is loaded, and it is more than the plan has."""
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
    """Others hold what the first requests will need. `ours`: pids of this server's processes."""
    return ServerError(
        f"{gib(table.to_come_bytes)} of what is planned are still to be allocated, "
        f"{gib(gpu.free_bytes)} of `{gpu.name}` are free; end what holds the rest: "
        f"{holders(gpu, ours)}\n" + "\n".join(table.lines())
    )


def cure(process: str, vram_gib: float | None = None) -> str:
    """What to do where a process of the ledger holds more than its lines say.

    `vram_gib`: the amount for which the rest of the plan is small enough. To lower card.vram_gib
    itself would not do: what the plan may hold becomes less by as much.
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


def tenths(gib_of: float) -> float:
    """Rounded down to what a plan states."""
    return math.floor(gib_of * 10) / 10


def holders(gpu: Gpu, ours: Iterable[int] = ()) -> str:
    """Who holds the card's memory, the largest first."""
    own = set(ours)
    named = [
        f"{one.name or 'a process'} (pid {one.pid} of the host, "
        f"{gib(one.bytes) if one.bytes else 'the driver does not say how much'})"
        for one in gpu.processes
        if one.pid not in own
    ]
    unnamed = f"memory that the driver names no process for ({gib(gpu.used_bytes)} used in all)"
    return ", ".join(named[:5]) or unnamed
