"""Grammars and guides once more in each xgrammar that NVIDIA's engines have, each by itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from build_scripts import container
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[3]
HERE = Path(__file__).parent
LOCKS = {
    "0.1.21": ROOT / "docker" / "xgrammar.lock",
    "0.1.25": HERE / "xgrammar-0.1.25.lock",
    "0.1.32": HERE / "xgrammar-0.1.32.lock",
}
TESTS = ["tests/onecard/triage/test_grammar.py", "tests/onecard/json_schema/test_portable.py"]
KEPT = ROOT / ".triton" / "xgrammar"


def library(version: str) -> Path:
    """Where that version lies, fetched once; skips where it cannot be."""
    target = KEPT / f"{version}-cp{sys.version_info.major}{sys.version_info.minor}"
    if not (target / "xgrammar" / "__init__.py").is_file():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--upgrade"]
        command += ["--require-hashes", "--only-binary=:all:", "--target", str(target)]
        done = subprocess.run(
            [*command, "-r", str(LOCKS[version])],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        if done.returncode:
            pytest.skip(f"xgrammar {version} cannot be installed: {done.stderr.strip()[-200:]}")
    return target


@pytest.fixture(params=LOCKS)
def version(request) -> str:
    return request.param


def test_the_same_in_each_version(version, capsys):
    path = os.pathsep.join([str(library(version)), str(ROOT)])
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *TESTS],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": path, "GUIDES_VERSION": version},
        capture_output=True,
        text=True,
    )
    with capsys.disabled():
        print(*re.findall(r"xgrammar 0.*", done.stdout), sep="\n")
    assert done.returncode == 0, done.stdout[-4000:]


def test_the_version_of_the_pinned_engine_is_stated_once():
    text = LOCKS[container.RELEASES["25.10-trtllm-python-py3"].xgrammar].read_text(encoding="utf-8")
    assert f"xgrammar=={container.XGRAMMAR} " in text
    assert LOCKS[container.XGRAMMAR] == ROOT / "docker" / "xgrammar.lock"
