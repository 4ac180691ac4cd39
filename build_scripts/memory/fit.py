"""One dial: what else a plan has to change when its card's memory does."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from build_scripts import arguments
from build_scripts.errors import PlanError
from build_scripts.memory.engines import in_blocks
from build_scripts.memory.ledger import ledger
from build_scripts.plans import plan as plans
from build_scripts.plans.schema import Fit, Plan, SpeechPrecision

CONTEXT_STEP = 1024


@dataclass(frozen=True)
class Refit:
    """`plan`: what fits, or where nothing does the least that was tried. `changes`: in the order
    in which they were made, each a sentence; empty where the plan is as it was stated."""

    plan: Plan
    changes: tuple[str, ...]
    fits: bool


def refit(plan: Plan) -> Refit:
    """The plan for its own `vram_gib`. Without a card it is as it was stated.

    What does not fit gives way: first chunks in flight, halved; then the context, in steps of 1024
    tokens; then, if the plan names lower precisions, Whisper's, and with each of them the search
    begins anew from what the plan states. What has room grows: first the context, doubled, then
    chunks in flight, doubled, each as far as it fits and the plan allows it. Precision never grows.
    """
    if plan.card is None or plan.fit is None:
        return Refit(plan, (), True)
    if _fits(plan):
        return _described(plan, _grown(plan, plan.fit), True)
    last = plan
    for precision in (plan.speech.precision, *plan.fit.precisions):
        for last in _shrinking(with_precision(plan, precision), plan.fit):
            if _fits(last):
                return _described(plan, last, True)
    return _described(plan, last, False)


def load(
    name: str, say: Callable[[str], None] = lambda line: None, vram_gib: float | None = None
) -> Plan:
    """The plan `plans/<name>.toml` for its own `vram_gib`, or for the one that the dial is turned
    to; what that changed is said.

    Raises PlanError where it cannot be read, or where nothing fits.
    """
    found = refit(plans.with_vram(plans.load(name), vram_gib))
    turned = arguments.shown(vram_gib)
    if not found.fits:
        raise PlanError(
            f"plan `{name}` does not fit {f'{vram_gib:g} GiB' if turned else 'its card'}: "
            f"`make plan PLAN={name}{turned}` prints where every byte goes and what would make it "
            "fit"
        )
    for change in found.changes:
        say(f"plan {name}, to fit {turned.strip() or 'card.vram_gib'}: {change}")
    return found.plan


def with_chunks(plan: Plan, chunks: int) -> Plan:
    """With so many chunks in flight; those of one request stay the same multiple of them."""
    speech = plan.speech
    per_request = max(1, speech.chunks_per_request * chunks // speech.chunks_in_flight)
    changed = dataclasses.replace(
        speech, chunks_in_flight=chunks, chunks_per_request=max(chunks, per_request)
    )
    return dataclasses.replace(plan, speech=changed)


def with_context(plan: Plan, tokens: int) -> Plan:
    """With such a context; the KV cache holds as many sequences of it as before."""
    kv_tokens = in_blocks(plan.llm.kv_tokens * tokens // plan.llm.context_tokens)
    llm = dataclasses.replace(plan.llm, context_tokens=tokens, kv_tokens=max(tokens, kv_tokens))
    return dataclasses.replace(plan, llm=llm)


def with_precision(plan: Plan, precision: SpeechPrecision) -> Plan:
    return dataclasses.replace(plan, speech=dataclasses.replace(plan.speech, precision=precision))


def _fits(plan: Plan) -> bool:
    return ledger(plan).fits


def _shrinking(plan: Plan, fit: Fit) -> Iterator[Plan]:
    """The plan, then with ever less, down to what `fit` allows."""
    yield plan
    while plan.speech.chunks_in_flight > fit.min_chunks_in_flight:
        chunks = max(fit.min_chunks_in_flight, plan.speech.chunks_in_flight // 2)
        plan = with_chunks(plan, chunks)
        yield plan
    stated = plan
    tokens = plan.llm.context_tokens
    while tokens > fit.min_context_tokens:
        tokens = max(fit.min_context_tokens, tokens - CONTEXT_STEP)
        yield with_context(stated, tokens)


def _grown(plan: Plan, fit: Fit) -> Plan:
    while plan.llm.context_tokens * 2 <= fit.max_context_tokens:
        larger = with_context(plan, plan.llm.context_tokens * 2)
        if not _fits(larger):
            break
        plan = larger
    while plan.speech.chunks_in_flight * 2 <= fit.max_chunks_in_flight:
        larger = with_chunks(plan, plan.speech.chunks_in_flight * 2)
        if not _fits(larger):
            break
        plan = larger
    return plan


def _described(before: Plan, after: Plan, fits: bool) -> Refit:
    stated = [
        ("speech.chunks_in_flight", before.speech.chunks_in_flight, after.speech.chunks_in_flight),
        ("speech.chunks_per_request", before.speech.chunks_per_request,
         after.speech.chunks_per_request),
        ("llm.context_tokens", before.llm.context_tokens, after.llm.context_tokens),
        ("llm.kv_tokens", before.llm.kv_tokens, after.llm.kv_tokens),
        ("speech.precision", before.speech.precision, after.speech.precision),
    ]  # fmt: skip
    changes = tuple(f"{key}: {old} -> {new}" for key, old, new in stated if old != new)
    return Refit(after, changes, fits)
