"""The `onecard` command against the fake server: files, exit codes, interruption."""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
from commands import spawn
from fake_server import FINISHED, PATIENCE_S, PROGRESS, RESULT, SEGMENTS, Step, events, fails, hangs

from onecard_client import Transcript, __version__
from onecard_client.__main__ import main
from onecard_client._output import new_file, results
from onecard_client.subtitles import SubtitleLayout
from onecard_client.writers import WRITERS


@pytest.fixture
def talk(tmp_path: Path) -> Path:
    path = tmp_path / "talk.wav"
    path.write_bytes(b"audio")
    return path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_formats(fake: Any, talk: Path, tmp_path: Path, capsys: Any) -> None:
    server = fake(events(PROGRESS, FINISHED))
    out = tmp_path / "new" / "out"
    line = ["transcribe", str(talk), "--url", server.url, "--output_dir", str(out)]
    assert main([*line, "--language", "en"]) == 0
    assert server.options() == {"language": "en"}
    assert server.audio() == b"audio"
    assert names(out) == ["talk.json", "talk.srt", "talk.tsv", "talk.txt", "talk.vtt"]
    transcript = Transcript.from_dict(RESULT)
    for path in out.iterdir():
        assert path.read_text() == WRITERS[path.suffix[1:]](transcript, SubtitleLayout())
    assert f"{talk}: 2.0 s of audio, language en, 1 speaker" in capsys.readouterr().out


@pytest.mark.parametrize("extension", WRITERS)
def test_one_format(extension: str, fake: Any, talk: Path, tmp_path: Path) -> None:
    server = fake(events(FINISHED))
    out = tmp_path / "out"
    assert (
        main(["transcribe", str(talk), "--url", server.url, "-o", str(out), "-f", extension]) == 0
    )
    assert names(out) == [f"talk.{extension}"]


def test_layout_reaches_the_file(fake: Any, talk: Path, tmp_path: Path) -> None:
    server = fake(events(FINISHED))
    line = ["transcribe", str(talk), "--url", server.url, "-o", str(tmp_path), "-f", "srt"]
    width = str(len("[SPEAKER_00]: Hello"))
    assert main([*line, "--max_line_width", width, "--highlight_words", "True"]) == 0
    assert "[SPEAKER_00]: <u>Hello</u>\nthere." in (tmp_path / "talk.srt").read_text()
    assert main([*line, "--min-cue-duration", "3", "--reading-speed", "4"]) == 0
    assert "00:00:03,100\n[SPEAKER_00]" in (tmp_path / "talk.srt").read_text()
    assert main([*line, "--max_line_width", "5", "--whisperx-compat"]) == 0
    assert "Hello \nthere." in (tmp_path / "talk.srt").read_text()


