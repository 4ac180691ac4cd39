"""The README's Python runs as it stands, against the server of all."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

README = (Path(__file__).parent.parent / "README.md").read_text()
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
# What asks the gateway runs in tests/gateway/test_docs.py.
PYTHON = [code for code in BLOCKS if "localhost:8001" in code]


@pytest.mark.parametrize("code", PYTHON)
def test_python_runs(code, server, conversation, tmp_path):
    shutil.copy(conversation, tmp_path / "talk.wav")
    ran = subprocess.run(
        [sys.executable, "-c", code.replace("localhost:8001", server.grpc_url)],
        cwd=tmp_path, capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert "SPEAKER_01: " in ran.stdout
    # the email's verdict comes last: its id, a category, whether somebody has to act
    assert re.search(r"1 \w+ (True|False)$", ran.stdout.strip())
