"""What makes a step's result stale, and what does not."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from build_scripts.engines import build, builder, fingerprints
from build_scripts.engines.fingerprints import Fingerprints
from build_scripts.engines.step import Revision, Step
from build_scripts.fetch import hub
from build_scripts.plans import plan

# A record of before build_scripts had folders: the alignment model of English on a RTX 3090.
RECORDED = "695954317e27b24f5d9ae6c37797eceff9ce3dbe2d946575b227b3a4b52861a2"


def of(steps: list[Step], name: str, root: Path) -> str:
    card = plan.load("rtx3090").card
    assert card is not None
    (step,) = [step for step in steps if step.name == name]
    return Fingerprints(steps, builder.pinned(card).facts(), root).of(step)


def test_a_record_outlives_a_move_of_our_own_modules(tmp_path: Path) -> None:
    steps = build.gpu_steps(plan.load("rtx3090"))
    assert of(steps, "assemble align en", tmp_path) == RECORDED
    own = {step.argv[2] for step in build.steps(plan.load("rtx3090")) if not step.is_nvidia}
    in_this_process = {step.argv[2] for step in build.package_steps(plan.load("rtx3090"))}
    assert own - in_this_process == set(fingerprints.MODULES)  # these alone have no record


@pytest.mark.parametrize(("asked", "is_other"), [("main", True), ("e" * 40, False)])
def test_a_branch_that_was_resolved_to_another_commit_is_another_result(
    tmp_path: Path, asked: str, is_other: bool
) -> None:
    step = Step("fetch x", "fetch", ("python",), (), ("x",), revision=Revision(asked, "x"))
    before = of([step], "fetch x", tmp_path)
    fetched = hub.Fetched("someone/x", asked, "c" * 40, "MIT", {})
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / hub.RECORD).write_text(json.dumps(dataclasses.asdict(fetched)))
    assert (of([step], "fetch x", tmp_path) != before) == is_other
