"""The ledger: the reference's numbers, what must never lower a sum, and the doc's example."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from build_scripts.console import GIB, MIB
from build_scripts.errors import PlanError
from build_scripts.memory import ledger, shapes
from build_scripts.memory.ledger import compute_ledger
from build_scripts.memory.measured import Figure, read_figures
from build_scripts.plans import plan
from build_scripts.plans.languages import MODELS
from build_scripts.plans.schema import Plan
from build_scripts.roofline import bounds
from tests.build_scripts.memory import ollama

DOC = Path("docs/gpu/plans.md")
CARDS = [name for name in plan.names() if plan.load(name).card is not None]


def reference() -> Plan:
    return plan.load("rtx3090")


def changed(found: Plan, section: str, **values: Any) -> Plan:
    part = dataclasses.replace(getattr(found, section), **values)
    return dataclasses.replace(found, **{section: part})


def total(found: Plan) -> int:
    return compute_ledger(found, {}).total_bytes


def line_bytes(found: Plan, owner: str, kind: str) -> int:
    """`owner`: an engine, or a process without one."""
    lines = compute_ledger(found, {}).lines
    return sum(
        line.bytes for line in lines if (line.engine or line.process, line.kind) == (owner, kind)
    )


def test_the_reference_card_holds_everything_with_two_gib_to_spare() -> None:
    found = compute_ledger(reference(), {})
    assert found.fits
    assert found.total_bytes <= 22 * GIB
    assert found.free_bytes >= 2 * GIB
    assert set(found.by_process()) == {"driver", "tritonserver", "align", "diarize"}
    assert set(found.by_owner()) == {
        "driver", "tritonserver", "tritonserver, llm", "tritonserver, whisper", "align", "diarize",
    }  # fmt: skip
    assert sum(found.by_owner().values()) == found.total_bytes
    assert reference().speech.model == "large-v3"


def test_the_llms_kv_cache_at_8192_tokens_is_exactly_1_25_gib() -> None:
    assert reference().llm.kv_tokens == 8192
    assert line_bytes(reference(), "llm", "kv") == 1.25 * GIB


@pytest.mark.parametrize("name", CARDS)
def test_every_plan_fits_its_card_and_holds_a_triage_call(name: str) -> None:
    found = plan.load(name)
    assert compute_ledger(found, {}).fits
    assert ledger.triage_warnings(found) == []


@pytest.mark.parametrize("name", CARDS)
def test_every_plan_leaves_room_beside_the_upper_end_of_an_engines_context(name: str) -> None:
    found = compute_ledger(plan.load(name), {})
    contexts = [
        line.bytes
        for line in found.lines
        if line.name == "CUDA context" and line.process.startswith("tritonserver")
    ]
    assert contexts == [590 * MIB]
    assert found.left_bytes >= 0.3 * GIB


@pytest.mark.parametrize("name", CARDS)
def test_no_plan_has_room_for_languages_that_are_not_fetched(name: str) -> None:
    align = plan.load(name).align
    assert align.max_loaded <= len(align.fetched)


def test_the_languages_that_are_fetched_are_counted_by_the_largest_that_fit_together() -> None:
    base, large, huge = (shape.num_parameters * 2 for shape in (
        shapes.ALIGN_BASE, shapes.ALIGN_LARGE, shapes.ALIGN_1B
    ))  # fmt: skip

    def weights(languages: tuple[str, ...], max_loaded: int) -> int:
        given = {"preload": ("en",), "languages": languages, "max_loaded": max_loaded}
        return line_bytes(changed(reference(), "align", **given), "align", "weights")

    assert weights(("de", "fr", "es", "it"), 1) == base  # beside English for nothing
    assert weights(("de", "fr", "es", "it"), 2) == 2 * base
    assert weights(("de", "nl"), 1) == large  # English gives way to it
    assert weights(("de", "nl"), 2) == large + base
    assert weights(("no", "nl", "de"), 2) == huge + large


def test_nothing_measured_is_taken_for_a_network_that_was_not() -> None:
    figures = {"align_weights": Figure(602 * MIB, "made up"),
               "align_working_set": Figure(9 * MIB, "made up", 1)}  # fmt: skip
    one = changed(reference(), "align", preload=("no",))
    found = {line.kind: line for line in compute_ledger(one, figures).lines
             if line.process == "align"}  # fmt: skip
    assert found["weights"].bytes == shapes.ALIGN_1B.num_parameters * 2
    assert found["working set"].basis == "estimated"


def test_a_place_beyond_the_fetched_languages_is_counted_as_large() -> None:
    one, two = reference(), changed(reference(), "align", max_loaded=2)
    assert line_bytes(one, "align", "weights") == 94_396_320 * 2
    assert line_bytes(two, "align", "weights") == (94_396_320 + 315_471_520) * 2
    other = changed(reference(), "align", preload=("ja",))
    assert line_bytes(other, "align", "weights") == 315_471_520 * 2


def test_a_context_too_short_for_a_triage_call_is_said() -> None:
    short = changed(reference(), "llm", context_tokens=6144, kv_tokens=8192)
    (warning,) = ledger.triage_warnings(short)
    assert "6144" in warning
    assert str(ledger.triage_tokens(short)) in warning


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    context=st.integers(1, 131072),
    more=st.integers(0, 65536),
    chunks=st.integers(1, 32),
    beams=st.integers(1, 10),
    name=st.sampled_from(CARDS),
)
def test_more_of_anything_never_lowers_the_sum(
    context: int, more: int, chunks: int, beams: int, name: str
) -> None:
    found = plan.load(name)
    small = changed(found, "llm", context_tokens=context, kv_tokens=context)
    small = changed(small, "speech", chunks_in_flight=chunks, beam_width=beams)
    longer = changed(small, "llm", context_tokens=context + more, kv_tokens=context + more)
    assert total(longer) >= total(small)
    for section, key, value in (
        ("speech", "chunks_in_flight", chunks + 1),
        ("speech", "beam_width", beams + 1),
        ("llm", "sequences_in_flight", small.llm.sequences_in_flight + 1),
        ("llm", "max_num_tokens", small.llm.max_num_tokens + 1),
        ("align", "batch_size", small.align.batch_size + 1),
        ("align", "max_loaded", small.align.max_loaded + 1),
        ("diarize", "embedding_batch_size", small.diarize.embedding_batch_size + 1),
    ):
        assert total(changed(small, section, **{key: value})) >= total(small), key


@pytest.mark.parametrize("chunks", [1, 2, 4, 8])
@pytest.mark.parametrize("beams", [1, 5])
def test_all_chunks_in_flight_find_blocks_in_both_pools(chunks: int, beams: int) -> None:
    found = changed(reference(), "speech", chunks_in_flight=chunks, beam_width=beams)
    pool = line_bytes(found, "whisper", "kv") // 2
    num_blocks = pool // (32 * 163_840)
    assert num_blocks >= chunks * 47  # 1500 tokens of cross-attention, for whatever beam
    assert num_blocks >= chunks * beams * 14  # 448 of self-attention
    assert num_blocks * 32 >= 3000  # the encoder's own window


@pytest.mark.parametrize(
    ("topology", "num_contexts", "pools"),
    [("one_process", 3, 64 * MIB), ("two_servers", 4, 128 * MIB)],
)
def test_each_process_that_touches_cuda_has_a_context(
    topology: str, num_contexts: int, pools: int
) -> None:
    found = compute_ledger(changed(reference(), "serving", topology=topology), {})
    contexts = [line for line in found.lines if line.name == "CUDA context"]
    assert len(contexts) == num_contexts
    assert len({line.process for line in contexts}) == num_contexts
    assert sum(line.bytes for line in found.lines if line.kind == "pool") == pools


def test_a_model_on_the_cpu_takes_nothing_of_the_card() -> None:
    moved = changed(changed(reference(), "align", device="cpu"), "diarize", device="cpu")
    assert not {"align", "diarize"} & set(compute_ledger(moved, {}).by_process())


def test_a_plan_without_a_card_has_no_ledger() -> None:
    with pytest.raises(PlanError, match="states no card"):
        compute_ledger(plan.load("cpu"), {})


def test_a_measured_figure_replaces_the_guess_and_is_named(tmp_path: Path) -> None:
    figures = {
        "cuda_context": {"bytes": 300 * MIB, "how": "a child process"},
        "align_working_set": {"bytes": 100 * MIB, "how": "peak, 30 s", "batch": 1},
    }
    head = {"gpu": "NVIDIA GeForce RTX 3090", "driver": "575.57", "date": "2026-01-01"}
    file = tmp_path / "rtx3090.json"
    file.write_text(json.dumps({**head, "figures": figures}), encoding="utf-8")
    card = reference().card
    assert card is not None
    found = compute_ledger(
        changed(reference(), "align", batch_size=3), read_figures(card, tmp_path)
    )
    align = {line.name: line for line in found.lines if line.process == "align"}
    assert align["CUDA context"].bytes == 300 * MIB
    assert align["working set"].bytes == 300 * MIB
    assert align["working set"].basis == "measured"
    assert "rtx3090.json, driver 575.57" in align["working set"].source
    for other in ("A10", "RTX 309", "TX 3090"):  # whole words count
        assert read_figures(dataclasses.replace(card, name=other), tmp_path) == {}
    file.write_text('{"gpu": "RTX 3090"}', encoding="utf-8")
    with pytest.raises(PlanError, match="measure again"):
        read_figures(card, tmp_path)


@pytest.mark.parametrize(
    ("pipeline", "weights", "working_set"), [("none", 12, 160), ("/models/pyannote", 30, 900)]
)
def test_a_pipeline_counts_with_the_figures_of_pipelines(
    pipeline: str, weights: int, working_set: int
) -> None:
    figures = {
        "diarize_weights": Figure(12 * MIB, "made up"),
        "diarize_working_set": Figure(160 * MIB, "made up"),
        "diarize_pipeline_weights": Figure(30 * MIB, "made up"),
        "diarize_pipeline_working_set": Figure(900 * MIB, "made up"),
    }
    found = compute_ledger(changed(reference(), "diarize", pipeline=pipeline), figures)
    sizes = {line.kind: line.bytes for line in found.lines if line.process == "diarize"}
    assert (sizes["weights"], sizes["working set"]) == (weights * MIB, working_set * MIB)


@pytest.mark.parametrize(("language", "weights"), [("en", 180), ("ja", 602)])
def test_one_aligner_counts_with_the_figure_of_its_size(language: str, weights: int) -> None:
    figures = {
        "align_weights": Figure(602 * MIB, "made up"),
        "align_weights_base": Figure(180 * MIB, "made up"),
    }
    found = compute_ledger(changed(reference(), "align", preload=(language,)), figures)
    (line,) = [one for one in found.lines if (one.process, one.kind) == ("align", "weights")]
    assert line.bytes == weights * MIB


def test_every_line_says_where_it_is_from() -> None:
    for name in CARDS:
        for line in compute_ledger(plan.load(name), {}).lines:
            assert line.source
            assert line.basis in ("computed", "sourced", "measured", "estimated")


@pytest.mark.parametrize("context", ollama.CONTEXTS)
def test_the_recipes_own_setup_lands_near_what_its_author_measured(context: int) -> None:
    assert ollama.total_bytes(context) / GIB == pytest.approx(ollama.AUTHOR_GIB[context], rel=0.1)


def test_q4_k_m_has_the_size_of_the_published_file() -> None:
    # Mistral-Small-24B-Instruct-2501-Q4_K_M.gguf: 14.33 GB
    weights, embedding = ollama.q4_k_m_bytes(shapes.llm("mistral-small-24b"))
    assert (weights + embedding) / 1e9 == pytest.approx(14.33, abs=0.01)


def test_the_activations_are_those_of_the_log_they_are_checked_against() -> None:
    # Qwen2.5-0.5B (896 wide, 4864 in the MLP, 151,936 tokens), 8192 tokens, 2048 rows: 773.51 MiB
    step = 8192 * 2 * (4864 + 896) * 2
    assert (step + 2048 * 151_936 * 2) / MIB == pytest.approx(773.51, abs=0.1)


def test_the_docs_totals_are_the_ledgers() -> None:
    text = DOC.read_text(encoding="utf-8")
    found = compute_ledger(reference(), {})
    shares = dict.fromkeys(("computed", "sourced", "estimated"), 0)
    for line in found.lines:
        shares[line.basis] += line.bytes
    said = re.search(
        r"([\d.]+) GiB of\s`rtx3090`, ([\d.]+) are computed, ([\d.]+) sourced and ([\d.]+) est",
        text,
    )
    assert said is not None
    sums = [found.total_bytes, *shares.values()]
    assert [float(one) for one in said.groups()] == [round(one / GIB, 2) for one in sums]
    for context in ollama.CONTEXTS:
        author, ours = ollama.AUTHOR_GIB[context], ollama.total_bytes(context) / GIB
        assert f"| {context} | {author} | {ours:.1f} GiB |" in text
    assert f": {ledger.triage_tokens(reference())} for ten emails" in text


def test_the_docs_costs_of_a_language_are_the_ledgers() -> None:
    text = DOC.read_text(encoding="utf-8")
    rows = dict(
        re.findall(r"^\| ([^|]+) \| \d+ million \|[^|]+\| ([\d.]+) GiB", text, re.MULTILINE)
    )
    others = f"{len(MODELS) - 8} others (`build_scripts/plans/languages.py`)"
    wanted = {"`en`": "en", "`de` `es` `fr` `it`": "de", "`vi`": "vi", "`no` `nn`": "no",
              others: "nl"}  # fmt: skip
    assert rows == {
        row: f"{shapes.align(one).num_parameters * 2 / GIB:.2f}" for row, one in wanted.items()
    }

    def left(**align: Any) -> float:
        return compute_ledger(changed(reference(), "align", **align), {}).left_bytes / GIB

    assert f"takes 0.18 GiB of the {left():.2f} that are left" in text
    assert left() - left(max_loaded=2, languages=("de",)) == pytest.approx(0.18, abs=0.005)
    assert left() - left(languages=("nl",)) == pytest.approx(0.41, abs=0.005)
    dutch = changed(reference(), "align", languages=("nl",))
    fewer = changed(dutch, "diarize", segmentation_batch_size=8, embedding_batch_size=2)
    assert f"with {compute_ledger(fewer, {}).left_bytes / GIB:.2f} to spare" in text


def examples() -> list[tuple[str, str, int]]:
    """The doc's rows: a formula, and what it says it comes to."""
    rows = re.findall(r"^\| (\S[^|]*) \| `([^`|]+)` \| ([\d,]+) \|", DOC.read_text(), re.MULTILINE)
    return [(name.strip(), formula, int(number.replace(",", ""))) for name, formula, number in rows]


