"""A job of six mails."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.client.verdicts.jobs import Job


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job(tmp_path, num_mails=6)
