"""Names of files as people have them, and what is written for each."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from commands import spawn
from fake_server import FINISHED, PATIENCE_S, events

from onecard_client._output import names as _names
from onecard_client._output.names import (
    extension,
    fitted,
    local,
    output_stem,
    output_stems,
    shown,
    temporary,
)

ENDS = ("srt", "vtt", "txt", "tsv", "json")


def name_bytes(name: str) -> int:
    return len(os.fsencode(name))


@pytest.mark.parametrize(
    ("file", "stem"),
    [
        ("talk.wav", "talk"),
        ("in/TALK.MP3", "TALK"),
        ("a.b.c.m4a", "a.b.c"),
        ("2024.05.17 board meeting", "2024.05.17 board meeting"),
        ("v1.2", "v1.2"),
        ("Dr. Smith", "Dr. Smith"),
        ("talk.json", "talk.json"),
        ("recording", "recording"),
        (".hidden.wav", ".hidden"),
        (".wav", ".wav"),
        ("-talk.wav", "-talk"),
        ("line\nbreak.ogg", "line\nbreak"),
        ("caf\udce9.wav", "caf\udce9"),
        ("-", "stdin"),
        ("https://example.org/a%20talk.mp3?token=1#t=5", "a talk"),
        ("https://example.org/..%2f..%2fetc%2fpasswd", ".._.._etc_passwd"),
        ("https://example.org/", "example.org"),
    ],
)
def test_only_a_recordings_extension_is_cut_off(file: str, stem: str) -> None:
    assert output_stem(file) == stem


@pytest.mark.parametrize(
    ("file", "path"),
    [
        ("file:///a/my%20talk.wav", "/a/my talk.wav"),
        ("file://localhost/a/caf%E9.wav", "/a/caf\udce9.wav"),
        ("file://other/a.wav", "file://other/a.wav"),
        ("talk.wav", "talk.wav"),
        ("https://example.org/a%20b.wav", "https://example.org/a%20b.wav"),
    ],
)
def test_addresses_of_files_here(file: str, path: str) -> None:
    assert local(file) == path


def test_extensions() -> None:
    assert extension("call.ULAW") == "ulaw"
    assert extension("https://example.org/call.gsm?x=1") == "gsm"
    assert extension("2024.05.17 board meeting") == extension("talk.docx") == ""


def stems(files: list[str], folder: Path, ends: tuple[str, ...] = ENDS) -> list[str]:
    return output_stems(files, folder, ends)[0]


def test_results_of_one_name_are_told_apart(tmp_path: Path) -> None:
    found, notes = output_stems(["a/talk.mp3", "a/talk.wav", "b/Talk.wav", "x.wav"], tmp_path, ENDS)
    assert found == ["talk.mp3", "talk.wav", "Talk.wav-2", "x"]
    assert len(notes) == 3
    assert notes[0] == "a/talk.mp3: is written as `talk.mp3.*`, since `talk.*` is another file's"


def test_a_result_never_replaces_a_recording(tmp_path: Path) -> None:
    files = [str(tmp_path / "talk.wav"), str(tmp_path / "talk.json")]
    assert stems(files, tmp_path) == ["talk.wav", "talk.json"]
    assert stems(files, tmp_path, ("srt",)) == ["talk", "talk.json"]
    assert stems(files, tmp_path / "out") == ["talk", "talk.json"]


@pytest.mark.parametrize("letter", ["x", "é", "語", "🎙"])
def test_long_names_fit(letter: str, tmp_path: Path) -> None:
    longest = letter * (251 // name_bytes(letter)) + ".wav"
    while name_bytes(longest) < 255:
        longest = "y" + longest
    (stem,), (note,) = output_stems([longest], tmp_path, ENDS)
    assert "the name is too long" in note
    assert name_bytes(stem + ".json") <= 255
    assert stem.startswith(longest[:50])
    for end in ENDS:
        path = tmp_path / f"{stem}.{end}"
        temporary(path, ".4194304.partial").write_bytes(b"")
        path.write_bytes(b"")


def test_cut_names_stay_apart(tmp_path: Path) -> None:
    files = ["x" * 249 + "1.wav", "x" * 249 + "2.wav"]
    first, second = stems(files, tmp_path, ("srt", "json"))
    assert (first, second) == ("x" * 249 + "1", "x" * 249 + "2")  # 255 bytes with .json
    long = ["語" * 83 + "a.m4a", "語" * 83 + "b.m4a"]
    assert len(set(stems(long, tmp_path))) == 2
    assert fitted("x" * 251, tmp_path, ("json",)) != fitted("x" * 252, tmp_path, ("json",))


def test_a_file_system_with_shorter_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "pathconf", lambda path, name: 143)  # eCryptfs
    assert name_bytes(fitted("x" * 200, tmp_path, ENDS)) == 143 - len(".json")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("talk.wav", "talk.wav"),
        ("日本語 🎙.wav", "日本語 🎙.wav"),
        ("caf\udce9.wav", "caf\\xe9.wav"),
        ("two\nlines\t.wav", "two\\nlines\\t.wav"),
        ("\x1b[31mred.wav", "\\x1b[31mred.wav"),
        ("a\u202egpj.wav", "a\\u202egpj.wav"),
    ],
)
def test_names_for_people(name: str, text: str) -> None:
    assert shown(name) == text


def test_two_lists_of_extensions_share_what_may_be_either() -> None:
    both = _names.AUDIO_EXTENSIONS | _names.VIDEO_EXTENSIONS
    assert {"mp3", "wav", "m4a", "opus", "webm", "mkv", "ulaw", "sln16", "3gp"} <= both
    assert not {"txt", "json", "srt", "vtt", "tsv", "docx", "part"} & both


# the command


def run(server: Any, folder: Path, *files: str, **environment: str) -> tuple[int, str, str]:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in environment.items():
            patched.setenv(name, value)
        patched.chdir(folder)
        out = folder / "out"
        process = spawn(server.url, "transcribe", "-f", "txt", "-o", out, "--", *files)
        out_text, errors = process.communicate(timeout=PATIENCE_S)
    return process.returncode, out_text, errors


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "iso-8859-1", "utf-8:strict"])
def test_a_console_that_lacks_a_letter_ends_no_work(
    encoding: str, fake: Any, tmp_path: Path
) -> None:
    server = fake(events(FINISHED))
    names = ["日本語.wav", os.fsdecode(b"caf\xe9.wav"), "-talk.wav", "second.wav"]
    for name in names:
        (tmp_path / name).write_bytes(b"audio")
    code, _, errors = run(server, tmp_path, *names, PYTHONIOENCODING=encoding)
    assert (code, "Traceback" in errors) == (0, False), errors
    written = sorted(os.listdir(os.fsencode(tmp_path / "out")))
    assert written == sorted(os.fsencode(output_stem(name) + ".txt") for name in names)


def test_a_file_that_is_given_twice_is_sent_once(fake: Any, tmp_path: Path) -> None:
    server = fake(events(FINISHED))
    (tmp_path / "a.wav").write_bytes(b"audio")
    (tmp_path / "link.wav").symlink_to("a.wav")
    code, _, errors = run(server, tmp_path, "a.wav", "./a.wav", "link.wav")
    assert code == 0
    assert "2 files given again" in errors
    assert len(server.requests) == 1
    assert os.listdir(tmp_path / "out") == ["a.txt"]


@pytest.mark.parametrize("length", [245, 250, 251])
def test_long_names_through_the_command(length: int, fake: Any, tmp_path: Path) -> None:
    server = fake(events(FINISHED))
    (tmp_path / ("x" * length + ".wav")).write_bytes(b"audio")
    code, _, errors = run(server, tmp_path, "x" * length + ".wav")
    assert code == 0, errors
    (found,) = os.listdir(tmp_path / "out")
    assert found.startswith("x" * 200)
    assert found.endswith(".txt")
