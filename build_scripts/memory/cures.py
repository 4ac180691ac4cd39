"""Changes that make a plan fit, cheapest first; each was tried on the ledger."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from build_scripts.memory import shapes
from build_scripts.memory.fit import CONTEXT_STEP, with_chunks, with_context, with_precision
from build_scripts.memory.ledger import Ledger, compute_ledger, triage_tokens
from build_scripts.memory.measured import Figures
from build_scripts.plans.schema import Plan

MAX_TOGETHER = 3  # changes that may be needed at once
LEAST_CONTEXT_TOKENS = 2048
# Architecture-name prefixes that `make engines` can build.
BUILT = tuple(name.removesuffix("ForCausalLM").lower() for name in shapes.ARCHITECTURES)


@dataclass(frozen=True)
class Change:
    """One value of a plan changed."""

    key: str  # of two changes of one key only one is made
    says: str
    costs: str
    loss: int  # in points: one is what nobody notices, a hundred is a feature
    plan: Plan


@dataclass(frozen=True)
class Cure:
    """Changes that together make the plan fit."""

    changes: tuple[Change, ...]
    saves_bytes: int  # by all of them

    @property
    def loss(self) -> int:
        return sum(change.loss for change in self.changes)


def cheapest(plan: Plan, ledger: Ledger, figures: Figures, num_cures: int = 2) -> list[Cure]:
    """The cures that lose the least, or fewer if fewer are known.

    A cure is up to three changes of different values. Those that add up to the least loss come
    first; one that changes more than it needs is left out, and so is one that changes the same
    values as a cheaper one, unless there are no others.

    Args:
        ledger: that of `plan`, which does not fit.
        figures: what it was computed with.
    """
    found: list[Cure] = []
    further: list[Cure] = []  # of the same values as a cheaper one
    for chosen in _sets(list(_changes(plan))):
        if any(_is_all_of(cure.changes, chosen) for cure in found):
            continue
        is_further = any(_keys(cure.changes) == _keys(chosen) for cure in found)
        if is_further and len(further) == num_cures:
            continue
        after = compute_ledger(_together(plan, chosen), figures)
        if after.fits and _is_minimal(plan, chosen, figures):
            cure = Cure(chosen, ledger.total_bytes - after.total_bytes)
            (further if is_further else found).append(cure)
        if len(found) == num_cures:
            break
    return (found + further)[:num_cures]


def _sets(changes: list[Change]) -> list[tuple[Change, ...]]:
    """All sets of changes of different values, those with the least loss first."""
    found = [
        changed
        for size in range(1, MAX_TOGETHER + 1)
        for changed in itertools.combinations(changes, size)
        if len({change.key for change in changed}) == size
    ]
    return sorted(found, key=lambda changed: sum(change.loss for change in changed))


def _is_minimal(plan: Plan, changes: tuple[Change, ...], figures: Figures) -> bool:
    """Whether every one of the changes is needed."""
    fewer = itertools.combinations(changes, len(changes) - 1)
    return not any(some and compute_ledger(_together(plan, some), figures).fits for some in fewer)


def _is_all_of(cure: tuple[Change, ...], chosen: tuple[Change, ...]) -> bool:
    """Whether `chosen` makes every change of the cheaper `cure`."""
    return {change.says for change in cure} <= {change.says for change in chosen}


def _keys(changes: tuple[Change, ...]) -> set[str]:
    return {change.key for change in changes}


def _together(plan: Plan, changes: tuple[Change, ...]) -> Plan:
    """The plan with the sections' values of every change."""
    merged: dict[str, Any] = {}
    for change in changes:
        for section in ("speech", "llm", "align", "diarize", "serving"):
            before, after = getattr(plan, section), getattr(change.plan, section)
            changed = {
                field.name: getattr(after, field.name)
                for field in dataclasses.fields(before)
                if getattr(after, field.name) != getattr(before, field.name)
            }
            if changed:
                merged[section] = dataclasses.replace(merged.get(section, before), **changed)
    return dataclasses.replace(plan, **merged)


def _changes(plan: Plan) -> Iterator[Change]:
    """Everything that is tried, with what it loses."""
    yield from _batches(plan)
    yield from _speech(plan)
    yield from _contexts(plan)
    yield from _places(plan)
    yield from _llms(plan)


