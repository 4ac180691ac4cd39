"""What PATHs stand for, and where the results of each file go."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from onecard_client._files import targets
from onecard_client._files.selection import AudioFile, Selection

NAMES = ("b.wav", "a.mp3", "2024/a.mp3", "2024/deep/c.OPUS", "2024/notes.txt", ".hidden/d.wav")


@pytest.fixture
def archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (*NAMES, "2024/._a.mp3"):
        path = tmp_path / "calls" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"audio")
    return tmp_path / "calls"


def selected(*paths: str, include: tuple[str, ...] = ()) -> Selection:
    selection = Selection(include)
    for path in paths:
        selection.add(path)
    return selection


def files(selection: Selection) -> list[str]:
    return [one.file for one in selection.found]


def placed(selection: Selection) -> dict[str, str]:
    """Where the results of each file go, without the extension."""
    made, _ = targets.recordings(selection.found, Path("out"), "srt")
    return {one.file: str(one.folder / one.stem) for one in made}


def test_folder_gives_its_recordings_at_any_depth(archive: Path) -> None:
    selection = selected("calls")
    assert placed(selection) == {
        "calls/a.mp3": "out/a",
        "calls/b.wav": "out/b",
        "calls/2024/a.mp3": "out/2024/a",
        "calls/2024/deep/c.OPUS": "out/2024/deep/c",
    }
    assert selection.is_tree
    assert not selection.problems


@pytest.mark.parametrize(
    ("include", "expected"),
    [
        (("*.mp3",), ["calls/a.mp3", "calls/2024/a.mp3"]),
        (("*.MP3", "*.opus"), ["calls/a.mp3", "calls/2024/a.mp3", "calls/2024/deep/c.OPUS"]),
        (("2024/*",), ["calls/2024/a.mp3", "calls/2024/notes.txt", "calls/2024/deep/c.OPUS"]),
    ],
)
def test_include(include: tuple[str, ...], expected: list[str], archive: Path) -> None:
    assert files(selected("calls", include=include)) == expected


def test_folder_without_recordings_is_a_problem(archive: Path) -> None:
    (problem,) = selected("calls", include=("*.flac",)).problems
    assert problem.file == "calls"
    assert "`*.flac`" in problem.reason
    assert "--include" in problem.reason


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("calls/*.mp3", {"calls/a.mp3": "out/a"}),
        (
            "calls/**/*.mp3",
            {"calls/a.mp3": "out/a", "calls/2024/a.mp3": "out/2024/a"},
        ),
        ("calls/2024/n*", {"calls/2024/notes.txt": "out/notes.txt"}),
        ("calls/20*/*", {"calls/2024/a.mp3": "out/2024/a"}),
        ("call[s]", {
            "calls/a.mp3": "out/calls/a",
            "calls/b.wav": "out/calls/b",
            "calls/2024/a.mp3": "out/calls/2024/a",
            "calls/2024/deep/c.OPUS": "out/calls/2024/deep/c",
        }),
    ],
)  # fmt: skip
def test_quoted_pattern(pattern: str, expected: dict[str, str], archive: Path) -> None:
    selection = selected(pattern)
    assert placed(selection) == expected
    assert selection.is_tree


def test_pattern_that_nothing_has(archive: Path) -> None:
    (problem,) = selected("calls/*.flac").problems
    assert problem.reason.startswith("no file has such a name")


def test_a_file_whose_name_looks_like_a_pattern_is_that_file(archive: Path) -> None:
    (archive / "[1].wav").write_bytes(b"audio")
    selection = selected("calls/[1].wav")
    assert files(selection) == ["calls/[1].wav"]
    assert not selection.is_tree


@pytest.mark.parametrize("is_null", [False, True], ids=["lines", "null"])
def test_list_keeps_relative_folders(is_null: bool, archive: Path, tmp_path: Path) -> None:
    odd = "calls/two\nlines.wav" if is_null else "calls/ü ß.wav"
    (tmp_path / odd).write_bytes(b"audio")
    names = ["./calls/2024/a.mp3", "", odd, "calls/gone.wav"]
    (tmp_path / "list").write_text(("\0" if is_null else "\r\n").join(names))
    selection = Selection()
    selection.add_list("list", is_null=is_null)
    assert list(placed(selection).values()) == [
        "out/calls/2024/a", f"out/{odd.removesuffix('.wav')}"
    ]  # fmt: skip
    assert [(one.file, one.is_file) for one in selection.problems] == [("calls/gone.wav", True)]


def test_list_of_absolute_names_from_standard_input(
    archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = f"{archive}/b.wav\n{archive}/2024/deep/c.OPUS\n".encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    selection = Selection()
    selection.add_list("-", is_null=False)
    assert list(placed(selection).values()) == ["out/b", "out/2024/deep/c"]


@pytest.mark.parametrize("name", ["https://a.b/c.mp3", "HTTP://a.b/c.mp3", "s3://bucket/c.mp3"])
def test_list_takes_no_addresses(name: str, archive: Path, tmp_path: Path) -> None:
    (tmp_path / "list").write_text(name + "\n")
    selection = Selection()
    selection.add_list("list", is_null=False)
    assert not selection.found
    assert "is an address" in selection.problems[0].reason


def test_a_file_by_two_names_is_one(archive: Path) -> None:
    os.symlink("a.mp3", archive / "link.mp3")
    found = targets.once(selected("calls/a.mp3", "calls", "calls/link.mp3").found)
    assert [one.file for one in found].count("calls/a.mp3") == 1
    assert "calls/link.mp3" not in [one.file for one in found]


def test_results_in_one_folder_do_not_replace_each_other(archive: Path) -> None:
    (archive / "2024" / "a.wav").write_bytes(b"audio")
    where = placed(selected("calls"))
    assert where["calls/2024/a.mp3"] == "out/2024/a.mp3"
    assert where["calls/2024/a.wav"] == "out/2024/a.wav"
    assert where["calls/a.mp3"] == "out/a"


def test_names_of_thousands_take_no_time(tmp_path: Path) -> None:
    """As where a recorder calls every file the same."""
    found = [AudioFile(f"/calls/{number}/talk.wav") for number in range(2000)]
    made, _ = targets.recordings(found, tmp_path, "srt")
    assert len({one.stem for one in made}) == 2000


def test_unreadable_folder_is_a_problem(archive: Path, monkeypatch: Any) -> None:
    def refuse(path: str) -> Any:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    selection = selected("calls")
    assert [(one.file, one.reason) for one in selection.problems] == [
        ("calls", "Permission denied")
    ]
