"""The knobs of the KV caches, by the names that the recipe gave them, for both engines.

It knows what follows from the ledger and what an environment may change; it knows nothing of
config.pbtxt (`serving`).
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping

from build_scripts import ledger
from build_scripts.architectures import AUDIO_FRAMES, TEXT_POSITIONS
from build_scripts.errors import PlanError
from build_scripts.ledger import Ledger
from build_scripts.ledger_engines import in_blocks, whisper_kv_tokens
from build_scripts.ledger_lines import GIB
from build_scripts.plan import Plan

Knobs = dict[str, dict[str, int | float]]

TOKENS = "MAX_TOKENS_IN_KV_CACHE"
WINDOW = "MAX_ATTENTION_WINDOW_SIZE"
FRACTION = "KV_CACHE_FREE_GPU_MEM_FRACTION"
CROSS_FRACTION = "CROSS_KV_CACHE_FRACTION"  # of whisper alone: the backend refuses it for the LLM
NAMES = (TOKENS, WINDOW, FRACTION)

# Both pools have the same cap and the same bytes a token.
CROSS_SHARE = 0.5
MAX_FRACTION = 0.95  # the backend wants less than 1
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
    return {
        "whisper": {
            TOKENS: whisper_kv_tokens(plan),
            WINDOW: window["whisper"],
            FRACTION: _fraction(found, _pool_bytes(found, "cross-attention KV cache") * 2),
            CROSS_FRACTION: CROSS_SHARE,
        },
        "llm": {
            TOKENS: in_blocks(plan.llm.kv_tokens),
            WINDOW: window["llm"],
            FRACTION: _fraction(found, _llm_pool_bytes(found)),
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
    changed = ledger.ledger(
        dataclasses.replace(plan, llm=llm), whisper_kv=int(found["whisper"][TOKENS])
    )
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
    pools = {
        "whisper": _pool_bytes(changed, "cross-attention KV cache") * 2,
        "llm": _llm_pool_bytes(changed),
    }
    for engine, pool in pools.items():
        if FRACTION not in turned[engine]:
            found[engine][FRACTION] = _fraction(changed, pool)
        least = _rounded_up(pool / (pool + max(0, changed.free_bytes)))
        if found[engine][FRACTION] < least:
            raise PlanError(
                f"{engine.upper()}_{FRACTION} is {found[engine][FRACTION]}, must be at least "
                f"{least}: an engine that loads last would get fewer tokens than {TOKENS}, "
                f"{found[engine][TOKENS]}; lower that instead"
            )


def _fraction(found: Ledger, pool_bytes: int) -> float:
    """The second fence: it never binds below the cap, and it bounds a cap that is not heeded.

    The backend takes this share of what is free when the rest of the engine is loaded, which
    depends on who loads last. For the last of all it is the pool itself and the card's spare
    memory; the share leaves half of that spare memory alone, and still reaches the cap when the
    other half is gone.
    """
    spare = max(0, found.free_bytes) / 2
    return min(MAX_FRACTION, _rounded_up(pool_bytes / (pool_bytes + spare)))


def _rounded_up(share: float) -> float:
    return math.ceil(share * 100) / 100


def _pool_bytes(found: Ledger, name: str) -> int:
    return next(line.bytes for line in found.lines if line.name == name)


def _llm_pool_bytes(found: Ledger) -> int:
    """The LLM's pool is the `kv` that is not one of Whisper's two equal ones."""
    pools = sum(line.bytes for line in found.lines if line.kind == "kv")
    return pools - 2 * _pool_bytes(found, "cross-attention KV cache")
