"""Which models live in which server of a plan, and in which order they are loaded."""

from __future__ import annotations

from typing import Literal

from build_scripts.plans.schema import WHISPER, Plan

Part = Literal["all", "speech", "text"]

# The LLM first: it is the one that a fragmented card has no room for. Further Whispers come last.
LOAD_ORDER = ("llm", WHISPER)
TEXT = (
    "llm",
    "chat",
    "triage",
    "minutes",
)  # where speech and text live in two servers; the rest is speech

_WHISPER_PROCESS = {"one_process": "tritonserver", "two_servers": "tritonserver (speech)"}
_LLM_PROCESS = {"one_process": "tritonserver", "two_servers": "tritonserver (llm)"}


def load_order(plan: Plan) -> tuple[str, ...]:
    """The engines that are loaded at the start, in that order."""
    return (*LOAD_ORDER, *(whisper.engine for whisper in plan.residents[1:]))


def whisper_process(plan: Plan) -> str:
    """The process that holds the engine of every Whisper."""
    return _WHISPER_PROCESS[plan.serving.topology]


def llm_process(plan: Plan) -> str:
    """The process that holds the language model's engine."""
    return _LLM_PROCESS[plan.serving.topology]
