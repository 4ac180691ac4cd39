"""The ledger: every allocation that a plan causes on its card, their sum, and what is left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from build_scripts.console import GIB
from build_scripts.errors import PlanError
from build_scripts.memory import engines, processes
from build_scripts.memory.line import Line
from build_scripts.memory.measured import Figures
from build_scripts.plans.schema import Plan

NO_CAPS: Mapping[str, int] = MappingProxyType({})
# The instructions of triage, counted with Mistral's tokenizer over onecard/triage/prompt.py
# with the plans' categories and without mails.
TRIAGE_PROMPT_TOKENS = 384
# Room for one mail: the ten of samples/mails take 134 to 346, headers included.
MAIL_TOKENS = 512


@dataclass(frozen=True)
class Ledger:
    """Every line of one plan, and the memory they are counted against."""

    vram_gib: float  # memory of the GPU
    headroom_gib: float  # what the plan keeps free of it
    lines: tuple[Line, ...]

    @property
    def total_bytes(self) -> int:
        return sum(line.bytes for line in self.lines)

    @property
    def free_bytes(self) -> int:
        """Bytes of the GPU left after every line; negative if the ledger is larger than the GPU."""
        return int(self.vram_gib * GIB) - self.total_bytes

    @property
    def left_bytes(self) -> int:
        """Bytes left after every line and the headroom; negative if the plan does not fit."""
        return self.free_bytes - int(self.headroom_gib * GIB)

    @property
    def fits(self) -> bool:
        return self.left_bytes >= 0

    def by_process(self) -> dict[str, int]:
        """Bytes of each process, in the ledger's order."""
        return self._sums("process")

    def by_owner(self) -> dict[str, int]:
        """Bytes of each process and of each engine in it, in the ledger's order."""
        return self._sums("owner")

    def engine_bytes(self, engine: str, kind: str = "") -> int:
        """Bytes that one engine allocates, such as `llm`; of one `kind` if it is given."""
        return sum(
            line.bytes for line in self.lines if line.engine == engine and kind in ("", line.kind)
        )

    def weights_by_process(self) -> dict[str, int]:
        """Bytes of weights of each process that has any."""
        sums: dict[str, int] = {}
        for line in self.lines:
            if line.kind == "weights":
                sums[line.process] = sums.get(line.process, 0) + line.bytes
        return sums

    def _sums(self, key: Literal["process", "owner"]) -> dict[str, int]:
        found: dict[str, int] = {}
        for line in self.lines:
            name = getattr(line, key)
            found[name] = found.get(name, 0) + line.bytes
        return found


def compute_ledger(plan: Plan, figures: Figures, whisper_kv: Mapping[str, int] = NO_CAPS) -> Ledger:
    """The ledger of a plan with a card.

    Args:
        figures: what was measured on this kind of GPU, by name; empty if nothing was.
        whisper_kv: by Whisper's engine, tokens of each of its KV pools, if it is not the plan's
            own cap.

    Raises:
        PlanError: the plan states no card, or something whose size cannot be computed.
    """
    if plan.card is None:
        raise PlanError(
            f"plan `{plan.name}` states no card: nothing of it is on a GPU, so there is no VRAM "
            "to account for; ask for a plan with a [card]"
        )
    lines = (
        *processes.driver_lines(plan.card),
        *processes.server_lines(plan, figures),
        *engines.llm_lines(plan),
        *engines.whisper_lines(plan, whisper_kv),
        *processes.align_lines(plan, figures),
        *processes.diarize_lines(plan, figures),
    )
    ordered = sorted(lines, key=lambda line: _order(line, lines))
    return Ledger(plan.card.vram_gib, plan.card.headroom_gib, tuple(ordered))


def told(plan: Plan, ledger: Ledger | None) -> str:
    """The ledger as JSON for callers: the card, and what holds how much of it; without one, less.

    A part is all that an engine, or a process, has of a kind: weights, kv or other.
    """
    if plan.card is None or ledger is None:
        return json.dumps({"plan": plan.name})
    sums: dict[tuple[str, str], int] = {}
    for line in ledger.lines:
        kind = line.kind if line.kind in ("weights", "kv") else "other"
        key = (line.engine or line.process, kind)
        sums[key] = sums.get(key, 0) + line.bytes
    return json.dumps(
        {
            "plan": plan.name,
            "card": plan.card.name,
            "vram_bytes": int(ledger.vram_gib * GIB),
            "headroom_bytes": int(ledger.headroom_gib * GIB),
            "parts": [
                {"name": name, "kind": kind, "bytes": num_bytes}
                for (name, kind), num_bytes in sums.items()
            ],
        }
    )


def _order(line: Line, lines: tuple[Line, ...]) -> int:
    """Processes stay together, in the order in which they first come up."""
    return next(i for i, other in enumerate(lines) if other.process == line.process)


def triage_tokens(plan: Plan) -> int:
    """Tokens of context that one triage call needs: instructions, emails and verdicts."""
    a_mail = MAIL_TOKENS + plan.triage.max_tokens_per_mail
    return TRIAGE_PROMPT_TOKENS + plan.triage.mails_per_call * a_mail


def triage_warnings(plan: Plan, window: int | None = None) -> list[str]:
    """A warning if a triage call of the plan's size does not fit the LLM's context.

    Args:
        window: tokens of one sequence as they are served, if the environment lowers it.
    """
    wanted, context, key = triage_tokens(plan), plan.llm.context_tokens, "llm.context_tokens"
    if window is not None and window < context:
        context, key = window, "MAX_ATTENTION_WINDOW_SIZE"
    if wanted <= context:
        return []
    triage = plan.triage
    return [
        f"{key} is {context}, a triage call of {triage.mails_per_call} mails wants "
        f"{wanted} ({TRIAGE_PROMPT_TOKENS} of instructions, {MAIL_TOKENS} for each mail and "
        f"{triage.max_tokens_per_mail} for its verdict): fewer mails will go into a call; raise "
        "it, or lower triage.mails_per_call or triage.max_tokens_per_mail"
    ]
