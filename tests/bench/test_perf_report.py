"""What a run looks like, from figures that are written down here; what people may ask for."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from bench.perf import __main__ as perf
from bench.perf import plots, report
from bench.perf.analyzer import Load, Measured
from bench.perf.exports import Streams, Summary
from bench.perf.profiles import NAMES, PROFILES, needed
from bench.perf.report import Level, Run
from build_scripts.errors import ServerError


def measured(profile: str, concurrency: int, streams: Streams | None = None) -> Measured:
    load = Load(PROFILES[profile], concurrency)
    return Measured(load, Summary(30, 2.0 * concurrency, 500.0, 600.0, 700.0), streams)


STREAMS = Streams(40.0, 50.0, 60.0, tokens=64.0)
TIMES = {
    "chat": {"requests": 10.0, "queue_s": 0.001, "compute_s": 0.01},
    "recognize": {"requests": 10.0, "queue_s": 0.5, "compute_s": 5.0},
}
LEVELS = (
    Level("transcribe", 1, [measured("transcribe", 1)], TIMES),
    Level("mixed", 2, [measured("transcribe", 2), measured("chat", 2, STREAMS)], TIMES),
)
FACTS = {"cpu": "A Processor", "cores": 2, "memory_gib": 24, "load": 0.1, "load_after": 2.0}
RUN = Run(
    "2026-01-02 03:04 UTC", "python -m bench.perf", "perf-analyzer 2.60.0", FACTS, LEVELS,
    ["triage, 4 at once: perf_analyzer ended with status 99"], frozenset({"chat"}),
)  # fmt: skip


def test_tables_for_programs_and_a_page_for_people(tmp_path: Path) -> None:
    paths = report.write(RUN, tmp_path)
    assert [path.name for path in paths] == ["loads.csv", "models.csv", "page.md", "loads.png"]
    with paths[0].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["transcribe", "transcribe", "chat"]
    assert rows[0]["x real time"] == str(2.0 * PROFILES["transcribe"].audio_s)
    assert (rows[2]["tokens/s"], rows[2]["first p90 ms"], rows[2]["x real time"]) == (
        "256.0", "50.0", "",
    )  # fmt: skip
    with paths[1].open(encoding="utf-8", newline="") as file:
        first = next(csv.DictReader(file))
    assert first["model"] == "recognize"  # the most time first
    assert (first["queue ms"], first["compute ms"]) == ("50.0", "500.0")
    page = paths[2].read_text(encoding="utf-8")
    assert "A Processor, 2 cores" in page
    assert "| chat* |" in page
    assert "- triage, 4 at once: perf_analyzer ended with status 99" in page
    assert paths[3].read_bytes().startswith(b"\x89PNG")


def test_a_run_that_measured_nothing_still_says_why(tmp_path: Path) -> None:
    nothing = Run("now", "command", "tool", FACTS, [], ["interrupted"], frozenset())
    assert [path.name for path in report.write(nothing, tmp_path)][-1] == "page.md"
    assert "- interrupted" in (tmp_path / "page.md").read_text(encoding="utf-8")


def test_loads_beside_each_other_are_curves_of_their_own() -> None:
    assert list(plots.series(LEVELS)) == [
        "transcribe", "transcribe beside chat", "chat beside transcribe",
    ]  # fmt: skip


def test_a_server_that_counts_anew_is_noticed() -> None:
    idle = {"chat": {"requests": 3.0, "queue_s": 0.1, "compute_s": 0.2}}
    busy = {"chat": {"requests": 5.0, "queue_s": 0.2, "compute_s": 0.5}}
    found = perf.meanwhile(idle, busy)["chat"]
    assert found == pytest.approx({"requests": 2.0, "queue_s": 0.1, "compute_s": 0.3})
    assert perf.meanwhile(idle, idle) == {}
    with pytest.raises(ServerError, match="started again"):
        perf.meanwhile(busy, idle)


def test_profiles_are_prepared_once() -> None:
    assert [one.name for one in needed(["chat", "mixed"])] == ["chat", "transcribe_stream"]
    assert [one.name for one in needed(NAMES)] == list(PROFILES)


def test_arguments_have_defaults() -> None:
    found = perf.parser().parse_args([])
    assert (found.profiles, found.concurrency, found.url) == (NAMES, (1, 2, 4), None)
    found = perf.parser().parse_args(["chat", "mixed", "--concurrency", "1,8", "--length", "30"])
    assert (found.profiles, found.concurrency, found.length) == (["chat", "mixed"], (1, 8), 30.0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["speech"], "no profile `speech`; there are: transcribe_stream, transcribe, whisper"),
        (["--concurrency", "1,0"], "`1,0`, wanted numbers from 1 on"),
        (["--length", "-1"], "`-1`, wanted seconds, more than 0"),
    ],
)
def test_wrong_arguments_are_said(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        perf.parser().parse_args(arguments)
    assert said in capsys.readouterr().err


def test_help_names_every_profile() -> None:
    text = perf.parser().format_help()
    assert all(f"  {name} " in text for name in NAMES)


def test_no_server_is_said_with_the_cure() -> None:
    with pytest.raises(ServerError, match=r"no Triton answers gRPC at `127.0.0.1:9`.*make serve"):
        perf._streaming("127.0.0.1:9")
