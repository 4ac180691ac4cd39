"""Every code block of docs/using/clients.md, run as it stands against the real server."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "using" / "clients.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)

# grpcurl is in no package registry, so this stands in for it: the same JSON through the same
# protobuf rules. It takes the arguments that the page gives.
GRPCURL = """\
import sys
import grpc
from google.protobuf import json_format
from tritonclient.grpc import service_pb2, service_pb2_grpc

plaintext, proto, path, data, stdin, target, method = sys.argv[1:]
assert (plaintext, proto, data, stdin) == ("-plaintext", "-proto", "-d", "@")
assert method == "inference.GRPCInferenceService/ModelStreamInfer"
request = json_format.Parse(sys.stdin.read(), service_pb2.ModelInferRequest())
stub = service_pb2_grpc.GRPCInferenceServiceStub(grpc.insecure_channel(target))
for response in stub.ModelStreamInfer(iter([request])):
    print(json_format.MessageToJson(response))
"""

INBOX = """\
From ann@example.com Tue Jul  1 10:00:00 2025
From: Ann <ann@example.com>
To: shop@example.com
Subject: Lunch on Friday?
Message-Id: <1@example.com>

Shall we have lunch on Friday at noon?

From billing@example.com Tue Jul  1 11:00:00 2025
From: billing@example.com
Subject: Invoice 17
Message-Id: <2@example.com>

Please pay 120 EUR by 14 July.
"""
# What a block prints: of the first that has such a word in it.
EXPECTED = {
    "not audio": r"change the request:",
    "Name three rivers": r"(stop|length): \d+ tokens\ncontext: \d+ tokens",
    "Email(": r"TriageProgress\(.*2 decided; for review: \(",
    "get_weather": r"get_weather \{'city': '",
    "async def chat": r"answer: .*categories: \['",
    "onecard chat": r'"name": ".*"',
    "models/chat/generate": r"\w",
    "onecard triage": r'"id": "1@example.com", "category": "',
    "": r"country",
}


def blocks() -> list[Any]:
    page = PAGE.read_text()
    found = []
    for match in BLOCK.finditer(page):
        language, code = match.groups()
        line = page.count("\n", 0, match.start()) + 1
        found.append(pytest.param(language, code, id=f"{language}-line-{line}"))
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with what the page names, and the page's programs on the way to it."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, command in [
        ("onecard", f'exec "{sys.executable}" -m onecard_client "$@"'),
        ("python3", f'exec "{sys.executable}" "$@"'),
        ("grpcurl", f'exec "{sys.executable}" "{programs}/grpcurl.py" "$@"'),
    ]:
        (programs / name).write_text(f"#!/bin/sh\n{command}\n")
        (programs / name).chmod(0o755)
    (programs / "grpcurl.py").write_text(GRPCURL)
    shutil.copy(ROOT / ".samples" / "jfk" / "jfk.wav", tmp_path / "talk.wav")
    (tmp_path / "inbox.mbox").write_text(INBOX)
    return tmp_path


@pytest.mark.parametrize(("language", "code"), blocks())
def test_block_runs(language: str, code: str, server: Any, folder: Path) -> None:
    for program in ("curl",):
        if f"{program} " in code and shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    code = code.replace("localhost:8001", server.grpc_url)
    code = code.replace("localhost:8000", server.http_url)
    command = {"python": [sys.executable, "-c"], "bash": ["bash", "-euo", "pipefail", "-c"]}
    done = subprocess.run(
        [*command[language], code],
        cwd=folder,
        env={
            **os.environ,
            "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT / "client"),
        },
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    expected = next(expected for word, expected in EXPECTED.items() if word in code)
    assert re.search(expected, done.stdout, re.DOTALL), done.stdout + done.stderr


def test_the_page_shows_every_way() -> None:
    languages = [match.group(1) for match in BLOCK.finditer(PAGE.read_text())]
    assert (languages.count("python"), languages.count("bash")) == (10, 6)
    assert set(languages) == {"python", "bash"}


def test_the_page_names_every_exception() -> None:
    import onecard_client

    page = PAGE.read_text()
    for name in onecard_client.__all__:
        kind = getattr(onecard_client, name)
        if isinstance(kind, type) and issubclass(kind, onecard_client.OnecardError):
            assert f"`{name}`" in page
