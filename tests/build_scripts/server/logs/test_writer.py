"""What is written of a server's output: repeated lines counted, two files of bounded size."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from build_scripts import paths
from build_scripts.server.logs import reader as server_log
from build_scripts.server.logs import writer as log_writer
from build_scripts.server.logs.writer import Repeats, Rotated
from tests.waiting import PATIENCE_S

STAMPED = b'E1121 05:12:13.%06d 13141 http_server.cc:1] "Too many open files"'


def written(lines: list[bytes], seconds: float = 0.0) -> list[bytes]:
    """What is written of `lines`, each `seconds` after the one before, and at the end."""
    repeats = Repeats()
    shown = [
        text for number, line in enumerate(lines) for text in repeats.lines(line, number * seconds)
    ]
    return [*shown, *repeats.told(len(lines) * seconds)]


def test_a_line_that_repeats_itself_is_written_once_and_counted() -> None:
    lines = [STAMPED % number for number in range(1000)]
    assert written([*lines, b"another"]) == [lines[0], b"... repeated 999 times", b"another"]


def test_two_lines_by_turns_are_counted_in_a_flood() -> None:
    shown = written([b"one", b"two"] * 10_000)
    assert len(shown) < log_writer.FLOOD_LINES + 10
    assert shown[:4] == [b"one", b"two", b"one", b"two"]  # a few are told as they come
    told = {line.rpartition(b": ")[2]: int(line.split()[2]) for line in shown[-2:]}
    assert b"two" in {*told, shown[-1]} or sum(told.values()) > 19_000


def test_what_never_ends_is_told_of_while_it_lasts() -> None:
    shown = written([b"again"] * 1000, seconds=0.1)
    notes = [line for line in shown if line.startswith(b"... repeated")]
    assert len(notes) == pytest.approx(100 / log_writer.SAY_EVERY_S, abs=2)
    assert sum(int(line.split()[2]) for line in notes) == 999


def test_a_traceback_is_written_whole_however_often_it_comes() -> None:
    traceback = [b"Traceback", b"  File a", b"    line", b"Error"]
    assert written(traceback * 5) == traceback * 5


def test_twice_is_no_repetition_to_speak_of() -> None:
    assert written([b"one", b"one", b"two"]) == [b"one", b"one", b"two"]


def test_nobody_is_shown_how_often_what_was_not_shown_came() -> None:
    reader = server_log.Reader()
    harmless = 'E1121 05:12:13.021382 1 server.cc:241] "CudaDriverHelper has not been initialized."'
    assert reader.read(harmless) is None
    assert reader.read("... repeated 7 times") is None
    assert reader.read("a model printed this") == "a model printed this"
    assert reader.read("... repeated 7 times") == "... repeated 7 times"


def test_empty_lines_stay() -> None:
    assert written([b"", b"", b"x"]) == [b"", b"", b"x"]


def test_the_files_are_two_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    log = Rotated(path, max_bytes=1000)
    for number in range(1000):
        log.write(b"%09d\n" % number)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["server.log", "server.log.1"]
    assert sum(one.stat().st_size for one in tmp_path.iterdir()) <= 2020
    text = server_log.aside(path).read_text() + path.read_text()
    assert text.endswith("000000999\n")
    assert text.split() == sorted(text.split())


def test_a_log_that_was_removed_meanwhile_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "log" / "server.log"
    path.parent.mkdir()
    log = Rotated(path, max_bytes=100)
    log.write(b"before\n")
    shutil.rmtree(path.parent)
    log.write(b"x" * 200 + b"\n")
    log.write(b"after\n")
    assert path.read_text() == "after\n"


def test_a_log_that_cannot_be_set_aside_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    server_log.aside(path).mkdir()
    log = Rotated(path, max_bytes=1000)
    for _ in range(100):
        log.write(b"x" * 100)
    assert path.stat().st_size <= 1100


def test_a_tail_reads_on_through_the_change_of_files(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    tail, log = server_log.Tail(path), Rotated(path, max_bytes=1000)
    read = []
    for number in range(500):
        log.write(b"%09d\n" % number)
        if number % 50 == 0:
            read += tail.lines()
    assert [int(line) for line in [*read, *tail.lines()]] == list(range(500))


def test_a_tail_that_is_far_behind_reads_the_end(tmp_path: Path, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(server_log, "MAX_READ_BYTES", 100)
    path = tmp_path / "server.log"
    path.write_text("".join(f"{number:09}\n" for number in range(1000)))
    assert server_log.Tail(path).lines()[-1] == "000000999"
    assert len(server_log.Tail(path).lines()) <= 11


def test_a_full_disk_leaves_a_gap(tmp_path: Path) -> None:
    log = Rotated(Path("/dev/full"))
    log.write(b"lost\n")


def test_a_server_with_much_to_say_is_not_kept_waiting_and_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "server.log"
    writer = log_writer.start(path, {})
    assert writer.stdin is not None
    writer.send_signal(signal.SIGTERM)  # it ends with what it writes for
    code = (
        "import sys\n"
        "for number in range(20000): print('[warn] Error from accept() call')\n"
        "print('the last line')\n"
    )
    with writer.stdin as output:
        subprocess.run([sys.executable, "-c", code], stdout=output, check=True, timeout=PATIENCE_S)
    assert writer.wait(PATIENCE_S) == 0
    lines = path.read_text().splitlines()
    assert lines[0] == "[warn] Error from accept() call"
    assert lines[-1] == "the last line"
    assert sum(int(x.split()[2]) for x in lines if x.startswith("... repeated")) == 19_999
    assert path.stat().st_mode & 0o777 == 0o600


def test_what_serve_says_is_begun_anew_when_it_is_long(tmp_path: Path) -> None:
    path = tmp_path / "serve.log"
    with path.open("ab") as output:
        code = "import sys; [print('x' * 99, flush=True) for _ in range(10)]; input(); print('on')"
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=output
        )
    assert process.stdin is not None
    while path.stat().st_size < 1000:
        time.sleep(0.01)
    server_log.shorten(path, max_bytes=500)
    assert path.stat().st_size == 0
    process.communicate(b"\n")
    assert path.read_text() == "on\n"  # and not behind a hole
    assert server_log.aside(path).stat().st_size == 500


def test_logs_of_servers_that_are_gone_are_bounded_in_bytes(tmp_path: Path) -> None:
    for number in range(5):
        path = tmp_path / f"server-1.crash-{number}.log"
        path.write_bytes(bytes(100))
        os.utime(path, (1000 + number, 1000 + number))
    server_log.prune(tmp_path, max_bytes=250)
    assert {path.name for path in tmp_path.iterdir()} == {
        "server-1.crash-4.log",
        "server-1.crash-3.log",
    }


def test_the_writer_needs_no_packages() -> None:
    code = "import build_scripts.server.logs.writer"
    subprocess.run(
        [
            sys.executable,
            "-S",
            "-I",
            "-c",
            f"import sys; sys.path.insert(0, {str(paths.ROOT)!r}); {code}",
        ],
        check=True,
    )
