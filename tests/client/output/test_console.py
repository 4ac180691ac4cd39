"""What a terminal would obey never reaches it, wherever it comes from."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from commands import Terminal
from fake_server import FINISHED, RESULT, FakeServer, events, verdict
from tritonclient.grpc import service_pb2

from onecard_client import Progress
from onecard_client.__main__ import main
from onecard_client._answers.documents import decode
from onecard_client._output import progress
from onecard_client._output.console import escaped, printable
from onecard_client._verdicts import output
from onecard_client.mail import Email
from onecard_client.triage import Verdict

CONTROLS = [*range(9), *range(11, 32), *range(127, 160)]
TURNS = [0x61C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A)]
COMMANDS = [chr(code) for code in (*CONTROLS, *TURNS)]
HOSTILE = "".join(COMMANDS) + "end"


def is_harmless(text: str) -> bool:
    return not set(text) & set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS, ids=ascii)
def test_every_command_is_seen(command: str) -> None:
    assert is_harmless(printable(f"a{command}b"))
    line = escaped(json.dumps([f"a{command}b"], ensure_ascii=False))
    assert is_harmless(line)
    assert json.loads(line) == [f"a{command}b"]


def test_letters_of_all_scripts_stay() -> None:
    text = "Grüße 日本語 שלום عربي ไทย 👩\u200d🔬 a\tb\n"
    assert printable(text) == text
    assert printable("שלום\u200f!") == "שלום!"


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_verdicts_as_lines(kind: Any) -> None:
    stream = kind()
    found = decode(Verdict, verdict("1@b.c", action=HOSTILE)["verdict"])
    output.lines(stream)(found, Email(id="1@b.c", subject="x"))
    assert is_harmless(stream.getvalue().removesuffix("\n"))
    assert json.loads(stream.getvalue())["action"] == HOSTILE


def test_what_a_server_calls_a_stage_or_a_language() -> None:
    terminal, lines = Terminal(), io.StringIO()
    progress.Bar("talk.wav", terminal).show(Progress(HOSTILE, 0, 1))
    progress.Lines("talk.wav", lines).show(Progress(HOSTILE, 0, 1))
    assert is_harmless(terminal.getvalue().removeprefix("\r\033[K"))
    assert is_harmless(lines.getvalue().removesuffix("\n"))


def test_the_line_about_a_result(fake: Any, tmp_path: Any, capsys: Any) -> None:
    recording = tmp_path / "a.wav"
    recording.write_bytes(b"RIFF")
    result = {**RESULT, "language": HOSTILE, "language_probability": 1.0, "warnings": [HOSTILE]}
    server = fake(events({"event": "result", "result": result}))
    command = ["transcribe", str(recording), "--output-dir", str(tmp_path), "--url", server.url]
    assert main(command) == 0
    shown, said = capsys.readouterr()
    assert "end" in shown
    assert is_harmless(shown.replace("\n", ""))
    assert is_harmless(said.replace("\n", ""))


def test_the_summary_of_a_health_check(fake: Any, capsys: Any, monkeypatch: Any) -> None:
    reply = service_pb2.ServerMetadataResponse(name=HOSTILE, version=HOSTILE)
    monkeypatch.setattr(FakeServer, "ServerMetadata", lambda self, request, context: reply)
    server = fake(events(FINISHED))
    for more in ((), ("--json",)):
        main(["status", "--url", server.url, *more])
        shown = capsys.readouterr().out
        assert "end" in shown
        assert is_harmless(shown.replace("\n", ""))


def test_arguments_that_a_shell_made_of_names_of_files(capsys: Any) -> None:
    for name in (f"--x{HOSTILE}.wav", f"--language=de{HOSTILE}", f"-{HOSTILE}"):
        with pytest.raises(SystemExit):
            main(["transcribe", name])
        assert is_harmless(capsys.readouterr().err.replace("\n", ""))
