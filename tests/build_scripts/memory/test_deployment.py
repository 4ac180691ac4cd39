"""A deployment: computed once, whoever asks, and the same from every working directory."""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from build_scripts import arguments, container, paths
from build_scripts.commands import plan as plan_command
from build_scripts.console import MIB
from build_scripts.doctor import gpu as doctor_gpu
from build_scripts.doctor import host
from build_scripts.errors import PlanError
from build_scripts.memory import deployment, ledger, measured
from build_scripts.memory.deployment import deploy, resolve
from build_scripts.memory.ledger import Ledger
from build_scripts.memory.measured import Figure
from build_scripts.plans import plan
from build_scripts.server import served, settings
from build_scripts.server.logs import engine
from build_scripts.server.monitoring import vram
from tests.build_scripts.fake_nvml import gpu

TURNED = {"MAX_TOKENS_IN_KV_CACHE": "6144", "MAX_ATTENTION_WINDOW_SIZE": "6144"}
MEASURED = {
    "gpu": "NVIDIA GeForce RTX 3090",
    "driver": "575.57.08",
    "date": "2026-01-01",
    "figures": {"cuda_context": {"bytes": 300 * MIB, "how": "made up"}},
}


class Counted:
    """How many ledgers were computed, and how often measured figures were read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ledgers: list[Ledger] = []
        self.num_reads = 0
        read = measured.read_figures

        def make(*fields: Any) -> Ledger:
            self.ledgers.append(Ledger(*fields))
            return self.ledgers[-1]

        def reading(*given: Any) -> Mapping[str, Figure]:
            self.num_reads += 1
            return read(*given)

        monkeypatch.setattr(ledger, "Ledger", make)
        monkeypatch.setattr(deployment, "read_figures", reading)

    def verify(self, environment: Mapping[str, str]) -> None:
        """Nothing was computed or read beyond what one `resolve` does, and nothing twice."""
        ledgers, num_reads = [*self.ledgers], self.num_reads
        self.ledgers.clear()
        resolve("rtx3090", environment=environment)
        assert num_reads == 1
        assert len(ledgers) == len(self.ledgers)
        assert len({found.lines for found in ledgers}) == len(ledgers)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


@pytest.mark.parametrize("environment", [{}, TURNED], ids=["as stated", "other pools"])
def test_make_plan_computes_the_ledger_once(counted: Counted, environment: dict[str, str]) -> None:
    assert plan_command.main(["--plan", "rtx3090"], environment) == 0
    counted.verify(environment)


@pytest.mark.parametrize("environment", [{}, TURNED], ids=["as stated", "other pools"])
def test_all_that_serve_asks_about_a_plan_takes_one_ledger(
    counted: Counted,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    environment: dict[str, str],
) -> None:
    monkeypatch.setattr(container, "runtime", lambda *_: "nvidia")
    monkeypatch.setattr(paths, "RUN", tmp_path)
    parser = argparse.ArgumentParser()
    settings.add_arguments(parser)
    server = settings.from_arguments(parser.parse_args(["--plan", "rtx3090"]), {})
    found = served.read(server, print, environment)
    watch = vram.watch(found.deployment, found.launch, print, lambda: [gpu(free_gib=23.5)])
    watch.before()
    assert engine.watch_log(found) is not None
    served.repository_of(server, found, print)
    counted.verify(environment)


def test_doctor_computes_the_ledger_once(counted: Counted) -> None:
    found = resolve("rtx3090")
    list(doctor_gpu.check(found, [gpu(free_gib=23.5)], {}))
    list(host.memory(found, are_built=False))
    host.disk(found, are_built=False)
    counted.verify({})


@pytest.mark.parametrize("vram_gib", [20.0, 22.1, 23.5, 25.5, 40.0])
def test_no_plan_that_the_fit_tries_is_computed_twice(counted: Counted, vram_gib: float) -> None:
    resolve("rtx3090", vram_gib, must_fit=False)
    assert len({found.lines for found in counted.ledgers}) == len(counted.ledgers)


def test_a_plan_that_does_not_fit_is_refused_unless_it_is_asked_for() -> None:
    with pytest.raises(PlanError, match=r"does not fit 20 GiB: `make plan PLAN=rtx3090 VRAM_GIB"):
        resolve("rtx3090", 20.0)
    found = resolve("rtx3090", 20.0, {"MAX_TOKENS_IN_KV_CACHE": "odd"}, must_fit=False)
    assert not found.fits
    assert found.plan == plan.with_vram(plan.load("rtx3090"), 20.0)
    assert (found.changes, found.is_overridden) == ((), False)


def test_the_plans_own_value_in_the_environment_overrides_nothing() -> None:
    same = deploy(plan.load("rtx3090"), environment={"MAX_TOKENS_IN_KV_CACHE": "8192"})
    assert not same.is_overridden
    other = deploy(plan.load("rtx3090"), environment=TURNED)
    assert "llm: MAX_TOKENS_IN_KV_CACHE is 6144 instead of 8192" in other.cap_changes


def test_without_a_card_there_is_no_ledger_and_a_cap_may_be_new() -> None:
    found = resolve("cpu", environment={"KV_CACHE_FREE_GPU_MEM_FRACTION": "0.5"})
    assert found.ledger is None
    assert found.fits
    assert found.cap_changes == ("llm: KV_CACHE_FREE_GPU_MEM_FRACTION is 0.5 instead of none",)


def test_the_ledger_does_not_depend_on_the_working_directory(tmp_path: Path) -> None:
    """Nor on where the checkout is: plans and measured figures are found beside the code."""
    checkout = tmp_path / "checkout"
    for part in ("build_scripts", "docker", "onecard", "plans"):
        shutil.copytree(paths.ROOT / part, checkout / part, ignore=shutil.ignore_patterns("*.pyc"))
    (checkout / ".venv").symlink_to(paths.VENV)
    (checkout / "docs/measured").mkdir(parents=True)
    (checkout / "docs/measured/rtx3090.json").write_text(json.dumps(MEASURED), encoding="utf-8")

    def asked(directory: Path) -> dict[str, Any]:
        ran = subprocess.run(
            [sys.executable, "-m", "build_scripts", "plan", "--plan", "rtx3090", "--json"],
            cwd=directory, env={"PYTHONPATH": str(checkout), "PATH": "/usr/bin:/bin"},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        found: dict[str, Any] = json.loads(ran.stdout)
        return found

    here, elsewhere = asked(checkout), asked(tmp_path)
    assert here == elsewhere
    contexts = {
        line["process"]: (line["basis"], line["bytes"])
        for line in elsewhere["lines"]
        if line["name"] == "CUDA context"
    }
    assert contexts["align"] == contexts["diarize"] == ("measured", 300 * MIB)


def test_the_dial_is_in_the_words_of_whoever_asked() -> None:
    said: list[str] = []
    resolve("rtx3090", 22.1, say=said.append)
    assert f"plan rtx3090, to fit {arguments.VARIABLE}=22.1: " in said[0]
