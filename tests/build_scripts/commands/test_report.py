"""What a report has: enough to see what failed, and nothing of what was asked or of a secret."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.commands import report
from build_scripts.server.logs import redacted

CHAT = "Dear diary, my account at the bank is 4711"
MODELS = ["chat", "diarize", "llm", "whisper"]
HEAD = "1130 03:12:14.123456 1234"

# Of the forms in which Triton, its Python backend, NVIDIA's and `serve` write.
WITH_CONTENT = [
    f'E{HEAD} backend.py:110] "request 12:\\nTraceback (most recent call last):\\n  File '
    f'\\"/opt/onecard/onecard/chat/answer.py\\", line 88, in run\\nValueError: {CHAT}"',
    f'W{HEAD} backend.py:102] "{CHAT}"',
    f"E{HEAD} pb_stub.cc:404] \"Failed to process the request(s) for model 'chat', message: "
    f'ValueError: {CHAT}\\n\\nAt:\\n  /opt/x.py(3): execute"',
    f"E{HEAD} http_server.cc:100] \"[request id: {CHAT}] unexpected inference input '{CHAT}'\"",
    f'[TensorRT-LLM][ERROR] Failed to compile the schema {{"title": "{CHAT}"}} of a guide',
    f'I{HEAD} infer_request.cc:5] "input: {{text: {CHAT}}} of \\"{CHAT}"',
    f"error: request 7: ValueError: {CHAT}",
    f"warning: {CHAT}",
    f"ValueError: {CHAT}",
    f"  {CHAT}",
    f"| {CHAT} |",
    f"+ {CHAT}",
    f'  File "{CHAT}" is not one',
    CHAT,
]


@pytest.mark.parametrize("line", WITH_CONTENT, ids=range(len(WITH_CONTENT)))
def test_nothing_that_was_asked_gets_through(line: str) -> None:
    text = "\n".join(redacted.kept([line, f"serve-1  | {line}"], MODELS))
    for word in ("diary", "account", "bank", "4711"):
        assert word not in text


def test_what_a_fault_is_found_by_gets_through() -> None:
    lines = [
        f"I{HEAD} model_lifecycle.cc:839] \"successfully loaded 'diarize'\"",
        f"E{HEAD} model_lifecycle.cc:642] \"failed to load 'whisper' version 1: Internal: "
        'ManifestError: `engines/rtx3090/whisper/config.json` is missing"',
        f'E{HEAD} backend.py:110] "request 12:\\nTraceback (most recent call last):\\n  File '
        '\\"/opt/onecard/onecard/chat/answer.py\\", line 88, in run\\nKeyError: x"',
        "[TensorRT-LLM][WARNING] Encoder model path not provided. Skipping Encoder Run.",
        "[TensorRT-LLM][INFO] [MemUsageChange] Allocated 1.25 GiB for max tokens in paged KV cache",
        "| chat              | 1       | READY  |",
        "error: failed to load 'whisper' version 1: Internal: unable to get shared memory",
        "Signal (11) received.",
        " 3# 0x00007F4424BAB864 in /opt/tritonserver/lib/libtritonserver.so",
    ]
    found = list(redacted.kept(lines, MODELS))
    assert len(found) == len(lines)
    assert "successfully loaded 'diarize'" in found[0]
    assert "`engines/rtx3090/whisper/config.json` is missing" in found[1]
    assert "KeyError" in found[2]
    assert "/opt/onecard/onecard/chat/answer.py:88 in run" in found[2]
    assert found[3:5] == lines[3:5]
    assert "chat" in found[5]
    assert "READY" in found[5]
    assert found[6:] == lines[6:]


def test_lines_that_are_left_out_are_counted() -> None:
    line = "Signal (15) received."
    assert list(redacted.kept(["a", "b", line, "c"])) == [
        "(2 lines left out)", line, "(1 lines left out)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "hf_abcdefghijklmnop",
        "Authorization: Bearer abcdefghijklmnop",
        "--http-restricted-api=model-repository:onecard-control=abcdefghijklmnop",
        "HF_TOKEN=abcdefghijklmnop",
        'password: abcdefghijklmnop"',
        "sk-abcdefghijklmnop",
        "nvapi-abcdefghijklmnop",
    ],
)
def test_a_secret_is_known_by_its_form(text: str) -> None:
    assert "abcdefghijklmnop" not in redacted.masked(f"x {text} y", {})


def test_a_secret_is_known_by_the_variable_that_has_it() -> None:
    environment = {"MY_API_KEY": "plainword", "HF_TOKEN": "", "PATH": "/usr/bin", "TOKEN": "ab"}
    known = redacted.secrets(environment)
    assert redacted.masked("/usr/bin plainword ab", known) == "/usr/bin <MY_API_KEY> ab"
    assert "jane" not in redacted.masked("/home/jane/x of jane@example.org", {})


def unpacked(content: bytes) -> dict[str, str]:
    found = {}
    with tarfile.open(fileobj=io.BytesIO(content)) as file:
        for one in file:
            member = file.extractfile(one)
            assert member is not None
            found[one.name.partition("/")[2]] = member.read().decode()
    return found


def test_the_archive_has_everything_and_no_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logs, home = tmp_path / "log", tmp_path / "home"
    logs.mkdir()
    home.mkdir()
    (home / "token").write_text("hidden-in-a-file\n")
    known = f'I{HEAD} server.cc:1] "started with hidden-in-a-file and variable-value"'
    (logs / "server-8000.log").write_text("\n".join([known, *WITH_CONTENT, ""]))
    (tmp_path / "more.log").write_text("serve-1  | Signal (6) received.\n")
    monkeypatch.setattr(paths, "LOG", logs)
    said = {"doctor": '{"fit": true, "note": "variable-value"}', "plan": "{}"}
    monkeypatch.setattr(report, "_verb", lambda *arguments: said[arguments[0]])
    environment = {"HF_HOME": str(home), "SOME_SECRET": "variable-value", "PLAN": "rtx3090"}
    out = tmp_path / "report.tar.gz"
    report.main(["--out", str(out), "--log", str(tmp_path / "more.log")], environment)
    assert str(out) in capsys.readouterr().out
    found = unpacked(out.read_bytes())
    assert {
        "README.txt", "doctor.json", "packages.json", "ledger.json", "launch.json",
        "versions.json", "gpu.json", "manifests.json", "log/server-8000.log", "log/more.log",
    } <= set(found)  # fmt: skip
    whole = "\n".join(found.values())
    for word in ("hidden-in-a-file", "variable-value", "diary", "4711"):
        assert word not in whole
    assert "started with <STORED_TOKEN> and <SOME_SECRET>" in found["log/server-8000.log"]
    assert found["log/more.log"] == "Signal (6) received.\n"
    launch = json.loads(found["launch.json"])
    assert launch["launch"]["binary"].endswith("tritonserver")
    assert launch["knobs"]["llm"]


def test_a_part_that_fails_says_why_and_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: str) -> str:
        raise OSError("no such thing")

    monkeypatch.setattr(report, "_verb", fails)
    found = report.collect("rtx3090", {}, [Path("/nowhere/serve.log")])
    assert found["doctor.json"] == "OSError: no such thing\n"
    assert "No such file" in found["log/serve.log"]
    assert json.loads(found["versions.json"])["python"]
