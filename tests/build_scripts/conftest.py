"""A server of the test's own, with one tiny model, and a stand-in for NVIDIA's Triton."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from build_scripts import processes
from tests.build_scripts.serving import ECHO, Serving, add_model


@pytest.fixture
def nvidia(tmp_path: Path) -> Path:
    """NVIDIA's Triton, as far as it is looked at."""
    backend = tmp_path / "backends" / "tensorrtllm" / "libtriton_tensorrtllm.so"
    backend.parent.mkdir(parents=True)
    backend.touch()
    return tmp_path


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """A file that the models of this test wait for."""
    return tmp_path / "gate"


@pytest.fixture
def repository(tmp_path: Path, gate: Path) -> Path:
    add_model(tmp_path / "repository", "echo", ECHO, gate)
    return tmp_path / "repository"


@pytest.fixture
def serving(repository: Path, installed_triton: None) -> Iterator[Serving]:
    one = Serving(repository)
    yield one
    if one.process is not None and one.process.poll() is None:
        one.process.kill()
        one.process.wait()
    processes.end(processes.mentioning(one.prefix), patience_s=5)
    for region in one.regions():
        region.unlink()
