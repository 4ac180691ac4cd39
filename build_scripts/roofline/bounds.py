"""The roofline of a plan: how fast each step can be at most on its card, and what limits it.

Source of the model: Williams, Waterman, Patterson, "Roofline: An Insightful Visual Performance
Model for Multicore Architectures", Communications of the ACM 52(4), 2009.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from build_scripts.memory import shapes as architectures
from build_scripts.memory.ledger import triage_tokens
from build_scripts.memory.shapes import HALF, Wav2Vec2Shape
from build_scripts.plans.schema import Plan
from build_scripts.roofline import peaks, work
from build_scripts.roofline.peaks import Peak
from build_scripts.roofline.work import TEXT_TOKENS, Work
from onecard.contract.whisper import CHUNK_S

CHAT_TOKENS = 1024  # of a short conversation

Bound = Literal["compute", "memory"]


@dataclass(frozen=True)
class Line:
    """One step, and the least time that it can take."""

    part: str
    name: str
    operations: float
    bytes: float
    seconds: float  # at least
    bound: Bound
    amount: float  # what the step yields, in `unit`
    unit: str
    stage: bool = False  # it is all that one part of the speech pipeline does

    @property
    def intensity(self) -> float:
        """Operations for each byte."""
        return self.operations / self.bytes

    @property
    def rate(self) -> float:
        """The most of `unit` in a second."""
        return self.amount / self.seconds


def compute_seconds(step: Work, peak: Peak) -> float:
    """Seconds that the tensor cores need at their peak."""
    return (
        step.flops / peak.flops
        + step.half_flops / peak.half_flops
        + step.tf32_flops / peak.tf32_flops
    )


def seconds(step: Work, peak: Peak) -> float:
    """The longer of the tensor cores' and the memory's time; both may step at once."""
    return max(compute_seconds(step, peak), step.bytes / peak.bandwidth)


def line(
    part: str, name: str, works: Sequence[Work], peak: Peak, amount: float, unit: str,
    stage: bool = False,
) -> Line:  # fmt: skip
    """The line of steps step after another, bound by what takes most of their time."""
    total = sum(seconds(step, peak) for step in works)
    computing = sum(
        seconds(step, peak)
        for step in works
        if compute_seconds(step, peak) >= step.bytes / peak.bandwidth
    )
    return Line(
        part, name, sum(step.operations for step in works), sum(step.bytes for step in works),
        total, "compute" if computing >= total / 2 else "memory", amount, unit, stage,
    )  # fmt: skip


def bounds(plan: Plan) -> list[Line]:
    """Every line of a plan with a card.

    Raises:
        PlanError: it states no card, step without known peaks, or weights without a fixed size.
    """
    peak = peaks.peak(plan)
    return [*_llm(plan, peak), *_whisper(plan, peak), *_after_whisper(plan, peak)]


def _llm(plan: Plan, peak: Peak) -> list[Line]:
    shape, how = architectures.llm(plan.llm.architecture), plan.llm.quantisation
    step, output = plan.llm.max_num_tokens, triage_output(plan)
    prompt = triage_tokens(plan) - output
    filled = work.prefill(shape, how, prompt, step)
    lines = [
        line("llm", f"prompt, {step:,} tokens in a step",
             [work.prefill(shape, how, step, step)], peak, step, "tokens/s"),
        line("llm", f"first token of a full triage call, {prompt:,} tokens",
             [filled], peak, 1, "calls/s"),
    ]  # fmt: skip
    for together, context in in_flight(plan):
        name = f"decoding, {together} x {context:,} tokens of context"
        steps = [work.decode(shape, how, context, together)]
        lines.append(line("llm", name, steps, peak, together, "tokens/s"))
    written = work.decode(shape, how, prompt + output / 2, steps=output)
    name = f"a full triage call, {plan.triage.mails_per_call} mails, {output:,} tokens written"
    mails = plan.triage.mails_per_call
    return [*lines, line("llm", name, [filled, written], peak, mails, "mails/s")]


def triage_output(plan: Plan) -> int:
    """Tokens that a full call writes at most."""
    return plan.triage.mails_per_call * plan.triage.max_tokens_per_mail


def in_flight(plan: Plan) -> list[tuple[int, int]]:
    """Pairs of sequences together and the context of each: a short chat, then a full cache."""
    cases, together = [(1, min(CHAT_TOKENS, plan.llm.context_tokens))], 1
    while together <= plan.llm.sequences_in_flight:
        cases.append((together, min(plan.llm.context_tokens, plan.llm.kv_tokens // together)))
        together *= 2
    return list(dict.fromkeys(cases))


def _whisper(plan: Plan, peak: Peak) -> list[Line]:
    shape, how = architectures.whisper(plan.speech.model), plan.speech.precision
    chunks, beams = plan.speech.chunks_in_flight, plan.speech.beam_width
    audio = chunks * CHUNK_S
    encoded = work.encode(shape, how, chunks)
    crossed = work.cross_attention(shape, how, chunks)
    prompted = work.transcribe_tokens(shape, how, chunks, 1)  # at least one step, of one beam
    written = work.transcribe_tokens(shape, how, chunks, beams, TEXT_TOKENS)
    name = f"{plan.speech.model}, {chunks} chunks"
    return [
        line("whisper", f"{name}: encoder", [encoded], peak, audio, "s of audio/s"),
        line("whisper", f"{name}: keys and values of the audio", [crossed], peak, audio,
             "s of audio/s"),
        line("whisper", f"{name}: a token of each, beam {beams}",
             [work.transcribe_tokens(shape, how, chunks, beams)], peak, chunks, "tokens/s"),
        line("whisper", f"{name}: all of it, {TEXT_TOKENS} tokens each",
             [encoded, crossed, prompted, written], peak, audio, "s of audio/s", stage=True),
    ]  # fmt: skip


def _after_whisper(plan: Plan, peak: Peak) -> list[Line]:
    lines = []
    if plan.align.device == "cuda" and plan.align.fetched:
        width = HALF if plan.align.precision == "float16" else 2 * HALF
        segments = plan.align.batch_size
        lines.append(
            line("align", f"wav2vec2, {segments} segments of {CHUNK_S} s",
                 [work.align(_largest(plan), width, segments)], peak, segments * CHUNK_S,
                 "s of audio/s", stage=True)
        )  # fmt: skip
    if plan.diarize.device == "cuda":
        name, embedded = (
            ("embeddings of one voice, an hour", work.embed_speakers(3600))
            if plan.diarize.pipeline == "none"
            else ("embeddings of windows, an hour", work.embed_windows(3600))
        )
        lines.append(
            line("diarize", name, [embedded], peak, 3600, "s of audio/s", stage=True)
        )  # fmt: skip
    return lines


def _largest(plan: Plan) -> Wav2Vec2Shape:
    shapes = [architectures.align(language) for language in plan.align.fetched]
    return max(shapes, key=lambda shape: shape.num_parameters)


def speech_rate(lines: Sequence[Line]) -> float:
    """Seconds of audio a second, if transcription, alignment and diarization take turns."""
    return 1 / sum(1 / one.rate for one in lines if one.stage)