def _batches(plan: Plan) -> Iterator[Change]:
    """Only speed, and little of it."""
    kept = max(1, len(plan.align.preload))
    smaller = "more and smaller forwards of "
    batches = [
        ("align", "batch_size", 1, 2, smaller + "the aligner"),
        ("diarize", "segmentation_batch_size", 1, 2, smaller + "the diarizer"),
        ("diarize", "embedding_batch_size", 1, 2, smaller + "the diarizer"),
        ("llm", "max_num_tokens", 256, 4, "long prompts are read in smaller pieces, more slowly"),
        ("align", "max_loaded", kept, 8, "a language that is not loaded is loaded when it comes"),
    ]
    for section, key, least, loss, costs in batches:
        value, step = getattr(getattr(plan, section), key), 1
        while value > least:
            value = max(least, value // 2)
            yield _set(plan, section, {key: value}, costs, loss * step)
            step += 1


def _speech(plan: Plan) -> Iterator[Change]:
    chunks, step = plan.speech.chunks_in_flight, 1
    while chunks > 1:
        chunks //= 2
        yield Change(
            "speech.chunks_in_flight",
            f"speech.chunks_in_flight = {chunks}",
            f"{chunks} instead of {plan.speech.chunks_in_flight} chunks are decoded together, so "
            "long recordings take longer",
            10 * step,
            with_chunks(plan, chunks),
        )
        step += 1
    if plan.speech.beam_width > 1:
        yield _set(plan, "speech", {"beam_width": 1}, "greedy decoding, a little less exact", 25)
    if plan.speech.precision == "float16":
        yield Change(
            "speech.precision", 'speech.precision = "int8"',
            "Whisper's weights are rounded to 8 bits", 30, with_precision(plan, "int8"),
        )  # fmt: skip
    for name in plan.speech.models:
        left = {key: value for key, value in plan.speech.models.items() if key != name}
        yield Change(
            "speech.models", f"without [speech.models.{name}]",
            f"requests cannot choose the model `{name}`", 35,
            dataclasses.replace(plan, speech=dataclasses.replace(plan.speech, models=left)),
        )  # fmt: skip
    yield from _turns(plan)
    if plan.speech.model == "large-v3":
        costs = "4 instead of 32 decoder layers: less exact, above all outside English"
        yield _set(plan, "speech", {"model": "large-v3-turbo"}, costs, 60)


def _turns(plan: Plan) -> Iterator[Change]:
    """All further Whispers on demand, which saves those that are not the largest."""
    models = plan.speech.models
    if len(models) < 2 or not plan.residents[1:]:
        return
    turns = {
        name: dataclasses.replace(further, residence="on_demand")
        for name, further in models.items()
    }
    yield Change(
        "speech.models", 'residence = "on_demand" for all of [speech.models]',
        "one of them is loaded at a time, and a request for another waits for it to be", 20,
        dataclasses.replace(plan, speech=dataclasses.replace(plan.speech, models=turns)),
    )  # fmt: skip


def _contexts(plan: Plan) -> Iterator[Change]:
    """Each step of 1024 tokens costs more than the last, and the one that triage misses much."""
    wanted = triage_tokens(plan)
    tokens, step = plan.llm.context_tokens, 1
    while tokens > LEAST_CONTEXT_TOKENS:
        tokens = max(LEAST_CONTEXT_TOKENS, tokens - CONTEXT_STEP)
        costs = f"prompt and output have {tokens} instead of {plan.llm.context_tokens} tokens"
        breaks_triage = tokens < wanted <= plan.llm.context_tokens
        if breaks_triage:
            costs += f"; a triage call of {plan.triage.mails_per_call} mails no longer fits"
        yield Change(
            "llm.context_tokens",
            f"llm.context_tokens = {tokens}",
            costs,
            15 + 3 * step + 20 * breaks_triage,
            with_context(plan, tokens),
        )
        step += 1


def _places(plan: Plan) -> Iterator[Change]:
    if plan.diarize.device == "cuda":
        yield _set(plan, "diarize", {"device": "cpu"}, "diarization takes several times longer", 40)
    if plan.align.device == "cuda":
        yield _set(plan, "align", {"device": "cpu"}, "alignment takes several times longer", 45)
    if plan.serving.topology != "one_process":
        costs = "both engines in one process: one that fails takes the other along"
        yield _set(plan, "serving", {"topology": "one_process"}, costs, 50)


def _llms(plan: Plan) -> Iterator[Change]:
    """The next smaller ones of which engines can be made, in the same quantisation: the last
    resort."""
    sizes = {name: shape.parameters.total for name, shape in shapes.LLMS.items()}
    here = sizes.get(plan.llm.architecture, 0)
    smaller = [name for name in sizes if name.startswith(BUILT) and sizes[name] < here]
    for step, name in enumerate(sorted(smaller, key=lambda name: -sizes[name]), 1):
        costs = f"a weaker LLM, of {sizes[name] / 1e9:.0f}B; llm.checkpoint has to follow"
        yield _set(plan, "llm", {"architecture": name}, costs, 70 + 10 * step)


def _set(plan: Plan, section: str, values: dict[str, Any], costs: str, loss: int) -> Change:
    changed = dataclasses.replace(getattr(plan, section), **values)
    (key, value), *_ = values.items()
    says = (
        f'{section}.{key} = "{value}"' if isinstance(value, str) else f"{section}.{key} = {value}"
    )
    after: Plan = dataclasses.replace(plan, **{section: changed})
    return Change(f"{section}.{key}", says, costs, loss, after)
