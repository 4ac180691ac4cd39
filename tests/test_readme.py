"""What the README says is so: its commands run as they stand, its paths and targets exist."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from build_scripts.server.temporary import free_ports
from tests.build_scripts.serving import needs_triton
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SHELL = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
# Blocks that start a server share one: each line of theirs runs, between one start and one stop.
START, STOP = "make serve DETACH=1\nmake wait\n", "make stop\n"
# It is what runs this test.
RECURSION = "make test\n"
# How the make that runs this test hands its own variables to the makes below it.
HANDED_DOWN = {"MAKEFLAGS", "MFLAGS", "MAKEOVERRIDES", "MAKELEVEL", "ARGS", "NAMES"}


def scripts() -> list[str]:
    """What the blocks say, as few scripts as do."""
    serving = [code for code in SHELL if code.startswith(START) and code.endswith(STOP)]
    asked = [code.removeprefix(START).removesuffix(STOP) for code in serving]
    others = [code for code in SHELL if code not in (*serving, RECURSION)]
    return [*others, "".join([START, *asked, STOP])]


@needs_triton
@pytest.mark.parametrize("code", scripts())
def test_commands_run(code):
    http, grpc, metrics = free_ports(3)
    ports = {"HTTP_PORT": http, "GRPC_PORT": grpc, "METRICS_PORT": metrics}
    environment = {
        **{name: value for name, value in os.environ.items() if name not in HANDED_DOWN},
        **{name: str(port) for name, port in ports.items()},
        "ONECARD_URL": f"127.0.0.1:{grpc}",
    }
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    if "make demo" in code:
        shown = [line for line in README.splitlines() if re.match(r" +\d+\.\d\d - ", line)]
        assert shown
        for line in shown:
            assert line.strip() in ran.stdout, f"the README shows `{line}`:\n{ran.stdout}"


def test_test_command_is_what_ci_runs():
    assert RECURSION in SHELL
    assert "make test" in (ROOT / ".ci" / "run").read_text().splitlines()


def test_targets_and_paths_exist():
    assert set(re.findall(r"make ([a-z]+)", README)) <= {*TARGETS, "python"}
    named = re.findall(r"`((?:[\w.-]+/)+[\w.*-]*)`|\]\(([\w./-]+)\)", README)
    for path in (one or other for one, other in named):
        assert list(ROOT.glob(path)), f"the README names `{path}`"
