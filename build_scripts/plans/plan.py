"""A plan: what one card (or none) runs and with which numbers; the only file an operator edits."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from build_scripts import paths
from build_scripts.errors import PlanError
from build_scripts.plans.languages import MODELS
from build_scripts.plans.schema import Align, Plan
from build_scripts.plans.values import verify_known

PLANS = paths.ROOT / "plans"
SECTIONS = ("card", "speech", "align", "diarize", "llm", "chat", "triage", "serving", "fit")
_REQUIRED = ("speech", "align", "diarize", "llm", "triage")
_MAX_NUMBER = 2**63 - 1  # of TOML


def names() -> list[str]:
    return sorted(path.stem for path in PLANS.glob("*.toml") if path.is_file())


def load(name: str) -> Plan:
    """The plan `plans/<name>.toml`.

    Raises:
        PlanError: no such plan, not UTF-8 or TOML, or an unknown, missing, ill-typed or impossible
            value.
    """
    if name not in names():  # so that no name leads out of the directory
        near = difflib.get_close_matches(name.lower(), names(), n=1)
        meant = f"; `{near[0]}` is the nearest" if near else ""
        raise PlanError(f"no plan `{name}`; there are: {', '.join(names())}{meant}")
    path = PLANS / f"{name}.toml"
    where = f"{PLANS.name}/{path.name}"
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise PlanError(f"{where} is not UTF-8 ({error}); save it as that") from error
    except OSError as error:
        raise PlanError(f"{where} cannot be read ({error.strerror}); fix that") from error
    return parse(name, text, where)


def parse(name: str, text: str, where: str) -> Plan:
    """The plan that `text` states; `where` names it in errors. Raises PlanError."""
    try:
        stated = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise PlanError(f"{where} is not TOML ({error}); fix it") from error
    try:
        _verify_sections(stated)
        plan = Plan(name=name, overrides=stated.pop("models", {}), **stated)
        _verify_together(plan)
        return plan
    except PlanError as error:
        raise PlanError(f"{where}: {error}") from None


def with_vram(plan: Plan, vram_gib: float | None) -> Plan:
    """The same plan for another amount of memory; None: its own. Raises PlanError where it states
    no card."""
    if vram_gib is None:
        return plan
    if plan.card is None:
        raise PlanError(
            f"plan `{plan.name}` states no card, so no amount of VRAM either, and `{vram_gib:g}` "
            "GiB of it were asked for: leave out VRAM_GIB (--vram), or name a plan with a [card]"
        )
    return dataclasses.replace(plan, card=dataclasses.replace(plan.card, vram_gib=vram_gib))


def _verify_sections(stated: dict[str, Any]) -> None:
    """Raises PlanError for a section that is unknown or missing, and for a number beyond TOML's."""
    for key in stated:
        verify_known("the top", key, [*SECTIONS, "models"])
    missing = [key for key in _REQUIRED if key not in stated]
    if missing:
        raise PlanError(f"there is no [{missing[0]}]; a plan states every section")
    if ("card" in stated) != ("fit" in stated):
        raise PlanError("[card] and [fit] go together; without a GPU there is neither")
    for section, values in stated.items():
        for key, value in values.items() if isinstance(values, dict) else ():
            if isinstance(value, int) and abs(value) > _MAX_NUMBER:
                raise PlanError(
                    f"{section}.{key} is a number beyond 64 bits, must be a smaller one"
                )


def _verify_together(plan: Plan) -> None:
    """Compare the sections with each other, and with the models that there are."""
    llm = plan.llm
    if plan.align.device == "cuda" and plan.align.precision == "bfloat16":
        raise PlanError("align.precision is `bfloat16`, must be `float16` or `float32` on `cuda`")
    if plan.chat.max_tokens > llm.context_tokens:
        raise PlanError(
            f"chat.max_tokens is `{plan.chat.max_tokens}`, must be at most llm.context_tokens, "
            f"`{llm.context_tokens}`"
        )
    if plan.card is None and not llm.engine:
        raise PlanError("llm.engine is ``, must be stated where there is no [card]")
    if plan.card is None:
        if plan.align.languages:
            raise PlanError(
                "align.languages names what `engines` fetches for a card, must be left out without "
                "a [card]: whatever lies in engines/cpu/align/<language>/ is used there"
            )
        return
    _verify_languages(plan.align)
    if llm.engine:
        raise PlanError(f"llm.engine is `{llm.engine}`, must not be stated beside a [card]")
    if llm.quantisation == "gguf":
        raise PlanError("llm.quantisation is `gguf`, must be another one beside a [card]")
    if not llm.architecture.strip():
        raise PlanError(
            f"llm.architecture is `{llm.architecture}`, must be stated beside a [card]: a name in "
            "build_scripts/memory/shapes.py"
        )


def _verify_languages(align: Align) -> None:
    for key, found in (("preload", align.preload), ("languages", align.languages)):
        for one in found:
            if one not in MODELS:
                raise PlanError(
                    f"align.{key} names `{one}`, must be languages that there are models for: "
                    + ", ".join(sorted(MODELS))
                )