def test_the_docs_example_by_hand_is_the_ledger() -> None:
    rows = {name: number for name, _, number in examples()}
    for name, formula, number in examples():
        assert re.fullmatch(r"[\d\s+*/().]+", formula), name
        assert eval(formula) == number, name  # digits and operators only, see above
    lines = compute_ledger(reference(), {}).lines
    by_hand = {(line.owner, line.name): line.bytes for line in lines}
    for name, number in rows.items():
        owner, _, what = name.partition(": ")
        assert by_hand[owner, what] == number, name
    assert len(rows) >= 8


def test_the_docs_costs_of_beams_and_chunks_are_the_ledgers_and_the_rooflines() -> None:
    text = DOC.read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| \**(\d) chunks, (?:greedy|(\d) beams)[^|]*\| ([\d.]+)[^|]*\| ([\d.]+)[^|]*\| (\d+)",
        text, re.MULTILINE,
    )  # fmt: skip
    assert len(rows) == 5
    for chunks, beams, total_gib, left_gib, rate in rows:
        of_row = {"chunks_in_flight": int(chunks), "beam_width": int(beams or 1)}
        one = changed(reference(), "speech", **of_row)
        found = compute_ledger(one, {})
        assert (total_gib, left_gib) == tuple(
            f"{size / GIB:.2f}" for size in (found.total_bytes, found.left_bytes)
        )
        assert int(rate) == round(bounds.speech_rate(bounds.bounds(one)))


def test_callers_are_told_every_byte_of_the_ledger() -> None:
    found = compute_ledger(reference(), {})
    told = json.loads(ledger.told(reference(), found))
    assert sum(part["bytes"] for part in told["parts"]) == found.total_bytes
    assert (told["plan"], told["card"], told["vram_bytes"]) == ("rtx3090", "RTX 3090", 24 * GIB)
    parts = {(part["name"], part["kind"]): part["bytes"] for part in told["parts"]}
    assert parts["llm", "kv"] == found.engine_bytes("llm", "kv")
    assert parts["whisper", "weights"] == found.engine_bytes("whisper", "weights")
    assert {name for name, _ in parts} == {*found.by_process(), "llm", "whisper"}
    assert json.loads(ledger.told(plan.load("cpu"), None)) == {"plan": "cpu"}
