"""Where everything lies in a checkout; it knows paths and nothing of what is at them."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]

VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LOCK = ROOT / "requirements.lock"
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
BACKENDS = ROOT / "backends"  # ours, linked beside Triton's own