def test_standard_input(
    fake: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    server = fake(events(FINISHED))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"piped")))
    line = ["transcribe", "-", "--url", server.url, "-o", str(tmp_path), "-f", "txt"]
    assert main([*line, "--verbose", "False"]) == 0
    assert server.audio() == b"piped"
    assert (tmp_path / "stdin.txt").read_text() == "[SPEAKER_00]: Hello there.\n"
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_one_failure_does_not_stop_the_others(fake: Any, tmp_path: Path, capsys: Any) -> None:
    bad = fails(grpc.StatusCode.INVALID_ARGUMENT, "AUDIO is empty")
    server = fake(bad, events(FINISHED))
    for name in ("a.wav", "c.wav"):
        (tmp_path / name).write_bytes(b"audio")
    files = [str(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav")]
    assert main(["transcribe", *files, "--url", server.url, "-o", str(tmp_path), "-f", "srt"]) == 1
    assert (tmp_path / "c.srt").exists()
    assert not (tmp_path / "a.srt").exists()
    errors = capsys.readouterr().err
    assert f"{files[0]}: AUDIO is empty" in errors
    assert f"{files[1]}: No such file or directory" in errors
    assert "2 of 3 files failed" in errors


def test_unreachable_server(talk: Path, capsys: Any) -> None:
    (talk.with_name("b.wav")).write_bytes(b"audio")
    line = ["transcribe", str(talk), str(talk.with_name("b.wav")), "--url", "no-such-host.invalid"]
    assert main(line) == 3
    assert main(["status", "--url", "no-such-host.invalid"]) == 3
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    assert all("no-such-host.invalid:8001" in errors[index] for index in (0, 2))
    assert errors[1] == f"onecard: not tried: {talk.with_name('b.wav')}"


def test_lost_connection_is_one_files_failure_while_the_server_lives(
    fake: Any, tmp_path: Path
) -> None:
    """What brings the server down five times is not tried a sixth time, and costs itself alone."""
    lost = events(SEGMENTS, then=fails(grpc.StatusCode.UNAVAILABLE, "Socket closed"))
    server = fake(*[lost] * 5, events(FINISHED))
    for name in ("a.wav", "b.wav"):
        (tmp_path / name).write_bytes(b"audio")
    files = [str(tmp_path / name) for name in ("a.wav", "b.wav")]
    assert main(["transcribe", *files, "--url", server.url, "-o", str(tmp_path), "-f", "srt"]) == 1
    assert (tmp_path / "b.srt").exists()
    assert len(server.requests) == 6


def test_lost_connection_is_tried_again_also_after_segments(fake: Any, tmp_path: Path) -> None:
    lost = events(SEGMENTS, then=fails(grpc.StatusCode.UNAVAILABLE, "Socket closed"))
    server = fake(lost, events(FINISHED))
    (tmp_path / "a.wav").write_bytes(b"audio")
    line = ["transcribe", str(tmp_path / "a.wav"), "--url", server.url, "-o", str(tmp_path)]
    assert main([*line, "-f", "srt"]) == 0


def test_wrong_address(capsys: Any) -> None:
    assert main(["status", "--url", "http://localhost:8000"]) == 2
    assert "must be `host:port`" in capsys.readouterr().err


def test_server_that_fails(fake: Any, talk: Path, capsys: Any) -> None:
    server = fake(fails(grpc.StatusCode.INTERNAL, "internal error"))
    assert main(["transcribe", str(talk), "--url", server.url]) == 1
    assert "internal error (request id `" in capsys.readouterr().err


@pytest.mark.parametrize("below", ["", "deeper/still"])
def test_folder_that_cannot_be_made(below: str, fake: Any, talk: Path, capsys: Any) -> None:
    """It is found before the hour of transcription and not after it."""
    server = fake(events(FINISHED))
    out = talk / below
    assert main(["transcribe", str(talk), "--url", server.url, "-o", str(out)]) == 1
    assert f"onecard: {out}: Not a directory" in capsys.readouterr().err
    assert server.requests == []


def test_missing_files_are_told_before_the_first_is_sent(
    fake: Any, talk: Path, tmp_path: Path, capsys: Any
) -> None:
    told: list[str] = []

    def step(request: Any, context: Any) -> Any:
        told.append(capsys.readouterr().err)
        return events(FINISHED)(request, context)

    folder = tmp_path / "folder.wav"  # where nothing is
    folder.mkdir()
    line = ["transcribe", str(talk), str(tmp_path / "b.wav"), str(folder), "-o", str(tmp_path)]
    server = fake(step)
    assert main([*line, "--url", server.url]) == 1
    assert len(server.requests) == 1
    assert f"{tmp_path / 'b.wav'}: No such file" in told[0]
    assert f"{folder}: no file in this folder has a recording's extension" in told[0]
    assert "2 of 3 files failed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("probability", "options", "shown"),
    [(0.9, {}, "en"), (None, {}, "unknown"), (None, {"language": "en"}, "en")],
)
def test_language_that_nobody_knows(
    probability: Any, options: Any, shown: str, fake: Any, talk: Path, tmp_path: Path, capsys: Any
) -> None:
    """The server names a language also where nothing was spoken."""
    result = {**RESULT, "language_probability": probability, "options": options}
    server = fake(events({"event": "result", "result": result}))
    assert main(["transcribe", str(talk), "--url", server.url, "-o", str(tmp_path)]) == 0
    assert f"language {shown}," in capsys.readouterr().out


def test_warnings_are_shown(fake: Any, talk: Path, tmp_path: Path, capsys: Any) -> None:
    warned = {"event": "result", "result": {**RESULT, "warnings": ["the audio was short"]}}
    server = fake(events(warned))
    assert main(["transcribe", str(talk), "--url", server.url, "-o", str(tmp_path)]) == 0
    assert "warning: the audio was short" in capsys.readouterr().err


def test_status(fake: Any, capsys: Any) -> None:
    server = fake(events(FINISHED))
    assert main(["status", "--url", server.url]) == 1  # the fake says that it is not ready
    shown = capsys.readouterr().out
    assert f"{server.url}: live, not ready" in shown
    assert "server fake 0.0" in shown
    assert "  align              not ready\n" in shown
    assert "  transcribe_stream  ready\n" in shown
    assert main(["status", "--url", server.url, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["client_version"] == __version__
    assert {"name": "align", "ready": False} in document["models"]


@pytest.mark.parametrize("line", ["status", "--help"])
def test_reader_that_goes_away(line: str, fake: Any) -> None:
    """As in `onecard status | head -0`."""
    server = fake(events(FINISHED))
    reader, writer = os.pipe()
    os.close(reader)
    process = spawn(server.url, line, stdout=writer)
    os.close(writer)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert errors == ""
    assert line == "--help" or process.returncode == 1


def test_version(capsys: Any) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"onecard {__version__}\n"


# interruption, in a process of its own


@pytest.mark.parametrize("step", [hangs, events(PROGRESS, then=hangs)], ids=["before", "amid"])
def test_interrupt_cancels_the_request(step: Step, fake: Any, talk: Path, tmp_path: Path) -> None:
    server = fake(step)
    out = tmp_path / "out"
    process = spawn(server.url, "transcribe", talk, "-o", out)
    while not server.requests:
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "interrupted" in errors
    assert "Traceback" not in errors
    assert server.cancelled.wait(PATIENCE_S)
    assert not out.exists()


# results that are whole or not there


def test_result_replaces_an_older_one_whole(tmp_path: Path) -> None:
    path = tmp_path / "talk.txt"
    path.write_text("old")
    results.write_atomically(path, "new \ud800")
    assert path.read_bytes() == b"new ?"
    assert names(tmp_path) == ["talk.txt"]


def test_failed_write_leaves_the_older_result_and_no_rubbish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "talk.txt"
    path.write_text("old")

    def no_space(source: object, target: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match="No space"):
        results.write_atomically(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["talk.txt"]


def test_new_result_has_the_usual_permissions(tmp_path: Path) -> None:
    results.write_atomically(tmp_path / "a.txt", "")
    (tmp_path / "b.txt").write_text("")
    modes = [(tmp_path / name).stat().st_mode for name in ("a.txt", "b.txt")]
    assert modes[0] == modes[1]


def test_a_link_that_somebody_planted_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if its name could be foreseen."""
    monkeypatch.setattr(new_file.secrets, "token_hex", lambda num_bytes: "foreseen")  # type: ignore[attr-defined]
    precious = tmp_path / "precious"
    precious.write_text("untouched")
    path = tmp_path / "a.txt"
    planted, file = new_file.create_beside(path, "partial")
    file.close()
    planted.unlink()
    planted.symlink_to(precious)
    with pytest.raises(FileExistsError):
        results.write_atomically(path, "new")
    assert precious.read_text() == "untouched"
    assert planted.is_symlink()  # it is somebody else's
    assert not path.exists()


def test_names_of_unfinished_files_cannot_be_foreseen(tmp_path: Path) -> None:
    made = [new_file.create_beside(tmp_path / "a.txt", "partial") for _ in range(20)]
    for _, file in made:
        file.close()
    assert len({path for path, _ in made}) == 20
    assert all(path.parent == tmp_path and path.name.startswith(".a.txt.") for path, _ in made)
