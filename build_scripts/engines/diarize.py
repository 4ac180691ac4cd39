"""pyannote's own pipeline: fetched where its terms were accepted, and done without where not.

Nothing waits for it: without it `diarize` takes the network that comes in a package, and says so in
every answer. `python -m build_scripts.engines.diarize FOLDER` loads what was fetched, as the model
`diarize` will.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import pickle
from collections.abc import Sequence
from pathlib import Path

from build_scripts import errors, paths
from build_scripts.engines.checkpoints import sources
from build_scripts.engines.runner import Runner
from build_scripts.engines.step import OWN_PYTHON, Say, Step, assemble, fetch, folder, scratch
from build_scripts.errors import BuildError, InstallError
from build_scripts.plans.schema import Plan
from build_scripts.plans.speaker_pipeline import INSTEAD, NAME, directory, is_wanted

LICENCE = "cc-by-4.0"
CHECKED = "checked"  # beside what was fetched, when it was loaded once


def main(arguments: Sequence[str]) -> None:
    """Load a pipeline once. Raises InstallError where it cannot be."""
    parser = argparse.ArgumentParser(prog="python -m build_scripts.engines.diarize")
    parser.add_argument("folder", type=Path)
    given = parser.parse_args(arguments)
    check(given.folder)


def check(directory: Path) -> None:
    """Leave a mark where the pipeline of `directory` loads. Raises InstallError."""
    os.environ.update(HF_HUB_OFFLINE="1", PYANNOTE_METRICS_ENABLED="0")
    from onecard.diarization import local_pipeline  # it takes seconds to import

    try:
        local_pipeline.load(directory)
    except (OSError, ValueError, KeyError, RuntimeError, pickle.UnpicklingError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InstallError(
            f"`{directory}` does not load ({said}): please report it with the output of `make "
            "report`; the plan's `diarize.pipeline` may name a directory, or be `none`"
        ) from None
    (directory / CHECKED).write_text("", encoding="utf-8")


def steps(plan: Plan) -> list[Step]:
    """Every step in order; none where the plan has another pipeline."""
    if not is_wanted(plan):
        return []
    repository = sources.DIARIZATION
    files = folder(repository)
    mark = f"{files}/{CHECKED}"
    facts = {
        "name": NAME, "precision": "float32", "backend": "torch", "licence": LICENCE,
        "origin": files,
    }  # fmt: skip
    parts = {file: f"{files}/{file}" for file in repository.files}
    argv = (OWN_PYTHON, "-m", "build_scripts.engines.diarize", files)
    assembly = assemble(NAME, directory(plan), facts, parts)
    return [
        fetch(NAME, repository),
        Step(f"check {NAME}", "check", argv, (files,), (mark,)),
        dataclasses.replace(assembly, inputs=(*assembly.inputs, mark)),
    ]


def build(plan: Plan, say: Say, root: Path = paths.ROOT) -> bool:
    """Make what is missing; False where it cannot be had, which is said once and stops nothing."""
    wanted = steps(plan)
    runner = Runner(wanted, {}, scratch(plan.name), say, root=root)
    try:
        if wanted and runner.missing():
            runner.run()
    except BuildError as error:
        say(f"{NAME}: {error}")
        say(f"{NAME}: {INSTEAD}, and every answer says so; the rest goes on")
        return False
    return True


if __name__ == "__main__":
    errors.run(main)
