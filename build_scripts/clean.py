"""The verb clean: removes what tools and interrupted steps left; never models, samples or .venv."""

from __future__ import annotations

import shutil
from collections.abc import Sequence

from build_scripts import layout
from build_scripts.progress import say

CACHES = (".mypy_cache", ".ruff_cache", ".pytest_cache", ".hypothesis", "build", "dist")


def main(arguments: Sequence[str]) -> None:
    """Remove caches, logs and half-finished downloads of this checkout."""
    doomed = [layout.ROOT / name for name in CACHES]
    doomed += [layout.DOWNLOADS, layout.LOG, layout.ROOT / ".demo"]
    for folder in (
        "backends",
        "bench",
        "build_scripts",
        "client",
        "model_repository",
        "onecard",
        "tests",
    ):
        doomed += (layout.ROOT / folder).rglob("__pycache__")
    doomed += layout.ENGINES.glob(".*.new")
    doomed += layout.SAMPLES.glob(".*.new")
    doomed += layout.TRITON.glob(".*.new")
    doomed += layout.PERF.glob(".*.new")
    found = [path for path in doomed if path.exists()]
    for path in found:
        shutil.rmtree(path)
    say(f"removed {len(found)} folders")
