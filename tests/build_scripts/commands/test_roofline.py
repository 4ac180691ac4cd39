"""The roofline: sums by hand, what must not get faster, what others measured, and the page."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from build_scripts.commands import roofline
from build_scripts.errors import PlanError
from build_scripts.memory import shapes
from build_scripts.plans import plan
from build_scripts.roofline import bounds, capacity, peaks, work
from build_scripts.roofline.peaks import PEAKS, Peak
from build_scripts.roofline.work import Work

PAGE = (Path(__file__).parents[3] / "docs" / "gpu" / "capacity.md").read_text(encoding="utf-8")
LLM = shapes.llm("mistral-small-24b")
LARGE = shapes.whisper("large-v3")
WITH_CARD = [name for name in plan.names() if plan.load(name).card is not None]
ROUNDING = 1 + 1e-12
# Peaks that no plan has: NVIDIA Tesla V100 datasheet (SXM2) and V100S datasheet.
V100, V100S = Peak(900e9, 125e12, 125e12, ""), Peak(1134e9, 130e12, 130e12, "")


def test_a_decoded_token_reads_every_weight_and_the_cache() -> None:
    linear, head, norms = 11_809_587_200, 131_072 * 5120 * 2, (40 * 2 + 1) * 5120 * 2
    for context in (0, 1024, 8192):
        found = work.decode(LLM, "int4_awq", context)
        assert found.bytes == linear + head + norms + 163_840 * context
    two = work.decode(LLM, "int4_awq", 1000, sequences=2, steps=3)
    assert two.bytes == 3 * (linear + head + norms) + 6 * 163_840 * 1000


def test_a_decoded_token_multiplies_every_weight_and_every_key() -> None:
    layer = 5120 * (4096 + 2 * 1024) + 4096 * 5120 + 3 * 5120 * 32768
    found = work.decode(LLM, "int4_awq", 1000)
    assert found.flops == 2 * (40 * layer + 131_072 * 5120)
    assert found.half_flops == 40 * 2 * (2 * 32 * 128 * 1000)  # scores, and values by them


def test_a_prompt_in_pieces_reads_the_weights_for_each() -> None:
    whole, pieces = (work.prefill(LLM, "int4_awq", 3000, step) for step in (3000, 1024))
    assert whole.operations == pieces.operations
    weights = work.decode(LLM, "int4_awq", 0).bytes
    assert whole.bytes == weights + 3000 * 163_840
    assert pieces.bytes == 3 * weights + (3000 + 1024 + 2048) * 163_840
    one = work.prefill(LLM, "int4_awq", 1, 2048)
    assert one.operations == work.decode(LLM, "int4_awq", 1).operations


def test_a_tied_head_is_read_all_the_same() -> None:
    shape = dataclasses.replace(LLM, tied=True)
    assert work.decode(shape, "int4_awq", 9) == work.decode(LLM, "int4_awq", 9)


@pytest.mark.parametrize(
    ("name", "layers", "width", "mels"), [("base", 6, 512, 80), ("large-v3", 32, 1280, 128)]
)
def test_the_encoder_by_hand(name: Any, layers: int, width: int, mels: int) -> None:
    of_layer = 4 * 2 * 1500 * width**2 + 2 * 2 * 1500 * width * 4 * width  # projections, MLP
    scores = 2 * 2 * 1500 * 1500 * width
    stem = 2 * 3 * mels * width * 3000 + 2 * 3 * width * width * 1500
    for precision in ("int8", "float16"):
        found = work.encode(shapes.whisper(name), precision, 2)  # type: ignore[arg-type]
        assert found.operations == 2 * (layers * (of_layer + scores) + stem)


def test_a_token_of_whisper_by_hand() -> None:
    width, context = 1280, 4 + 85 / 2
    linear = 32 * 14 * width**2  # of 16 widths squared two are the audio's keys and values
    found = work.transcribe_tokens(LARGE, "int8", chunks=3, beams=2)
    head = 51_866 * width
    assert found.flops == 6 * 2 * (linear + head)
    assert found.half_flops == 6 * 32 * 4 * width * (1500 + context)
    other = LARGE.decoder.other
    weights = linear + 32 * 11 * width * 2 + (head + other) * 2
    assert found.bytes == weights + 163_840 * (3 * 1500 + 6 * context)
    made = work.cross_attention(LARGE, "int8", 3)
    assert made.flops == 3 * 1500 * 2 * 32 * 2 * width**2


def test_alignment_counts_weights_for_each_frame_of_20_ms() -> None:
    shape = shapes.ALIGN_BASE
    found = work.align(shape, 2, 1)
    convolutions = 10 * 512 + 4 * 3 * 512**2 + 2 * 2 * 512**2
    frames, length, by_hand = 1499, 480_000, 0
    for kernel, stride, channels in (
        (10, 5, 1), *(((3, 2, 512),) * 4), *(((2, 2, 512),) * 2)
    ):  # fmt: skip
        length = (length - kernel) // stride + 1
        by_hand += 2 * length * kernel * channels * 512
    assert length == frames
    assert found.flops == by_hand + 2 * frames * (shape.num_parameters - convolutions)
    assert found.bytes == 2 * shape.num_parameters
    assert work.align(shape, 4, 1).tf32_flops == found.flops


def test_more_context_is_never_faster_and_more_together_never_slower() -> None:
    peak = PEAKS["RTX 3090"]

    def rate(context: int, together: int) -> float:
        decoded = work.decode(LLM, "int4_awq", context, together)
        return together / bounds.seconds(decoded, peak)

    for together in (1, 4, 64, 512):
        rates = [rate(context, together) for context in range(0, 40_000, 2_000)]
        assert all(b <= a * ROUNDING for a, b in itertools.pairwise(rates))
        assert rates[-1] < rates[0]
    for context in (0, 2048, 32_768):
        rates = [rate(context, together) for together in range(1, 200, 10)]
        assert all(a <= b * ROUNDING for a, b in itertools.pairwise(rates))
        assert rates[-1] > rates[0]


def test_a_better_card_is_never_slower() -> None:
    one, peak = Work(5e12, 1e12, 1e11, 3e9), PEAKS["RTX 3090"]
    for name in ("bandwidth", "flops", "half_flops"):
        better = dataclasses.replace(peak, **{name: 2 * getattr(peak, name)})
        assert bounds.seconds(one, better) <= bounds.seconds(one, peak)


def test_the_ridge_parts_memory_from_computing() -> None:
    peak = PEAKS["RTX 3090"]
    assert peak.ridge == pytest.approx(75.9, abs=0.05)
    for intensity, bound in ((peak.ridge * 0.99, "memory"), (peak.ridge * 1.01, "compute")):
        found = bounds.line("", "", [Work(flops=intensity * 1e9, bytes=1e9)], peak, 1, "")
        assert found.bound == bound


@pytest.mark.parametrize("name", WITH_CARD)
def test_every_card_of_a_plan(name: str) -> None:
    lines = bounds.bounds(plan.load(name))
    for one in lines:
        assert one.seconds > 0
        if one.name.startswith("decoding") or "a token of each" in one.name:
            assert one.bound == "memory", one
        if one.name.startswith("prompt") or one.name.endswith("encoder"):
            assert one.bound == "compute", one
    rates = [one.rate for one in lines if one.stage]
    assert len(rates) == 3
    assert bounds.speech_rate(lines) < min(rates)


def test_products_of_the_embedding_are_those_of_its_convolutions() -> None:
    """Counted on the network itself, for the frames of a window of 10 s."""
    import torch
    from pyannote.audio.models.embedding.wespeaker.resnet import ResNet34

    counted = []

    def count(convolution: torch.nn.Conv2d, _: object, output: torch.Tensor) -> None:
        counted.append(output.shape[2] * output.shape[3] * convolution.weight.numel())

    network = ResNet34(work.RESNET_MELS, 256, pooling_func="TSTP", two_emb_layer=False).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    frames = 1000
    with torch.inference_mode():
        network(torch.zeros(1, frames, work.RESNET_MELS))
    assert sum(counted) / frames == pytest.approx(work.resnet_products(), rel=0.001)


def test_a_full_triage_call_is_its_prompt_and_its_tokens() -> None:
    lines = {one.name: one for one in bounds.bounds(plan.load("rtx3090"))}
    first = lines["first token of a full triage call, 5,504 tokens"]
    call = lines["a full triage call, 10 mails, 2,000 tokens written"]
    peak = PEAKS["RTX 3090"]
    written = 2000 * bounds.seconds(work.decode(LLM, "int4_awq", 6504), peak)
    assert call.seconds == pytest.approx(first.seconds + written)


def test_what_others_measured_is_below_the_bound_and_on_the_page() -> None:
    mistral, rtx4090 = shapes.llm("mistral-7b"), PEAKS["RTX 4090"]
    windows = 7176 / (0.0209 * 10.03 * 3600)  # aishell1's test set: utterances, hours
    rows = {
        "prompt of 512 tokens": (
            8918.64, 512, rtx4090, [work.prefill(mistral, "int4_awq", 512, 512)]),
        "prompt of 2,048 tokens": (
            5690.87, 2048, rtx4090, [work.prefill(mistral, "int4_awq", 2048, 2048)]),
        "decoding at 64 tokens": (
            184.787, 1, rtx4090, [work.decode(mistral, "int4_awq", 64)]),
        "decoding at 2,048 tokens": (
            128.262, 1, rtx4090, [work.decode(mistral, "int4_awq", 2048)]),
        "windows of 30 s, 4 together": (
            windows, 4, V100, _transcription("large-v3", "float16", 4, 1, 15)),
        "seconds of audio, one window": (
            780 / 59, 30, V100S, _transcription("large-v2", "int8", 1, 5, 85)),
    }  # fmt: skip
    for name, (measured, amount, peak, works) in rows.items():
        bound = amount / sum(bounds.seconds(one, peak) for one in works)
        assert measured < bound
        row = next(line for line in PAGE.splitlines() if line.startswith("|") and name in line)
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        wanted = [roofline.short(measured), roofline.short(bound), f"{measured / bound:.0%}"]
        assert cells[-3:] == wanted, name


def _transcription(name: str, precision: Any, chunks: int, beams: int, tokens: int) -> list[Work]:
    shape = shapes.whisper(name)
    return [
        work.encode(shape, precision, chunks),
        work.cross_attention(shape, precision, chunks),
        work.transcribe_tokens(shape, precision, chunks, beams, tokens),
    ]


@pytest.mark.parametrize("load", [0.3, 0.5, 0.7, 0.9])
def test_waits_agree_with_a_queue_that_is_played_through(load: float) -> None:
    gaps = np.random.default_rng(1).exponential(1 / load, 4_000_000)
    walked = np.cumsum(1 - gaps)  # Lindley: each waits for what those before it have left
    waits = walked - np.minimum.accumulate(np.minimum(walked, 0))
    assert capacity.mean_wait(load) == pytest.approx(waits.mean(), rel=0.05)
    assert capacity.p95_wait(load) == pytest.approx(np.quantile(waits, 0.95), rel=0.2)


@pytest.mark.parametrize("load", [-0.1, 1.0, 2.0, float("nan")])
def test_a_queue_without_end_is_refused(load: float) -> None:
    with pytest.raises(ValueError, match="the load is"):
        capacity.mean_wait(load)


def test_unknown_plans_and_cards_are_refused() -> None:
    with pytest.raises(PlanError, match="no plan `rtx309`"):
        roofline.main(["--plan", "rtx309"], {})
    with pytest.raises(PlanError, match="`cpu` states no card"):
        roofline.main([], {"PLAN": "cpu"})
    known = plan.load("rtx3090")
    assert known.card is not None
    other = dataclasses.replace(known, card=dataclasses.replace(known.card, name="RTX 3060"))
    with pytest.raises(PlanError, match=r"`RTX 3060`.*known: RTX 3090"):
        peaks.peak(other)


def test_the_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert roofline.main(["--json"], {}) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["plan"] == "rtx3090"
    assert found["card"]["ridge"] == 75.85
    assert {one["basis"] for one in found["lines"]} == {"computed"}
    chat = next(one for one in found["lines"] if one["name"].startswith("decoding, 1 x 1,024"))
    assert chat["rate"] == pytest.approx(936e9 / chat["bytes"])
    assert found["users"] > 0


def test_the_page_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    roofline.main(["--plan", "rtx3090"], {})
    shown = re.search(r"```\n(plan rtx3090: .*?)```", PAGE, re.DOTALL)
    assert shown is not None
    assert shown.group(1) == capsys.readouterr().out
    held = capacity.holdings(plan.load("rtx3090"), bounds.bounds(plan.load("rtx3090")))
    audio, mails, answers = (f"{one.most:,.0f}" for one in held)
    assert f"`audio minutes / {audio} + mails / {mails} + answers / {answers} <= 1`" in PAGE
    assert f"About {capacity.users(held)} users" in PAGE


def test_the_page_has_the_table_of_cards() -> None:
    for name, peak in PEAKS.items():
        figures = (peak.bandwidth / 1e9, peak.flops / 1e12, peak.half_flops / 1e12)
        assert f"| {name} | " + " | ".join(f"{one:g}" for one in figures) + " |" in PAGE
