"""What the README says is so: its commands run as they stand, its paths and targets exist."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.build_scripts.serving import HANDED_DOWN
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
SHELL = re.findall(r"^```sh\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
TARGETS = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
# Around every block that asks a server; test_lifecycle.py runs these lines.
START, STOP = "make serve DETACH=1\nmake wait\n", "make stop\n"
# It is what runs this test.
RECURSION = "make test\n"


@pytest.mark.parametrize("code", [code for code in SHELL if code != RECURSION])
def test_commands_run(server, code):
    """On the server of all, which `make demo` finds, and the blocks without their own start."""
    urls = (server.http_url, server.grpc_url, server.metrics_url)
    http, grpc, metrics = (url.rpartition(":")[2] for url in urls)
    ports = {"HTTP_PORT": http, "GRPC_PORT": grpc, "METRICS_PORT": metrics}
    environment = {
        **{name: value for name, value in os.environ.items() if name not in HANDED_DOWN},
        **ports,
        "ONECARD_URL": server.grpc_url,
    }
    asked = code.removeprefix(START).removesuffix(STOP)
    assert "make serve" not in asked
    ran = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", asked],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=PATIENCE_S,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    if "make demo" in code:
        assert f"using the server that runs on port {http}" in ran.stdout
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
