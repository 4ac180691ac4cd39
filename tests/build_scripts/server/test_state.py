"""A server's name: held by one, looked at by anybody, and not lost to who cleans up."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from build_scripts import paths, processes
from build_scripts.errors import ServerError
from build_scripts.server import settings, state
from build_scripts.server.settings import Settings
from build_scripts.server.triton import scratch
from tests.waiting import PATIENCE_S


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(paths, "RUN", tmp_path)
    parser = ArgumentParser()
    settings.add_arguments(parser)
    return settings.from_arguments(parser.parse_args([]), {})


def test_a_name_is_held_by_one(one: Settings) -> None:
    with state.locked(one):
        assert state.is_held(one.run)
        with pytest.raises(ServerError, match="is running already"), state.locked(one):
            pass
    assert not state.is_held(one.run)


def test_a_look_keeps_nobody_from_starting(one: Settings) -> None:
    one.run.mkdir()
    look = (one.run / "lock").open("w")
    fcntl.flock(look, fcntl.LOCK_EX)
    threading.Timer(state.LOOK_S / 4, look.close).start()
    with state.locked(one):
        assert state.is_held(one.run)


def test_a_folder_that_is_cleaned_away_meanwhile_is_made_anew(
    one: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, cleaned = fcntl.flock, []

    def clean_first(file: IO[str], operation: int) -> None:
        if not cleaned and Path(file.name).parent == one.run:
            cleaned.append(shutil.rmtree(one.run))
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", clean_first)
    with state.locked(one):
        assert state.is_held(one.run)


def test_who_starts_waits_for_who_cleans_up_after_the_same_name(
    one: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that start in the same moment: the other one's folder was taken for a dead one's."""
    one.run.mkdir()
    begun, may_end, has_it = threading.Event(), threading.Event(), threading.Event()

    def slow(run: Path) -> int:
        begun.set()
        assert may_end.wait(PATIENCE_S)
        return 0

    def start() -> None:
        with state.locked(one):
            assert state.is_held(one.run)
            has_it.set()

    monkeypatch.setattr(state, "reclaim", slow)
    cleaner = threading.Thread(target=state.reclaim_all, args=(tmp_path / "other", pytest.fail))
    cleaner.start()
    assert begun.wait(PATIENCE_S)
    starter = threading.Thread(target=start)
    starter.start()
    assert not has_it.wait(2 * state.LOOK_S)
    may_end.set()
    for thread in (cleaner, starter):
        thread.join(PATIENCE_S)
    assert has_it.is_set()


WAITS = "import sys, time; print('here', flush=True); time.sleep(600)"


@pytest.fixture
def prefix(one: Settings) -> Iterator[str]:
    """What names this server's regions; none is left when the test is over."""
    name = settings.shm_prefix(one.run.name)
    yield name
    for path in Path("/dev/shm").glob(f"{name}*"):
        path.rmdir() if path.is_dir() else path.unlink()


def started(*arguments: str, **variables: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITS, *arguments],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_what_a_server_started_is_ended_and_a_search_for_its_name_is_not(
    one: Settings, prefix: str
) -> None:
    with started(prefix + "in its arguments") as search, started(ONECARD_SERVER=prefix) as left:
        try:
            assert state.reclaim(one.run) == 1
            assert left.wait(PATIENCE_S) == -signal.SIGTERM
            assert search.poll() is None
        finally:
            search.kill()
            left.kill()


def test_what_is_not_ours_to_end_keeps_nobody_from_starting(
    one: Settings, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As another user's process that has our name, whose environment root can read."""

    def refuse(pid: int, number: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    with started(ONECARD_SERVER=prefix) as foreign:
        with monkeypatch.context() as patched:
            patched.setattr(os, "kill", refuse)
            state.reclaim(one.run)
            patched.undo()
        with monkeypatch.context() as patched:
            patched.setattr(os, "getuid", lambda: 12345)
            assert processes.with_variable("ONECARD_SERVER", prefix) == []
        foreign.kill()


def test_regions_of_ours_go_and_what_others_put_there_stays(
    one: Settings, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours, folder = Path(f"/dev/shm/{prefix}a"), Path(f"/dev/shm/{prefix}b")
    link, target = Path(f"/dev/shm/{prefix}c"), one.run.parent / "target"
    ours.touch()
    folder.mkdir()
    target.touch()
    link.symlink_to(target)
    assert state.reclaim(one.run) == 1
    assert not ours.exists()
    assert folder.exists()
    assert target.exists()
    ours.touch()
    with monkeypatch.context() as patched:
        patched.setattr(os, "getuid", lambda: 12345)
        assert state.reclaim(one.run) == 0
    assert ours.exists()


def test_folders_of_a_server_that_was_killed_go(
    one: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "TMP", tmp_path)
    monkeypatch.setattr(processes, "running", lambda name: [])
    one.run.mkdir()
    (tmp_path / "python_env_before").mkdir()
    noted = scratch.Scratch(one.run)
    for name in ("python_env_empty", "python_env_full", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "python_env_full" / "file").touch()
    noted.look()
    assert state.reclaim(one.run) == 1
    left = {path.name for path in tmp_path.iterdir() if path != one.run}
    assert left == {"python_env_before", "python_env_full", "other"}


def test_a_folder_that_may_be_of_a_server_that_lives_stays(
    one: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch, "TMP", tmp_path)
    monkeypatch.setattr(processes, "running", lambda name: [1])
    monkeypatch.setattr(processes, "started_s", lambda pid: time.time() - 1)
    one.run.mkdir()
    noted = scratch.Scratch(one.run)
    (tmp_path / "python_env_whose").mkdir()
    noted.look()
    assert state.reclaim(one.run) == 0
    assert (tmp_path / "python_env_whose").exists()


def test_when_a_process_was_started() -> None:
    with started() as process:
        assert processes.started_s(process.pid) == pytest.approx(time.time(), abs=30)
        process.kill()
    assert processes.started_s(process.pid) == 0.0


def test_a_server_is_ready_while_somebody_looks_and_all_is_well(one: Settings) -> None:
    one.run.mkdir()
    state.record(one, 1, "ready")
    assert state.trouble(state.state(one)) == ""
    state.record(one, 1, "failing", "`chat` did not answer")
    assert state.trouble(state.state(one)) == "`chat` did not answer"
    old = {**state.state(one), "phase": "ready", "looked_s": time.monotonic() - 1000}
    (one.run / state.STATE).write_text(json.dumps(old))
    assert "has not looked" in state.trouble(state.state(one))
    assert state.trouble({}) == "not started yet"
