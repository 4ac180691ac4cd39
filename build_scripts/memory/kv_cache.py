"""The caps of the engines' KV caches: what follows from the ledger, and what replaces it."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from build_scripts.console import GIB
from build_scripts.errors import PlanError
from build_scripts.memory.engines import in_blocks, lines_of, num_bytes, whisper_kv_tokens
from build_scripts.memory.ledger import Ledger, compute_ledger
from build_scripts.memory.measured import Figures
from build_scripts.plans import topology
from build_scripts.plans.schema import Plan
from build_scripts.plans.topology import llm_process, whisper_process
from onecard.contract.whisper import NUM_FRAMES, NUM_TEXT_POSITIONS

KvCaps = Mapping[str, Mapping[str, int | float]]  # engine -> name of the cap -> value

# The names by which the environment replaces a cap.
TOKENS = "MAX_TOKENS_IN_KV_CACHE"
WINDOW = "MAX_ATTENTION_WINDOW_SIZE"
FRACTION = "KV_CACHE_FREE_GPU_MEM_FRACTION"
CROSS_FRACTION = "CROSS_KV_CACHE_FRACTION"  # of Whispers alone: the backend refuses it for the LLM
NAMES = (TOKENS, WINDOW, FRACTION)

# Both pools have the same cap and the same bytes a token.
CROSS_SHARE = 0.5
MAX_FRACTION = 0.95  # the backend wants less than 1
PYTHON_MODELS = ("align", "diarize")  # processes that load after the engines
# Without a card nothing is allocated by these; the CPU backend counts tokens against them.
CPU_CHUNK_TOKENS = 3072
CPU_FRACTION = 0.5


def planned_caps(plan: Plan, ledger: Ledger | None) -> KvCaps:
    """The caps of every engine that follow from a plan and its ledger, None without a card.

    Raises PlanError.
    """
    window = plan.llm.context_tokens
    if ledger is None:
        tokens = plan.speech.chunks_in_flight * CPU_CHUNK_TOKENS
        speech = {engine: _whisper(tokens, CPU_FRACTION) for engine in _whispers(plan)}
        return {**speech, "llm": {TOKENS: plan.llm.kv_tokens, WINDOW: window}}
    turns, tokens = _load_turns(plan, ledger, {}), whisper_kv_tokens(plan)
    speech = {engine: _whisper(tokens, turns[engine].fraction) for engine in _whispers(plan)}
    llm = in_blocks(plan.llm.kv_tokens)
    return {**speech, "llm": {TOKENS: llm, WINDOW: window, FRACTION: turns["llm"].fraction}}


def _whispers(plan: Plan) -> list[str]:
    """The engine of every Whisper."""
    return [whisper.engine for whisper in plan.whispers]


def _whisper(tokens: int, fraction: float) -> dict[str, int | float]:
    """The caps of one Whisper."""
    return {
        TOKENS: tokens,
        WINDOW: NUM_TEXT_POSITIONS,
        FRACTION: fraction,
        CROSS_FRACTION: CROSS_SHARE,
    }


def overridden_caps(
    plan: Plan,
    ledger: Ledger | None,
    planned: KvCaps,
    environment: Mapping[str, str],
    figures: Figures,
) -> tuple[KvCaps, Ledger | None]:
    """The caps with what the environment says instead, and the ledger of these.

    `<NAME>` and `LLM_<NAME>` are the LLM's, `WHISPER_<NAME>` is the first Whisper's; a further
    one's begins with its engine's name, as `variable` writes it.

    Args:
        ledger: that of `plan`, which `planned` follows from.

    Raises:
        PlanError: not a number, or the ledger or the engine breaks by it.
    """
    asked = {engine: _read(engine, environment) for engine in planned}
    if not any(asked.values()):
        return planned, ledger
    caps = {engine: {**planned[engine], **asked[engine]} for engine in planned}
    _verify_windows(plan, caps)
    if ledger is None:
        return caps, None
    whisper_kv = {engine: int(caps[engine][TOKENS]) for engine in _whispers(plan)}
    changed = _ledger_of_caps(plan, caps, whisper_kv, figures)
    _verify_fits(changed, asked)
    return _with_fractions(caps, asked, _load_turns(plan, changed, whisper_kv)), changed


def variable(engine: str, name: str) -> str:
    """The variable that replaces a cap of `engine`: capitals, and `_` for what is no letter."""
    return re.sub(r"[^A-Z0-9]", "_", f"{engine.upper()}_{name}")


def _read(engine: str, environment: Mapping[str, str]) -> dict[str, int | float]:
    values: dict[str, int | float] = {}
    for name in NAMES:
        keys = [variable(engine, name)] + ([name] if engine == "llm" else [])
        given = {key: environment[key] for key in keys if environment.get(key)}
        if len(set(given.values())) > 1:
            raise PlanError(f"{' and '.join(given)} both set the LLM's knob; keep one of them")
        for key, text in given.items():
            values[name] = _number(key, text, name == FRACTION)
    return values


def _number(key: str, text: str, is_fraction: bool) -> int | float:
    wanted = "a number above 0 and below 1" if is_fraction else "a whole number above 0"
    try:
        value = float(text) if is_fraction else int(text)
    except ValueError:
        raise PlanError(f"{key} is `{text}`, must be {wanted}") from None
    if not 0 < value < (1 if is_fraction else math.inf):
        raise PlanError(f"{key} is `{text}`, must be {wanted}")
    return value


def _verify_windows(plan: Plan, caps: KvCaps) -> None:
    """Check the windows against the engines, and that a whole sequence fits its pool."""
    for engine in _whispers(plan):
        _verify_whisper(engine, caps[engine])
    llm = caps["llm"]
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


def _verify_whisper(engine: str, caps: Mapping[str, int | float]) -> None:
    if caps[WINDOW] != NUM_TEXT_POSITIONS:
        raise PlanError(
            f"{variable(engine, WINDOW)} is {caps[WINDOW]}, must be {NUM_TEXT_POSITIONS}: a prompt "
            "and a chunk's text may take all of it, and Whisper has no more positions; unset it"
        )
    if caps[TOKENS] < in_blocks(NUM_FRAMES):
        raise PlanError(
            f"{variable(engine, TOKENS)} is {caps[TOKENS]}, must be at least "
            f"{in_blocks(NUM_FRAMES)}, which is the window of the cross pool; lower "
            "speech.chunks_in_flight instead"
        )


def _ledger_of_caps(
    plan: Plan, caps: KvCaps, whisper_kv: Mapping[str, int], figures: Figures
) -> Ledger:
    """The ledger of a plan whose pools have other sizes than it states."""
    tokens = int(caps["llm"][TOKENS])
    llm = dataclasses.replace(
        plan.llm, kv_tokens=tokens, context_tokens=min(plan.llm.context_tokens, tokens)
    )
    changed = dataclasses.replace(plan, llm=llm)
    return compute_ledger(changed, figures, whisper_kv)


def _verify_fits(ledger: Ledger, asked: KvCaps) -> None:
    if ledger.fits:
        return
    names = ", ".join(variable(engine, name) for engine, values in asked.items() for name in values)
    raise PlanError(
        f"with {names} from the environment the ledger comes to "
        f"{ledger.total_bytes / GIB:.2f} GiB, at most "
        f"{ledger.vram_gib - ledger.headroom_gib:.2f} fit; lower them by "
        f"{-ledger.left_bytes / GIB:.2f} GiB, or change the plan"
    )


def _with_fractions(caps: KvCaps, asked: KvCaps, turns: Mapping[str, LoadTurn]) -> KvCaps:
    """The caps with the fractions of other pools, unless the environment states those too."""
    found = {engine: dict(values) for engine, values in caps.items()}
    for engine, turn in turns.items():
        if FRACTION not in asked[engine]:
            found[engine][FRACTION] = turn.fraction
        if found[engine][FRACTION] < turn.least:
            raise PlanError(
                f"{variable(engine, FRACTION)} is {found[engine][FRACTION]}, must be at least "
                f"{turn.least}: of what is free at its turn the engine would get fewer tokens than "
                f"{TOKENS}, {found[engine][TOKENS]}; lower that instead"
            )
    return found


@dataclass(frozen=True)
class LoadTurn:
    """The moment at which one engine sizes its pools.

    Its weights and buffers are there by then, and so is everything that loads before it.
    """

    pool_bytes: int  # both pools of the engine
    later_bytes: int  # everything that loads after it
    spare_bytes: int  # memory that nothing needs
    may_be_last: bool  # it may also load when everything else is there

    @property
    def free_bytes(self) -> int:
        return self.pool_bytes + self.later_bytes + self.spare_bytes

    @property
    def least(self) -> float:
        """The fraction below which the pool would be smaller than its cap."""
        free = self.pool_bytes + self.spare_bytes if self.may_be_last else self.free_bytes
        return _rounded_up(self.pool_bytes / free)

    @property
    def fraction(self) -> float:
        """The second limit: the pool and half of the spare memory, as a share of what is free.

        The cap is reached when the other half is gone, and an engine that ignores its cap leaves
        that half and all that comes after it. The cap goes first: if an engine may also be the last
        one, the share that it needs then may be too much of what is free earlier.
        """
        share = (self.pool_bytes + self.spare_bytes / 2) / self.free_bytes
        return min(MAX_FRACTION, max(self.least, _rounded_up(share)))


def _load_turns(plan: Plan, ledger: Ledger, whisper_kv: Mapping[str, int]) -> dict[str, LoadTurn]:
    """The load turn of each engine: engines load one at a time, and before all other models.

    The order is `topology.load_order`, and then those on demand, each when all else is there. With
    two servers the first may be started again while the other one holds its share; what is free for
    its engine is then what a last one finds.
    """
    processes = ledger.by_process()
    order = topology.load_order(plan)
    brought = {engine: ledger.engine_bytes(engine) for engine in order}
    in_turn = {whisper.engine: lines_of(plan, whisper, whisper_kv) for whisper in plan.on_demand}
    room = max(map(num_bytes, in_turn.values()), default=0)
    if whisper_process(plan) != llm_process(plan):  # a server's context comes with its first engine
        further = sum(brought[engine] for engine in order[2:]) + room
        brought["llm"] = processes[llm_process(plan)]
        brought["whisper"] = processes[whisper_process(plan)] - further
    later = sum(size for name, size in processes.items() if name in PYTHON_MODELS)
    spare = max(0, ledger.free_bytes)
    turns = {
        engine: LoadTurn(num_bytes(lines, "kv"), 0, spare + room - num_bytes(lines), False)
        for engine, lines in in_turn.items()
    }
    later += room
    for engine in reversed(order):
        again = plan.serving.topology == "two_servers" and engine == order[0]
        pools = ledger.engine_bytes(engine, "kv")  # a Whisper has two of one size
        turns[engine] = LoadTurn(pools, later, spare, again)
        later += brought[engine]
    return turns


def _rounded_up(share: float) -> float:
    return math.ceil(share * 1000) / 1000
