"""The verb check: linter, formatter, type checker, generated files; changes nothing."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from build_scripts import paths
from build_scripts.console import say
from build_scripts.errors import BuildError

TYPED = (
    "onecard",
    "client/onecard_formats",
    "client/onecard_client",
    "gateway/onecard_gateway",
    "build_scripts",
    "backends/tensorrtllm/tensorrtllm_cpu",
    "bench",
    "evaluation",
    "tests",
)
# Every one of these is called model.py, so each is looked at by itself.
MODELS = ("backends/*/model.py", "model_repository/*/1/model.py")


def main(arguments: Sequence[str]) -> None:
    """Run every check, then raise BuildError that names those that failed."""
    failed = [name for name, command in checks() if not _passes(name, command)]
    if failed:
        raise BuildError(f"failed: {', '.join(failed)}; `make fmt` mends what can be mended")
    say("check: everything passed")


def checks() -> list[tuple[str, list[str]]]:
    """Name and command of every check, in the order in which they run."""
    python = str(paths.PYTHON)
    typed = [name for name in TYPED if (paths.ROOT / name).is_dir()]
    found = [
        ("ruff check", [python, "-m", "ruff", "check", "."]),
        ("ruff format", [python, "-m", "ruff", "format", "--check", "."]),
        ("mypy", [python, "-m", "mypy", *typed]),
    ]
    for path in models():
        name = str(path.relative_to(paths.ROOT))
        found.append((f"mypy {name}", [python, "-m", "mypy", name]))
    # It is told where packages lie that are not at the top, as mypy is by its settings.
    where = "PYTHONPATH=client:gateway:backends/tensorrtllm"
    imports = [str(paths.VENV / "bin" / "lint-imports"), "--no-logo", "--no-cache"]
    found.append(("imports", ["env", where, *imports]))
    found.append(("repository", [python, "-m", "build_scripts", "repository", "--check"]))
    found.append(("plan schema", [python, "-m", "build_scripts.plans.reference", "--check"]))
    found.append(("dashboards", [python, "-m", "build_scripts.dashboards.files", "--check"]))
    return found


def models() -> list[Path]:
    """Every model.py that Triton loads."""
    return sorted(path for pattern in MODELS for path in paths.ROOT.glob(pattern))


def _passes(name: str, command: Sequence[str]) -> bool:
    ran = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)
    say(f"{'ok    ' if ran.returncode == 0 else 'FAILED'} {name}")
    if ran.returncode != 0:
        say((ran.stdout + ran.stderr).rstrip())
    return ran.returncode == 0
