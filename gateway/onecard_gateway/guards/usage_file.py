"""Seconds of audio that keys have used, in SQLite: a limit of a day outlives a gateway."""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from onecard_gateway.guards.usage import DAY_S, Usage

LOG = logging.getLogger("onecard_gateway")
_MODE, _FOLDER_MODE = 0o600, 0o700
_TABLE = """CREATE TABLE IF NOT EXISTS audio (
    owner TEXT NOT NULL, time_s REAL NOT NULL, seconds REAL NOT NULL
)"""


class Used(dict[str, Usage]):
    """What each key has used, by its hash; a new one's begins with what the file has of it.

    A file that cannot be had is logged, and what is used then is in memory alone.

    Args:
        path: made when the first seconds are counted; None for memory alone.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path
        self._database: sqlite3.Connection | None = None
        if path is not None and path.exists():
            self._take_up(path)

    def __missing__(self, owner: str) -> Usage:
        found = self[owner] = Usage(lambda audio_s: self._add(owner, audio_s))
        return found

    def close(self) -> None:
        if self._database is not None:
            self._database.close()

    def _take_up(self, path: Path) -> None:
        now_s, now = time.monotonic(), time.time()
        try:
            rows = self._opened(path).execute(
                "SELECT owner, time_s, seconds FROM audio WHERE time_s > ? ORDER BY time_s",
                (now - DAY_S,),
            )
            for owner, time_s, seconds in rows.fetchall():
                self[owner].take_up(seconds, now_s - max(0.0, now - time_s))
        except (sqlite3.Error, OSError) as error:
            self._complain(error)

    def _add(self, owner: str, audio_s: float) -> None:
        if self._path is None:
            return
        now = time.time()
        try:
            database = self._opened(self._path)
            with database:
                database.execute("DELETE FROM audio WHERE time_s <= ?", (now - DAY_S,))
                database.execute("INSERT INTO audio VALUES (?, ?, ?)", (owner, now, audio_s))
        except (sqlite3.Error, OSError) as error:
            self._complain(error)

    def _opened(self, path: Path) -> sqlite3.Connection:
        if self._database is None:
            path.parent.mkdir(mode=_FOLDER_MODE, parents=True, exist_ok=True)
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, _MODE))
            database = sqlite3.connect(path, check_same_thread=False, timeout=1.0)
            try:
                database.execute("PRAGMA journal_mode = WAL")
                database.execute("PRAGMA synchronous = NORMAL")  # a second's loss is no matter
                database.execute(_TABLE)
            except sqlite3.Error:
                with suppress(sqlite3.Error):
                    database.close()
                raise
            self._database = database
        return self._database

    def _complain(self, error: Exception) -> None:
        LOG.error("what keys have used is in memory alone, for `%s`: %s", self._path, error)
