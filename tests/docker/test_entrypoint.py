"""The entrypoint and the health check, run as they stand on this machine."""

from __future__ import annotations

import http.server
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docker.conftest import DOCKER


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the entrypoint, whose interpreter is a fake that prints its arguments."""
    shutil.copytree(DOCKER, tmp_path / "docker")
    fake = tmp_path / ".venv/bin/python"
    fake.parent.mkdir(parents=True)
    fake.write_text('#!/bin/sh\necho "$PWD: $*"\n')
    fake.chmod(0o755)
    return tmp_path


def run(checkout: Path, *arguments: str, user: int | None = None) -> tuple[int, str]:
    ran = subprocess.run(
        [checkout / "docker/entrypoint", *arguments],
        cwd="/", capture_output=True, text=True, user=user,
    )  # fmt: skip
    return ran.returncode, (ran.stdout + ran.stderr).strip()


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ((), "serve"),
        (("serve", "--plan", "cpu"), "serve --plan cpu"),
        (("plan", "--plan", "rtx3090", "--json"), "plan --plan rtx3090 --json"),
        (("doctor",), "doctor"),
        (("wait",), "wait"),  # a builtin of the shell, but a verb here
    ],
)
def test_a_verb_goes_to_build_scripts_in_the_checkout(checkout, arguments, wanted):
    assert run(checkout, *arguments) == (0, f"{checkout}: -m build_scripts {wanted}")


def test_a_shell_runs_as_it_stands(checkout):
    assert run(checkout, "sh", "-c", "echo here") == (0, "here")
    assert run(checkout, "/bin/echo", "there") == (0, "there")


def test_without_an_environment_it_says_so(checkout):
    shutil.rmtree(checkout / ".venv")
    status, said = run(checkout, "serve")
    assert status == 3
    assert "there is no environment" in said


@pytest.mark.skipif(os.getuid() != 0, reason="only root can run it as somebody else")
def test_engines_that_cannot_be_written_are_refused_with_the_cure():
    # Not below pytest's own directories, which nobody else may enter.
    checkout = Path("/tmp") / f"onecard-entrypoint-{os.getpid()}"
    try:
        shutil.copytree(DOCKER, checkout / "docker")
        (checkout / ".venv/bin").mkdir(parents=True)
        (checkout / ".venv/bin/python").symlink_to("/bin/echo")
        (checkout / "engines").mkdir(mode=0o755)
        status, said = run(checkout, "engines", user=1000)
        assert status == 3
        assert "cannot be written by user 1000" in said
        assert "ONECARD_UID" in said
        assert run(checkout, "engines", "--dry-run", user=1000)[0] == 0
        (checkout / "engines").chmod(0o777)
        assert run(checkout, "engines", user=1000) == (0, "-m build_scripts engines")
    finally:
        shutil.rmtree(checkout)


@pytest.mark.parametrize("verb", ["serve", "status", "engines"])
def test_the_real_verbs_answer(verb):
    command = [DOCKER / "entrypoint", verb, "--help"]
    ran = subprocess.run(command, cwd="/", capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert "--plan" in ran.stdout


class FakeTriton(http.server.BaseHTTPRequestHandler):
    """Answers /v2/health/ready with the status of its server, and nothing else."""

    def do_GET(self) -> None:
        status = self.server.status if self.path == "/v2/health/ready" else 404  # type: ignore[attr-defined]
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def triton() -> Iterator[http.server.HTTPServer]:
    server = http.server.HTTPServer(("127.0.0.1", 0), FakeTriton)
    server.status = 200  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("status", "phase", "healthy"),
    [
        (200, "ready", True),
        (200, "starting", False),  # one engine is loaded, the other is still to come
        (200, None, False),
        (400, "ready", False),
    ],
)
def test_healthy_is_ready_with_every_model(checkout, triton, status, phase, healthy):
    triton.status = status
    port = str(triton.server_port)
    state = checkout / ".triton/run" / port / "server.json"
    if phase is not None:
        state.parent.mkdir(parents=True)
        state.write_text(json.dumps({"phase": phase, "supervisor": 1, "server": 2}))
    ran = subprocess.run(
        [sys.executable, checkout / "docker/healthcheck"],
        env={**os.environ, "HTTP_PORT": port}, capture_output=True, text=True,
    )  # fmt: skip
    assert (ran.returncode == 0) is healthy, ran.stdout
    assert not ran.stderr


@pytest.mark.parametrize(
    ("phase", "age_s", "says"),
    [
        ("ready", 1.0, None),
        ("ready", 600.0, "has not looked for"),
        ("failing", 1.0, "`chat` did not answer"),
    ],
)
def test_healthy_is_what_serve_saw_not_long_ago(checkout, triton, phase, age_s, says):
    """Triton says that it is ready while a model of it hangs."""
    triton.status = 200
    port = str(triton.server_port)
    state = checkout / ".triton/run" / port / "server.json"
    state.parent.mkdir(parents=True)
    document = {"phase": phase, "why": says or "", "looked_s": time.monotonic() - age_s}
    state.write_text(json.dumps(document))
    ran = subprocess.run(
        [sys.executable, checkout / "docker/healthcheck"],
        env={**os.environ, "HTTP_PORT": port}, capture_output=True, text=True,
    )  # fmt: skip
    assert (ran.returncode == 0) is (says is None)
    assert (says or "ready") in ran.stdout


def test_without_a_server_it_is_not_healthy(checkout):
    environment = {**os.environ, "HTTP_PORT": "1"}
    command = [sys.executable, checkout / "docker/healthcheck"]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert ran.returncode == 1
    assert "not ready" in ran.stdout


@pytest.mark.parametrize(
    ("phase", "age_s", "status"),
    [("ready", 1.0, 0), ("failing", 1.0, 0), ("paused", 1.0, 0), ("starting", 600.0, 0),
     ("draining", 600.0, 0), ("ready", 600.0, 1)],
)  # fmt: skip
def test_live_is_that_serve_itself_runs_on(checkout, phase, age_s, status):
    """No Triton answers here, which `serve` starts again."""
    state = checkout / ".triton/run/1/server.json"
    state.parent.mkdir(parents=True)
    state.write_text(json.dumps({"phase": phase, "looked_s": time.monotonic() - age_s}))
    ran = subprocess.run(
        [sys.executable, checkout / "docker/healthcheck", "live"],
        env={**os.environ, "HTTP_PORT": "1"}, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == status, ran.stdout
