"""The chart as helm renders it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.chart import CHART, tool


@pytest.fixture(scope="session")
def helm() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs helm without a cluster, a network or a home."""
    binary = tool("helm")

    def run(*arguments: Any) -> subprocess.CompletedProcess[str]:
        command = [binary, *map(str, arguments)]
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": "/nonexistent",
            "KUBECONFIG": "/nonexistent",
        }
        return subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=120
        )

    return run


@pytest.fixture(scope="session")
def rendered(helm: Callable[..., Any]) -> Callable[..., str]:
    """`rendered(values, *flags)`: the chart's objects as YAML."""

    def render(values: Path, *flags: str) -> str:
        ran = helm("template", "test", CHART, "--namespace", "speech", "-f", values, *flags)
        assert ran.returncode == 0, ran.stderr
        return str(ran.stdout)

    return render
