"""The files of docker/ as the tests read them, and the linters where they are installed."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"


@pytest.fixture
def dockerfile() -> str:
    """Without comments, with continued lines joined."""
    text = (DOCKER / "Dockerfile").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return re.sub(r"\\\n\s*", "", "\n".join(lines))


@pytest.fixture
def compose() -> dict[str, Any]:
    """Merge keys resolved, variables not."""
    document = yaml.safe_load((DOCKER / "compose.yml").read_text())
    assert isinstance(document, dict)
    return document


def tool(name: str) -> str:
    """The path of a linter; skips the test where it is not installed."""
    found = shutil.which(name, path=f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin")
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found
