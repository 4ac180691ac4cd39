"""What an environment has to have of onecard itself before it is left as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.bootstrap import venv


def test_commands_are_those_of_the_project() -> None:
    text = paths.PROJECT.read_text(encoding="utf-8")
    scripts = text.partition("\n[project.scripts]\n")[2].partition("\n[")[0]
    assert tuple(re.findall(r"^([\w-]+) = ", scripts, re.MULTILINE)) == venv.COMMANDS


@pytest.mark.parametrize("lacking", venv.COMMANDS)
def test_an_environment_from_before_a_command_is_mended(
    lacking: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = paths.ROOT.as_uri()
    (tmp_path / "bin").mkdir()
    for name in ("python", *venv.COMMANDS):
        (tmp_path / "bin" / name).write_text(f'#!/bin/sh\necho \'{{"url": "{url}"}}\'\n')
        (tmp_path / "bin" / name).chmod(0o755)
    monkeypatch.setattr(paths, "VENV", tmp_path)
    monkeypatch.setattr(paths, "PYTHON", tmp_path / "bin" / "python")
    assert venv._project_is_installed()
    (tmp_path / "bin" / lacking).unlink()
    assert not venv._project_is_installed()
