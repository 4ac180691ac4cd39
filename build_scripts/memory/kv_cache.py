"""The knobs of the KV caches, by the names that the recipe gave them, for both engines."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass

from build_scripts.errors import PlanError
from build_scripts.memory import ledger
from build_scripts.memory.engines import (
    in_blocks,
    llm_lines,
    whisper_kv_tokens,
    whisper_lines,
)
from build_scripts.memory.ledger import Ledger
from build_scripts.memory.lines import GIB
from build_scripts.memory.shapes import AUDIO_FRAMES, TEXT_POSITIONS
from build_scripts.plans import topology
from build_scripts.plans.schema import Plan
from build_scripts.plans.topology import llm_process, whisper_process

Knobs = dict[str, dict[str, int | float]]

TOKENS = "MAX_TOKENS_IN_KV_CACHE"
WINDOW = "MAX_ATTENTION_WINDOW_SIZE"
FRACTION = "KV_CACHE_FREE_GPU_MEM_FRACTION"
CROSS_FRACTION = "CROSS_KV_CACHE_FRACTION"  # of whisper alone: the backend refuses it for the LLM
NAMES = (TOKENS, WINDOW, FRACTION)

# Both pools have the same cap and the same bytes a token.
CROSS_SHARE = 0.5
MAX_FRACTION = 0.95  # the backend wants less than 1
PYTHON_MODELS = ("align", "diarize")  # processes that load after the engines
# Without a card nothing is allocated by these; the CPU backend counts tokens against them.
CPU_CHUNK_TOKENS = 3072
CPU_FRACTION = 0.5


def knobs(plan: Plan) -> Knobs:
    """The knobs of `whisper` and `llm`. Raises PlanError."""
    window = {"whisper": TEXT_POSITIONS, "llm": plan.llm.context_tokens}
    if plan.card is None:
        whisper = plan.speech.chunks_in_flight * CPU_CHUNK_TOKENS
        return {
            "whisper": {TOKENS: whisper, WINDOW: window["whisper"], FRACTION: CPU_FRACTION,
                        CROSS_FRACTION: CROSS_SHARE},
            "llm": {TOKENS: plan.llm.kv_tokens, WINDOW: window["llm"]},
        }  # fmt: skip
    found = ledger.ledger(plan)
    turns = _turns(plan, found, whisper_kv_tokens(plan))
    return {
        "whisper": {
            TOKENS: whisper_kv_tokens(plan),
            WINDOW: window["whisper"],
            FRACTION: turns["whisper"].fraction,
            CROSS_FRACTION: CROSS_SHARE,
        },
        "llm": {
            TOKENS: in_blocks(plan.llm.kv_tokens),
            WINDOW: window["llm"],
            FRACTION: turns["llm"].fraction,
        },
    }


def overridden(plan: Plan, environment: Mapping[str, str]) -> Knobs:
    """The knobs with what the environment says instead, as far as the ledger allows it.

    `<NAME>` and `LLM_<NAME>` are the LLM's, `WHISPER_<NAME>` is whisper's.

    Raises:
        PlanError: not a number, or the ledger or the engine breaks by it.
    """
    found = knobs(plan)
    turned = {engine: _read(engine, environment) for engine in ("whisper", "llm")}
    for engine, values in turned.items():
        for name, value in values.items():
            found[engine][name] = value
    if not any(turned.values()):
        return found
    _verify_windows(plan, found)
    if plan.card is not None:
        _verify_ledger(plan, found, turned)
    return found


def _read(engine: str, environment: Mapping[str, str]) -> dict[str, int | float]:
    found: dict[str, int | float] = {}
    for name in NAMES:
        keys = [f"{engine.upper()}_{name}"] + ([name] if engine == "llm" else [])
        given = {key: environment[key] for key in keys if environment.get(key)}
        if len(set(given.values())) > 1:
            raise PlanError(f"{' and '.join(given)} both set the LLM's knob; keep one of them")
        for key, text in given.items():
            found[name] = _number(key, text, name == FRACTION)
    return found


def _number(key: str, text: str, is_fraction: bool) -> int | float:
    wanted = "a number above 0 and below 1" if is_fraction else "a whole number above 0"
    try:
        value = float(text) if is_fraction else int(text)
    except ValueError:
        raise PlanError(f"{key} is `{text}`, must be {wanted}") from None
    if not 0 < value < (1 if is_fraction else math.inf):
        raise PlanError(f"{key} is `{text}`, must be {wanted}")
    return value


def _verify_windows(plan: Plan, found: Knobs) -> None:
    """What the engines are built for, and that a whole sequence fits its pool."""
    whisper, llm = found["whisper"], found["llm"]
    if whisper[WINDOW] != TEXT_POSITIONS:
        raise PlanError(
            f"WHISPER_{WINDOW} is {whisper[WINDOW]}, must be {TEXT_POSITIONS}: a prompt and a "
            "chunk's text may take all of it, and Whisper has no more positions; unset it"
        )
    if llm[WINDOW] > plan.llm.context_tokens:
        raise PlanError(
            f"{WINDOW} is {llm[WINDOW]}, must be at most {plan.llm.context_tokens}: the engine is "
            "built for llm.context_tokens; raise that in the plan and make the engine anew"
        )
    if llm[TOKENS] < llm[WINDOW]:
        raise PlanError(
            f"{TOKENS} is {llm[TOKENS]}, must be at least {WINDOW}, {llm[WINDOW]}: TensorRT-LLM "
            "would shorten the window without an error; lower the window as well"
        )
    if whisper[TOKENS] < in_blocks(AUDIO_FRAMES):
        raise PlanError(
            f"WHISPER_{TOKENS} is {whisper[TOKENS]}, must be at least {in_blocks(AUDIO_FRAMES)}, "
            "which is the window of the cross pool; lower speech.chunks_in_flight instead"
        )


def _verify_ledger(plan: Plan, found: Knobs, turned: Knobs) -> None:
    tokens = int(found["llm"][TOKENS])
    llm = dataclasses.replace(
        plan.llm, kv_tokens=tokens, context_tokens=min(plan.llm.context_tokens, tokens)
    )
    plan, whisper_kv = dataclasses.replace(plan, llm=llm), int(found["whisper"][TOKENS])
    changed = ledger.ledger(plan, whisper_kv=whisper_kv)
    names = ", ".join(
        f"{engine.upper()}_{name}" for engine, values in turned.items() for name in values
    )
    if not changed.fits:
        raise PlanError(
            f"with {names} from the environment the ledger comes to "
            f"{changed.total_bytes / GIB:.2f} GiB, at most "
            f"{changed.vram_gib - changed.headroom_gib:.2f} fit; lower them by "
            f"{-changed.left_bytes / GIB:.2f} GiB, or change the plan"
        )
    for engine, turn in _turns(plan, changed, whisper_kv).items():
        if FRACTION not in turned[engine]:
            found[engine][FRACTION] = turn.fraction
        if found[engine][FRACTION] < turn.least:
            raise PlanError(
                f"{engine.upper()}_{FRACTION} is {found[engine][FRACTION]}, must be at least "
                f"{turn.least}: of what is free at its turn the engine would get fewer tokens than "
                f"{TOKENS}, {found[engine][TOKENS]}; lower that instead"
            )


@dataclass(frozen=True)
class Turn:
    """One engine sizing its pools: its weights and buffers are there, and so is what loads before
    it. `later_bytes`: of everything that comes after; `spare_bytes`: what nobody needs."""

    pool_bytes: int
    later_bytes: int
    spare_bytes: int
    may_be_last: bool

    @property
    def free_bytes(self) -> int:
        return self.pool_bytes + self.later_bytes + self.spare_bytes

    @property
    def least(self) -> float:
        """Below it the pool would be smaller than its cap."""
        free = self.pool_bytes + self.spare_bytes if self.may_be_last else self.free_bytes
        return _rounded_up(self.pool_bytes / free)

    @property
    def fraction(self) -> float:
        """The second fence: the pool and half of the spare memory, as a share of what is free.

        The cap is reached when the other half is gone, and an engine that does not heed its cap
        leaves that half and all that comes after it. The cap goes first: where an engine may be the
        last one as well, the share that it needs then may be too much of what is free earlier.
        """
        share = (self.pool_bytes + self.spare_bytes / 2) / self.free_bytes
        return min(MAX_FRACTION, max(self.least, _rounded_up(share)))


def _turns(plan: Plan, found: Ledger, whisper_kv: int) -> dict[str, Turn]:
    """Of both engines, which load one after the other (`topology.LOAD_ORDER`) and before the rest.

    Of two servers the first may be started again while the other one holds its share; what is free
    for its engine is then what a last one finds.
    """
    pools = {engine: _pool_bytes(found, engine) for engine in topology.LOAD_ORDER}
    processes = found.by_process()
    homes = {"whisper": whisper_process(plan), "llm": llm_process(plan)}
    brought = {engine: processes[home] for engine, home in homes.items()}
    if homes["whisper"] == homes["llm"]:
        lines = {"whisper": whisper_lines(plan, whisper_kv), "llm": llm_lines(plan)}
        brought = {engine: sum(line.bytes for line in own) for engine, own in lines.items()}
    later = sum(size for name, size in processes.items() if name in PYTHON_MODELS)
    turns: dict[str, Turn] = {}
    for engine in reversed(topology.LOAD_ORDER):
        again = plan.serving.topology == "two_servers" and engine == topology.LOAD_ORDER[0]
        turns[engine] = Turn(pools[engine], later, max(0, found.free_bytes), again)
        later += brought[engine]
    return turns


def _rounded_up(share: float) -> float:
    return math.ceil(share * 1000) / 1000


def _pool_bytes(ledger: Ledger, engine: str) -> int:
    """All of an engine's KV caches; Whisper has two of one size."""
    return sum(line.bytes for line in ledger.lines if (line.kind, line.engine) == ("kv", engine))
