"""A large file from a real server: in one go, in pieces, wrong, and with no room for it."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from build_scripts.errors import DownloadError
from build_scripts.fetch import download
from tests.build_scripts.range_server import serving

CONTENT = os.urandom(3 * 2**20 + 17)
SHA256 = hashlib.sha256(CONTENT).hexdigest()


def test_a_file_arrives_once(tmp_path: Path) -> None:
    target = tmp_path / "folder" / "large-v3.pt"
    with serving(CONTENT) as server:
        assert download.fetch(server.url, SHA256, target)
        assert not download.fetch(server.url, SHA256, target)
        assert server.ranges == [None]
    assert target.read_bytes() == CONTENT
    assert [path.name for path in target.parent.iterdir()] == ["large-v3.pt"]


def test_what_breaks_off_goes_on_where_it_stopped(tmp_path: Path) -> None:
    target = tmp_path / "large-v3.pt"
    with serving(CONTENT, 1_000_000, 500_000) as server:
        download.fetch(server.url, SHA256, target, pause_s=0)
        assert server.ranges == [None, "bytes=1000000-", "bytes=1500000-"]
    assert target.read_bytes() == CONTENT


def test_a_server_that_is_overloaded_is_asked_again(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        server.failures = 2
        download.fetch(server.url, SHA256, tmp_path / "large-v3.pt", pause_s=0)
    assert (tmp_path / "large-v3.pt").read_bytes() == CONTENT


def test_a_killed_fetch_is_taken_up_by_the_next(tmp_path: Path) -> None:
    target = tmp_path / "large-v3.pt"
    part = tmp_path / "large-v3.pt.part"
    half = len(CONTENT) // 2
    script = (
        "import sys, time; from build_scripts.fetch import download as d\n"
        "def copy(answer, file, bar):\n"
        f"    file.write(answer.read({half})); file.flush(); time.sleep(60)\n"
        "d._copy = copy; d.main(sys.argv[1:])\n"
    )
    with serving(CONTENT) as server:
        arguments = [server.url, "--sha256", SHA256, "--into", str(target)]
        child = subprocess.Popen([sys.executable, "-c", script, *arguments])
        deadline_s = time.monotonic() + 30
        while not (part.exists() and part.stat().st_size == half):
            assert time.monotonic() < deadline_s
            time.sleep(0.02)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        assert not target.exists()
        download.main(arguments)
        assert server.ranges == [None, f"bytes={half}-"]
    assert target.read_bytes() == CONTENT


def test_a_server_without_ranges_sends_everything_again(tmp_path: Path) -> None:
    with serving(CONTENT, 1_000_000, knows_ranges=False) as server:
        download.fetch(server.url, SHA256, tmp_path / "large-v3.pt", pause_s=0)
    assert (tmp_path / "large-v3.pt").read_bytes() == CONTENT


def test_what_was_complete_but_not_yet_renamed_is_not_fetched_again(tmp_path: Path) -> None:
    (tmp_path / "large-v3.pt.part").write_bytes(CONTENT)
    with serving(CONTENT) as server:
        download.fetch(server.url, SHA256, tmp_path / "large-v3.pt")
        assert server.ranges == [f"bytes={len(CONTENT)}-"]
    assert (tmp_path / "large-v3.pt").read_bytes() == CONTENT


def test_another_content_is_refused_and_removed(tmp_path: Path) -> None:
    with serving(CONTENT) as server, pytest.raises(DownloadError, match="has sha256"):
        download.fetch(server.url, "0" * 64, tmp_path / "large-v3.pt")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_is_too_small_is_found_before_anything_is_written(tmp_path: Path) -> None:
    def free(folder: Path) -> int:
        return 2 * len(CONTENT)

    target = tmp_path / "large-v3.pt"
    with serving(CONTENT) as server:
        with pytest.raises(DownloadError, match="6 MiB free, wanted 9 MiB"):
            download.fetch(server.url, SHA256, target, room=3, free=free)
        assert list(tmp_path.iterdir()) == []
        download.fetch(server.url, SHA256, target, room=2, free=free)
    assert target.exists()


def test_nobody_there_and_no_such_file_are_said(tmp_path: Path) -> None:
    with serving(CONTENT) as server:
        wrong = server.url.replace("large-v3.pt", "other")
        with pytest.raises(DownloadError, match="answers 404"):
            download.fetch(wrong, SHA256, tmp_path / "a")
        url = server.url
    with pytest.raises(DownloadError, match="broke off 5 times"):
        download.fetch(url, SHA256, tmp_path / "a", pause_s=0)


def test_into_a_log_goes_a_line_now_and_then(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(CONTENT, 1_000_000) as server:
        download.fetch(server.url, SHA256, tmp_path / "large-v3.pt", pause_s=0)
    lines = [line for line in capsys.readouterr().err.splitlines() if line]
    assert all(line.startswith("large-v3.pt: ") for line in lines)
    assert lines[-1].startswith("large-v3.pt: 100%|")
    assert len(lines) <= 4  # at the begin and the end of each of two connections
