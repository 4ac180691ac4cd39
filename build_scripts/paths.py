"""Where everything lies in a checkout."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
TORCH_LOCK = ROOT / "requirements-torch.lock"  # PyPI's build, and what every build needs
TORCH_CPU_LOCK = ROOT / "requirements-torch-cpu.lock"  # the build for the CPU alone
CUDA_LOCK = ROOT / "requirements-cuda.lock"  # what PyPI's build needs beside those
TOOLS_LOCK = ROOT / "requirements-tools.lock"  # what builds onecard's own metadata
PROJECT = ROOT / "pyproject.toml"

TRITON = ROOT / ".triton"
RUNTIME = TRITON / "server"  # what setup assembles
RUN = TRITON / "run"  # what a running server leaves for `wait`, `stop` and the next start
LOG = TRITON / "log"

ENGINES = ROOT / "engines" / "cpu"
SAMPLES = ROOT / ".samples"
PERF = ROOT / ".perf"  # what `make perf` loads a server with
DOWNLOADS = ROOT / ".downloads"  # emptied by the step that filled it
MODEL_REPOSITORY = ROOT / "model_repository"
MEASURED = ROOT / "docs" / "measured"  # what `measure` writes and every ledger reads
BACKENDS = ROOT / "backends"  # ours, linked beside Triton's own


def site_packages() -> Path:
    """Where the environment's packages lie."""
    (found,) = (VENV / "lib").glob("python3.*/site-packages")
    return found


def home(plan: str) -> str:
    """Where the directories lie that the server of a plan reads, relative to the checkout."""
    return f"engines/{plan}"
