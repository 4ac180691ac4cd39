"""What else a plan has to change when the memory of its GPU does."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass

from build_scripts.memory.engines import in_blocks
from build_scripts.memory.ledger import Ledger, compute_ledger
from build_scripts.memory.measured import Figures
from build_scripts.plans.schema import Fit, Plan, SpeechPrecision

CONTEXT_STEP = 1024


@dataclass(frozen=True)
class Fitted:
    """A plan that was changed until it fits; if nothing fits, the plan as it was stated."""

    plan: Plan
    ledger: Ledger | None  # None without a card
    changes: tuple[str, ...] = ()  # sentences, in the order in which the changes were made

    @property
    def fits(self) -> bool:
        return self.ledger is None or self.ledger.fits


def fit_plan(plan: Plan, figures: Figures) -> Fitted:
    """Fit a plan to its own `vram_gib`. Without a card it stays as it was stated.

    What does not fit gives way: first chunks in flight, halved; then the context, in steps of 1024
    tokens; then, if the plan names lower precisions, Whisper's, and with each of them the search
    begins again from what the plan states. What has room grows: first the context, doubled, then
    chunks in flight, doubled, each as far as it fits and the plan allows it. Precision never grows.
    """
    if plan.card is None:
        return Fitted(plan, None)
    stated = Fitted(plan, compute_ledger(plan, figures))
    if plan.fit is None:
        return stated
    if stated.fits:
        return _grown(stated, plan.fit, figures)
    for smaller in _smaller(plan, plan.fit):
        ledger = compute_ledger(smaller, figures)
        if ledger.fits:
            return Fitted(smaller, ledger, _changes(plan, smaller))
    return stated


def with_chunks(plan: Plan, chunks: int) -> Plan:
    """The plan with this many chunks in flight; chunks of one request stay the same multiple."""
    speech = plan.speech
    per_request = max(1, speech.chunks_per_request * chunks // speech.chunks_in_flight)
    changed = dataclasses.replace(
        speech, chunks_in_flight=chunks, chunks_per_request=max(chunks, per_request)
    )
    return dataclasses.replace(plan, speech=changed)


def with_context(plan: Plan, tokens: int) -> Plan:
    """The plan with this context; the KV cache holds as many sequences of it as before."""
    kv_tokens = in_blocks(plan.llm.kv_tokens * tokens // plan.llm.context_tokens)
    llm = dataclasses.replace(plan.llm, context_tokens=tokens, kv_tokens=max(tokens, kv_tokens))
    return dataclasses.replace(plan, llm=llm)


def with_precision(plan: Plan, precision: SpeechPrecision) -> Plan:
    return dataclasses.replace(plan, speech=dataclasses.replace(plan.speech, precision=precision))


def _smaller(plan: Plan, fit: Fit) -> Iterator[Plan]:
    """Every plan that is tried where `plan` does not fit, in order."""
    yield from _shrinking(plan, fit)
    for precision in fit.precisions:
        if precision != plan.speech.precision:
            changed = with_precision(plan, precision)
            yield changed
            yield from _shrinking(changed, fit)


def _shrinking(plan: Plan, fit: Fit) -> Iterator[Plan]:
    """Ever smaller plans, down to what `fit` allows."""
    while plan.speech.chunks_in_flight > fit.min_chunks_in_flight:
        chunks = max(fit.min_chunks_in_flight, plan.speech.chunks_in_flight // 2)
        plan = with_chunks(plan, chunks)
        yield plan
    stated = plan
    tokens = plan.llm.context_tokens
    while tokens > fit.min_context_tokens:
        tokens = max(fit.min_context_tokens, tokens - CONTEXT_STEP)
        yield with_context(stated, tokens)


def _grown(fitted: Fitted, fit: Fit, figures: Figures) -> Fitted:
    """The context doubled as often as fits, then the chunks in flight."""
    plan, ledger = fitted.plan, fitted.ledger
    for doubled in (_doubled_context, _doubled_chunks):
        while larger := doubled(plan, fit):
            larger_ledger = compute_ledger(larger, figures)
            if not larger_ledger.fits:
                break
            plan, ledger = larger, larger_ledger
    return Fitted(plan, ledger, _changes(fitted.plan, plan))


def _doubled_context(plan: Plan, fit: Fit) -> Plan | None:
    tokens = plan.llm.context_tokens * 2
    return with_context(plan, tokens) if tokens <= fit.max_context_tokens else None


def _doubled_chunks(plan: Plan, fit: Fit) -> Plan | None:
    chunks = plan.speech.chunks_in_flight * 2
    return with_chunks(plan, chunks) if chunks <= fit.max_chunks_in_flight else None


def _changes(before: Plan, after: Plan) -> tuple[str, ...]:
    stated = [
        ("speech.chunks_in_flight", before.speech.chunks_in_flight, after.speech.chunks_in_flight),
        ("speech.chunks_per_request", before.speech.chunks_per_request,
         after.speech.chunks_per_request),
        ("llm.context_tokens", before.llm.context_tokens, after.llm.context_tokens),
        ("llm.kv_tokens", before.llm.kv_tokens, after.llm.kv_tokens),
        ("speech.precision", before.speech.precision, after.speech.precision),
    ]  # fmt: skip
    return tuple(f"{key}: {old} -> {new}" for key, old, new in stated if old != new)
