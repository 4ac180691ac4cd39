"""Every block of docs/using/gateway.md in bash and Python, run as it is on the real server."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from onecard_gateway.settings import from_command_line

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "using" / "gateway.md"
README = ROOT / "README.md"
ADDRESS = "http://localhost:8080"
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMANDS = {"python": [sys.executable, "-c"], "bash": ["bash", "-euo", "pipefail", "-c"]}
BRACES = re.compile(r"\{\w+\}")
JOB = r"event: done\n.*-->.*country.*\"deleted\":true"
KNOWN = r"^Ada .*country"
EXPECTED = {"python": r"SPEAKER_00: .*country.*\n.*\w", "bash": r"country.*chat\.completion"}


def blocks() -> list[tuple[str, str]]:
    """Of the page all, of the README those that ask a gateway."""
    asking = [block for block in BLOCK.findall(README.read_text()) if ADDRESS in block[1]]
    assert asking
    return [*BLOCK.findall(PAGE.read_text()), *asking]


@pytest.mark.parametrize(("language", "code"), blocks())
def test_block_runs(language: str, code: str, live: Any, tmp_path: Path) -> None:
    if language == "bash" and shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    shutil.copy(ROOT / ".samples" / "jfk" / "jfk.wav", tmp_path / "talk.wav")
    is_of_readme = code in README.read_text()
    code = code.replace(ADDRESS, live.url)
    command = [*COMMANDS[language], code]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    expected = JOB if "/v1/jobs" in code else EXPECTED[language]
    expected = "country" if is_of_readme else expected
    expected = KNOWN if "known_speaker_names" in code else expected
    assert re.search(expected, done.stdout, re.DOTALL), done.stdout


def test_the_page_has_every_path(live: Any) -> None:
    with live.client() as client:
        paths = client.get("/openapi.json").json()["paths"]
    page = PAGE.read_text()
    for path in paths:
        assert re.search(rf"`(\w+ )?{re.escape(BRACES.sub('ID', path))}`", page), path


def test_the_page_has_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        from_command_line(["--help"], {})
    flags = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    page = PAGE.read_text()
    assert len(flags) == 24
    assert [flag for flag in sorted(flags) if f"`{flag}`" not in page] == []
