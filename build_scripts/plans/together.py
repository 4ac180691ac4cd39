"""What one section of a plan says against another, and against the models that there are.

It knows a plan whose sections are each as they should be.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from build_scripts.errors import PlanError
from build_scripts.plans.languages import MODELS

if TYPE_CHECKING:
    from build_scripts.plans.plan import Align, Plan


def verify(plan: Plan) -> None:
    """Raises PlanError."""
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
