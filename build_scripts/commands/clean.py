"""The verb clean: removes what tools and interrupted steps left; never models, samples or .venv."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from build_scripts import paths
from build_scripts.console import say

CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "build", "dist")


def main(arguments: Sequence[str]) -> None:
    """Remove caches, logs and half-finished downloads of this checkout."""
    doomed = [paths.ROOT / name for name in CACHES]
    doomed += [paths.DOWNLOADS, paths.LOG, paths.ROOT / ".demo"]
    for folder in paths.ROOT.iterdir():
        if folder.is_dir() and not folder.name.startswith("."):
            doomed += folder.rglob("__pycache__")
    doomed += paths.ENGINES.glob(".*.new")
    doomed += paths.SAMPLES.glob(".*.new")
    doomed += paths.TRITON.glob(".*.new")
    doomed += paths.PERF.glob(".*.new")
    num_removed = 0
    for path in doomed:
        if path.exists():  # it may lie in one that was just removed
            shutil.rmtree(path)
            num_removed += 1
    say(f"removed {num_removed} folders")
