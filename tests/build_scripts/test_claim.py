"""A server's name: held by one, looked at by anybody, and not lost to who cleans up."""

from __future__ import annotations

import fcntl
import shutil
import threading
from argparse import ArgumentParser
from pathlib import Path
from typing import IO

import pytest

from build_scripts import claim, layout, settings
from build_scripts.errors import ServerError
from build_scripts.settings import Settings


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(layout, "RUN", tmp_path)
    parser = ArgumentParser()
    settings.add_arguments(parser)
    return settings.from_arguments(parser.parse_args([]), {})


def test_a_name_is_held_by_one(one: Settings) -> None:
    with claim.locked(one):
        assert claim.is_held(one.run)
        with pytest.raises(ServerError, match="is running already"), claim.locked(one):
            pass
    assert not claim.is_held(one.run)


def test_a_look_keeps_nobody_from_starting(one: Settings) -> None:
    one.run.mkdir()
    look = (one.run / "lock").open("w")
    fcntl.flock(look, fcntl.LOCK_EX)
    threading.Timer(claim.LOOK_S / 4, look.close).start()
    with claim.locked(one):
        assert claim.is_held(one.run)


def test_a_folder_that_is_cleaned_away_meanwhile_is_made_anew(
    one: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, cleaned = fcntl.flock, []

    def clean_first(file: IO[str], operation: int) -> None:
        if not cleaned:
            cleaned.append(shutil.rmtree(one.run))
        lock(file, operation)

    monkeypatch.setattr(fcntl, "flock", clean_first)
    with claim.locked(one):
        assert claim.is_held(one.run)
