"""The database of jobs from one version to the next."""

from __future__ import annotations

import io
import sqlite3
from pathlib import Path

import pytest

from onecard_gateway.jobs.job import JobsError
from onecard_gateway.jobs.store import FILE, Store
from onecard_gateway.speech.formats import Form

LIMITS = (10**6, 3600.0)


def altered(folder: Path, *changes: str) -> None:
    database = sqlite3.connect(folder / FILE)
    for change in changes:
        database.execute(change)
    database.close()


def test_jobs_of_the_version_before_are_taken_up(tmp_path: Path) -> None:
    folder = tmp_path / "jobs"
    store = Store(folder, *LIMITS)
    job = store.add("", {"language": "en"}, Form("json"), io.BytesIO(b"x"), 1)
    store.close()
    added = ("webhook", "notices", "notice_s", "noticed_s")
    drops = [f"ALTER TABLE jobs DROP COLUMN {column}" for column in added]
    altered(folder, *drops, "PRAGMA user_version = 1")
    again = Store(folder, *LIMITS)
    assert again.find(job.id, None) == job
    again.finish(job.id, "{}")
    assert again.owed(8, 60.0) == []
    told = again.add("", {}, Form("json"), io.BytesIO(b"x"), 1, "https://hooks.example/")
    again.finish(told.id, "{}")
    assert [(one.id, one.webhook) for one in again.owed(8, 60.0)] == [
        (told.id, "https://hooks.example/"),
    ]
    assert again.owed(8, 60.0) == []
    assert 50 < again.owed_in_s(3600.0) <= 60
    again.noticed(told.id, False, 0.0)
    assert [one.notices for one in again.owed(8, 60.0)] == [1]
    again.noticed(told.id, True, None)
    assert again.owed_in_s(3600.0) == 3600.0
    again.close()


def test_jobs_of_a_later_version_are_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "jobs"
    Store(folder, *LIMITS).close()
    altered(folder, "PRAGMA user_version = 3")
    with pytest.raises(JobsError, match="of version 3, must be 2; move them aside"):
        Store(folder, *LIMITS)
