"""A plan: what one card (or none) runs and with which numbers; the only file an operator edits."""

from __future__ import annotations

import dataclasses
import difflib
import sys
from typing import Any, get_type_hints

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from build_scripts import paths
from build_scripts.errors import PlanError
from build_scripts.plans import values
from build_scripts.plans.languages import MODELS
from build_scripts.plans.schema import (
    Align,
    Card,
    Chat,
    Diarize,
    Fit,
    Llm,
    Plan,
    Serving,
    Speech,
    Triage,
)

PLANS = paths.ROOT / "plans"

SECTIONS: dict[str, type[Any]] = {
    "card": Card,
    "speech": Speech,
    "align": Align,
    "diarize": Diarize,
    "llm": Llm,
    "chat": Chat,
    "triage": Triage,
    "serving": Serving,
    "fit": Fit,
}
OPTIONAL = ("card", "fit", "chat", "serving")


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
        raise PlanError(f"{where} cannot be read ({error.strerror}); mend that") from error
    return parse(name, text, where)


def parse(name: str, text: str, where: str) -> Plan:
    """The plan that `text` states; `where` names it in errors. Raises PlanError."""
    try:
        found = tomllib.loads(text)
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        raise PlanError(f"{where} is not TOML ({error}); mend it") from error
    try:
        _verify_keys("the top", found, [*SECTIONS, "models"])
        missing = [key for key in SECTIONS if key not in found and key not in OPTIONAL]
        if missing:
            raise PlanError(f"there is no [{missing[0]}]; a plan states every section")
        if ("card" in found) != ("fit" in found):
            raise PlanError("[card] and [fit] go together; without a GPU there is neither")
        sections = {key: _section(key, kind, found) for key, kind in SECTIONS.items()}
        given = {key: value for key, value in sections.items() if value is not None}
        overrides = values.table("models", found) if "models" in found else {}
        read = Plan(name, overrides=overrides, **given)
        _verify_together(read)
        return read
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


def _section(name: str, kind: type[Any], found: dict[str, Any]) -> Any:
    if name not in found:
        return None
    table = values.table(name, found)
    _verify_keys(name, table, [one.name for one in dataclasses.fields(kind)])
    hints = get_type_hints(kind)
    for one in dataclasses.fields(kind):
        required = one.default is dataclasses.MISSING
        if required and one.name not in table:
            raise PlanError(f"{name}.{one.name} is missing")
    return kind(
        **{key: values.of_type(f"{name}.{key}", hints[key], value) for key, value in table.items()}
    )


def _verify_keys(where: str, found: dict[str, Any], known: list[str]) -> None:
    for key in found:
        values.verify_known(where, key, known)


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
