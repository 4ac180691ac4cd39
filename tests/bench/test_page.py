"""The table of targets, the page and the plots made from results that are written down here."""

from __future__ import annotations

import importlib.util

import pytest

from bench import page, plots
from bench.interleave import once
from bench.targets import BENCHMARKS, TARGETS

MACHINE = {
    "cpu": "A Processor",
    "cores": 2,
    "memory_gib": 23,
    "load": 0.4,
    "load_after": 1.9,
    "system": "Linux",
    "python": "3.11.7",
    "packages": {"torch": "2.13.0", "whisperx": "not installed"},
}
PNG = b"\x89PNG\r\n\x1a\n"
RATIO = {"median": 0.981, "low": 0.95, "high": 1.013, "rounds": 5}
PRECISIONS = {"onecard": {"alignment": "bfloat16"}, "whisperx": {"alignment": "float32"}}
STAGES = {"decode_audio": {"queue_s": 0.0, "compute_s": 0.1}}
RESULTS = {
    "date": "2026-01-02T03:04:05",
    "quick": False,
    "machine": MACHINE,
    "whisper_speed": {"ratio": RATIO},
    "chat_speed": {"error": "ServerError: the port is taken"},
    "align_speed": {"precisions": PRECISIONS},
    "minutes_quality": {"said": ["nothing was spoken"]},
    "speech_beside_text": {"speech_ratio": {**RATIO, "median": 1.2}, "triage_finished": once(1.0)},
    "start": {"ready_s": once(12.5), "skipped": {"whisperx_ratio": "it is not installed"}},
    "stages": {"30 s": {"wall_s": once(3.0), "stages": STAGES}},
    "memory": {
        "idle_mib": 100.0,
        "runs": [{"minutes": 5}],
        "series": {"time_s": [0, 1], "own_mib": [90, 95], "shared_mib": [10, 20]},
        "growth_ratio": once(2.5),
    },
}


@pytest.fixture(scope="module")
def rows():
    """Cells of the table's lines, by what they are about."""
    lines = [line for line in page.markdown(RESULTS).splitlines() if line.startswith("| P")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert len(cells) == sum(target.benchmark in RESULTS for target in TARGETS) < len(TARGETS)
    return {row[1]: row for row in cells}


def test_every_id_has_targets_and_every_benchmark_can_be_run():
    assert {target.id for target in TARGETS} == {f"P{number}" for number in range(1, 11)}
    for name in BENCHMARKS:
        assert importlib.util.find_spec(f"bench.measures.{name}") is not None
    keys = [(target.benchmark, target.figure) for target in TARGETS]
    assert len(set(keys)) == len(keys)
    # What is not judged is said to be so: no limit is forgotten by accident.
    stated = [target.figure for target in TARGETS if target.limit is None]
    assert stated == ["ready_s", "whisperx_ratio"]


def test_a_figure_stands_beside_its_target(rows):
    row = rows["`whisper` through Triton, all chunks of a file in flight"]
    assert row[3:] == ["0.981x (0.950 to 1.013)", "at least 0.97x", "yes"]
    assert rows["30 s of speech beside a triage"][5] == "**no**"
    assert rows["peak memory over idle, longest file"][3:] == ["2.50x", "at most 3x", "yes"]
    assert rows["`serve` to ready"][3:] == ["12.5 s", "stated", ""]


def test_what_was_not_measured_says_why(rows):
    assert rows["`chat` over gRPC, 1 stream(s), tokens a second"][3] == "failed, see below"
    assert "left out: it is not installed" in rows["`serve` to the transcript of 30 s"]
    assert rows["first `chat` after ready"][3] == "not measured"


def test_the_page_names_the_machine_and_the_failure():
    text = page.markdown(RESULTS)
    assert "A Processor, 2 cores, 23 GiB of memory; load 0.4 before, 1.9 after" in text
    assert "`chat_speed` failed: ServerError: the port is taken" in text
    assert (
        "In `align_speed`, onecard computes alignment in bfloat16; whisperx computes alignment in "
        "float32."
    ) in text
    assert "`minutes_quality`: nothing was spoken." in text
    assert "quick" not in text
    assert "Do not quote it" in page.markdown({**RESULTS, "quick": True})


def test_plots_are_drawn_for_what_was_measured_and_always_the_same(tmp_path):
    first = plots.draw(RESULTS, tmp_path, "run")
    assert [path.name for path in first] == ["run-stages.png", "run-memory.png"]
    pictures = [path.read_bytes() for path in first]
    assert all(picture.startswith(PNG) and len(picture) < 100_000 for picture in pictures)
    assert [path.read_bytes() for path in plots.draw(RESULTS, tmp_path, "run")] == pictures
    odd = {**RESULTS, "stages": {"30 s": {}}}  # one that cannot be drawn loses nothing
    assert [path.name for path in plots.draw(odd, tmp_path, "odd")] == ["odd-memory.png"]
    failed = {**RESULTS, "memory": {"error": "no"}}
    assert [path.name for path in plots.draw(failed, tmp_path, "run")] == ["run-stages.png"]
