"""What `make clean` removes, and what it leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.commands import clean


def test_caches_go_from_every_folder_and_what_setup_made_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = [
        "evaluation/peers/__pycache__",
        "docker/__pycache__",
        "build/lib/__pycache__",
        ".ruff_cache",
        "engines/cpu/.llm.new",
    ]
    kept = [".venv/lib/__pycache__", "engines/cpu/llm", ".samples/conversation"]
    for folder in (*gone, *kept):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setattr(paths, "ROOT", tmp_path)
    monkeypatch.setattr(paths, "ENGINES", tmp_path / "engines" / "cpu")
    for name in ("SAMPLES", "TRITON", "PERF", "LOG", "DOWNLOADS"):
        monkeypatch.setattr(paths, name, tmp_path / f".{name.lower()}")
    clean.main([])
    assert not [folder for folder in gone if (tmp_path / folder).exists()]
    assert not [folder for folder in kept if not (tmp_path / folder).exists()]
