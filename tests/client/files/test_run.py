"""`onecard transcribe` with many files: several at a time, mirrored, logged, and what failed."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from archives import Archive, Desk

from onecard_client.__main__ import main
from onecard_client._transport.retry import Backoff

NAMES = ("a.wav", "b.mp3", "2024/a.wav", "2024/may/c.flac")


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    return Archive(tmp_path, *NAMES)


@pytest.fixture
def desk(fake: Any) -> Desk:
    return Desk(fake)


def run(archive: Archive, desk: Desk, *arguments: object) -> int:
    return main([*archive.line(*arguments), "--url", desk.url])


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_results_mirror_the_folders(archive: Archive, desk: Desk, capsys: Any) -> None:
    assert run(archive, desk) == 0
    assert archive.results() == ["2024/a.txt", "2024/may/c.txt", "a.txt", "b.txt"]
    assert set(desk.done.values()) == {1}
    shown = capsys.readouterr()
    assert shown.err == ""
    assert len(shown.out.splitlines()) == len(NAMES)


@pytest.mark.parametrize(
    ("places", "arguments", "most"),
    [(True, (), 3), (True, ("--jobs", 2), 2), (False, (), 1), (False, ("--jobs", 4), 4)],
    ids=["as the server says", "as told", "server that does not say", "told nevertheless"],
)
def test_so_many_at_a_time(
    places: bool, arguments: Any, most: int, archive: Archive, fake: Any
) -> None:
    desk = Desk(fake, places=places)
    desk.gather = most
    assert run(archive, desk, *arguments) == 0
    assert desk.most == most
    assert set(desk.done.values()) == {1}


def test_line_of_json_for_each_file(archive: Archive, desk: Desk, capsys: Any) -> None:
    desk.refused = {"b.mp3"}
    assert run(archive, desk, "--log-json") == 1
    found = {one["file"]: one for one in lines(capsys.readouterr().out)}
    assert len(found) == len(NAMES)
    one = found[str(archive.folder / "2024/a.wav")]
    assert one["status"] == "done"
    assert one["results"] == [str(archive.out / "2024/a.txt")]
    assert (one["duration_s"], one["speakers"], one["language"]) == (2.0, 1, "en")
    assert one["account"]["transcribed_s"] == 1.5
    assert one["engine"] == {"recognize": {"model": "none, this is a fake"}}
    assert one["speed"] > 0
    assert one["server"] == desk.url
    failed = found[str(archive.folder / "b.mp3")]
    assert (failed["status"], failed["kind"]) == ("failed", "InvalidRequest")
    assert failed["error"] == "b.mp3 is no recording"


def test_what_failed_is_listed_and_tried_again(archive: Archive, desk: Desk, capsys: Any) -> None:
    desk.refused = {"b.mp3", "2024/a.wav"}
    assert run(archive, desk) == 1
    said = capsys.readouterr().err
    assert f"2 of 4 files failed, listed in `{archive.out}/failed.jsonl`" in said
    assert "--retry-failed" in said
    failures = lines((archive.out / "failed.jsonl").read_text())
    assert {(one["below"], one["stem"], one["error"]) for one in failures} == {
        (".", "b", "b.mp3 is no recording"), ("2024", "a", "2024/a.wav is no recording")
    }  # fmt: skip
    desk.refused = {"b.mp3"}
    retry = ["transcribe", "--retry-failed", "-o", str(archive.out), "-f", "txt", "--url", desk.url]
    assert main(retry) == 1
    assert archive.results() == ["2024/a.txt", "2024/may/c.txt", "a.txt"]
    (left,) = lines((archive.out / "failed.jsonl").read_text())
    assert left["file"] == str(archive.folder / "b.mp3")
    desk.refused = set()
    assert main(retry) == 0
    assert not (archive.out / "failed.jsonl").exists()
    assert (desk.asked["b.mp3"], desk.asked["2024/a.wav"], desk.asked["a.wav"]) == (3, 2, 1)
    assert main(retry) == 0


def test_same_command_again_does_what_is_left(archive: Archive, desk: Desk, capsys: Any) -> None:
    assert run(archive, desk) == 0
    archive.add("2024/new.wav")
    (archive.folder / "a.wav").write_bytes(b"a.wav, longer")
    (archive.out / "b.txt").unlink()
    assert run(archive, desk) == 0
    assert "2 files were done already" in capsys.readouterr().err
    assert desk.asked["2024/new.wav"] == 1
    assert desk.asked["a.wav, longer"] == 1
    assert desk.asked["b.mp3"] == 2
    assert desk.asked["2024/may/c.flac"] == 1
    assert run(archive, desk, "--language", "en") == 0  # another request
    assert desk.asked["2024/may/c.flac"] == 2
    assert run(archive, desk, "--language", "en", "--again") == 0
    assert desk.asked["2024/may/c.flac"] == 3


def test_skip_existing_asks_nobody_who_made_them(archive: Archive, desk: Desk) -> None:
    (archive.out / "2024").mkdir(parents=True)
    (archive.out / "2024" / "a.txt").write_text("by hand")
    assert run(archive, desk, "--skip-existing") == 0
    assert desk.asked.total() == 3
    assert (archive.out / "2024" / "a.txt").read_text() == "by hand"


def test_torn_journal_and_foreign_failures(archive: Archive, desk: Desk, capsys: Any) -> None:
    assert run(archive, desk) == 0
    journal = archive.out / "transcribed.jsonl"
    journal.write_bytes(journal.read_bytes()[:-5])
    assert run(archive, desk) == 0
    assert desk.asked.total() == len(NAMES) + 1
    assert len(lines(journal.read_text())) == len(NAMES)
    (archive.out / "failed.jsonl").write_text('{"name": "somebody else\'s"}\n')
    assert run(archive, desk) == 2
    assert "holds something else than recordings that failed" in capsys.readouterr().err


def test_second_run_into_the_same_folder_is_refused(
    archive: Archive, desk: Desk, capsys: Any
) -> None:
    other: list[int] = []
    line = [*archive.line(), "--url", desk.url]
    desk.on_ask = lambda name: other or other.append(main(line))
    assert run(archive, desk, "--jobs", 1) == 0
    assert other == [1]
    assert "must be one at a time" in capsys.readouterr().err
    assert set(desk.asked.values()) == {1}


def test_what_brings_the_server_down_costs_itself_alone(
    archive: Archive, desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """Also where others are under way with it, and lose their connections each time."""
    monkeypatch.setattr(Backoff, "delay_s", lambda backoff, number: 0.001)
    desk.gather, desk.poison = 3, "2024/may/c.flac"
    assert run(archive, desk) == 1
    assert set(desk.done) == set(NAMES) - {desk.poison}
    assert set(desk.done.values()) == {1}
    assert "1 of 4 files failed" in capsys.readouterr().err


def test_full_disk_ends_the_run(
    archive: Archive, desk: Desk, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    """It would not become emptier for the others, each after its transcription."""

    def refuse(source: object, target: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refuse)
        assert run(archive, desk, "--jobs", 1) == 1
    assert desk.asked.total() <= 2
    assert "No space left on device" in capsys.readouterr().err
    assert archive.results() == []
    assert run(archive, desk) == 0


def test_addresses_are_no_files_of_an_archive(archive: Archive, desk: Desk, capsys: Any) -> None:
    others = ["https://example.invalid/talk.mp3", "-"]
    command, *rest = archive.line("--url", desk.url)
    assert main([command, *others, *rest]) == 1
    said = capsys.readouterr().err
    assert "https://example.invalid/talk.mp3: is an address, and a run over a folder" in said
    assert "-: is standard input, and a run over a folder" in said
    assert desk.asked.total() == len(NAMES)


def test_named_files_leave_no_journal(archive: Archive, desk: Desk) -> None:
    files = [str(archive.folder / name) for name in NAMES[:2]]
    line = ["transcribe", *files, "-o", str(archive.out), "-f", "txt", "--url", desk.url]
    assert main(line) == 0
    assert main(line) == 0
    assert sorted(path.name for path in archive.out.iterdir()) == ["a.txt", "b.txt"]
    assert desk.asked.total() == 4


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ("a.wav --jobs 0", "`--jobs` is 0, must be 1 or more"),
        ("a.wav --null", "give `--files-from LIST` as well"),
        ("a.wav --retry-failed", "takes its files alone"),
        ("--retry-failed --watch .", "is given with `--watch`"),
        ("- --files-from -", "standard input (`-`) is given twice"),
        ("--watch no-such-folder", "must be a folder that exists"),
        ("a.wav --interval 0", "must be more than 0 seconds"),
        ("", "no FILE is given"),
    ],
)
def test_wrong_usage(arguments: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["transcribe", *arguments.split()])
    assert ended.value.code == 2
    assert reason in capsys.readouterr().err
