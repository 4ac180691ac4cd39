"""What runs before setup runs in an interpreter without any package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from build_scripts import bootstrap, paths

BEFORE_SETUP = (
    "build_scripts.__main__",
    "build_scripts.commands.clean",
    "build_scripts.commands.demo",
    "build_scripts.commands.setup",
)
BOOTSTRAP = [
    f"build_scripts.bootstrap.{path.stem}" for path in Path(bootstrap.__path__[0]).glob("[!_]*.py")
]


@pytest.mark.parametrize("module", sorted([*BEFORE_SETUP, *BOOTSTRAP]))
def test_what_runs_before_setup_needs_no_package(module: str) -> None:
    # Python 3.10 has no TOML reader of its own.
    code = f"import sys; sys.modules['tomllib'] = None; import {module}"
    ran = subprocess.run(
        [sys.executable, "-S", "-c", code],
        cwd=paths.ROOT,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr


def test_measure_says_which_package_it_lacks_where_there_is_no_environment(tmp_path: Path) -> None:
    for name in ("build_scripts", "onecard"):
        (tmp_path / name).symlink_to(paths.ROOT / name)
    ran = subprocess.run(
        [sys.executable, "-S", "-m", "build_scripts", "measure"],
        cwd=tmp_path,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1
    assert f"measure: `{sys.executable}` has no `pydantic`" in ran.stderr
    assert f"`{sys.executable} -m pip install pydantic`" in ran.stderr
