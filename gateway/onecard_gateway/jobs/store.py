"""Jobs in SQLite, with their recordings beside it; what was accepted outlives the gateway.

Every method waits for the disk: call it in a thread.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO

from onecard_gateway.errors import Refusal
from onecard_gateway.jobs.folder import Folder
from onecard_gateway.jobs.job import DONE, FAILED, QUEUED, RUNNING, Job, JobsError, made_id
from onecard_gateway.speech.formats import Form

FILE = "jobs.sqlite3"
MAX_ATTEMPTS = 3
_VERSION = 2
_ARRIVING = "arriving"  # its recording is being copied; nobody knows of it yet
_TABLE = """CREATE TABLE IF NOT EXISTS jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    owner TEXT NOT NULL,
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    created_s REAL NOT NULL,
    started_s REAL,
    ended_s REAL,
    num_bytes INTEGER NOT NULL,
    options TEXT NOT NULL,
    form TEXT NOT NULL,
    error TEXT,
    result TEXT,
    webhook TEXT,
    notices INTEGER NOT NULL DEFAULT 0,
    notice_s REAL,
    noticed_s REAL
)"""
# What version 1 had not; `notice_s` is when the webhook is to be told next.
_ADDED = (
    "webhook TEXT", "notices INTEGER NOT NULL DEFAULT 0", "notice_s REAL", "noticed_s REAL",
)  # fmt: skip
_COLUMNS = (
    "id, owner, state, attempts, created_s, started_s, ended_s, options, form, error, webhook, "
    "notices, noticed_s"
)
_IS_SEEN = f"state != '{_ARRIVING}' AND (ended_s IS NULL OR ended_s > :oldest)"
_IS_OWN = "(:owner IS NULL OR owner = :owner)"


class Store:
    """The jobs of a folder, which it takes up as the last gateway left them.

    Args:
        max_bytes: recordings and results may have together.
        keep_s: jobs are kept so long from their end.

    Raises:
        JobsError: the folder or its database cannot be used.
    """

    def __init__(self, folder: Path, max_bytes: int, keep_s: float) -> None:
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._folder = Folder(folder)
        self._lock = threading.Lock()
        with ExitStack() as held:
            held.callback(self._folder.close)
            try:
                self._database = sqlite3.connect(
                    folder / FILE, check_same_thread=False, isolation_level=None
                )
                held.callback(self._database.close)
                self._open()
            except (sqlite3.Error, JobsError, OSError, Refusal) as error:
                raise JobsError(f"the jobs in `{folder / FILE}` cannot be read: {error}") from error
            held.pop_all()

    def _open(self) -> None:
        self._database.row_factory = sqlite3.Row
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version > _VERSION:
            raise JobsError(f"they are of version {version}, must be {_VERSION}; move them aside")
        with self._transaction() as database:
            database.execute(_TABLE)
            for column in _ADDED if version == 1 else ():
                database.execute(f"ALTER TABLE jobs ADD COLUMN {column}")
            database.execute(f"PRAGMA user_version = {_VERSION}")
        self._take_up()

    def _take_up(self) -> None:
        """What was under way waits again; what ended its gateway too often has failed."""
        with self._transaction() as database:
            database.execute("DELETE FROM jobs WHERE state = ?", (_ARRIVING,))
            database.execute("UPDATE jobs SET state = ? WHERE state = ?", (QUEUED, RUNNING))
            waiting = database.execute("SELECT id, attempts FROM jobs WHERE state = ?", (QUEUED,))
            for job_id, attempts in waiting.fetchall():
                if attempts >= MAX_ATTEMPTS:
                    text = f"the gateway ended amid this job {attempts} times; it was given up"
                    self._end(database, job_id, FAILED, error=Refusal(500, text))
                elif not self._folder.recording(job_id).exists():
                    text = "the recording of this job is gone from the disk; send it again"
                    self._end(database, job_id, FAILED, error=Refusal(500, text))
            left = database.execute("SELECT id FROM jobs WHERE state = ?", (QUEUED,)).fetchall()
        self._folder.remove_others({job_id for (job_id,) in left})

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        """Raises Refusal where the disk is full, or fails."""
        try:
            with self._lock, self._database:
                self._database.execute("BEGIN IMMEDIATE")
                yield self._database
        except sqlite3.OperationalError as error:
            text = f"the jobs cannot be read or written ({error}); have the disk looked at"
            raise Refusal(507, text, code="insufficient_storage") from error

    def verify_room(self, num_bytes: int) -> None:
        """Raises Refusal where a recording of that size cannot be kept."""
        with self._transaction() as database:
            self._verify_room(database, num_bytes)

    def _verify_room(self, database: sqlite3.Connection, num_bytes: int) -> None:
        if num_bytes > self._max_bytes:
            raise Refusal(
                413,
                f"the upload has {num_bytes} bytes, and all jobs together may have "
                f"{self._max_bytes}; compress it, or have --jobs-max-bytes raised",
            )
        (used,) = database.execute("SELECT COALESCE(SUM(num_bytes), 0) FROM jobs").fetchone()
        if used + num_bytes > self._max_bytes:
            raise Refusal(
                507,
                f"the upload has {num_bytes} bytes, and the jobs that are kept have {used} of "
                f"the {self._max_bytes} that they may have; delete some, or wait until some end",
                code="insufficient_storage",
            )

    def add(
        self,
        owner: str,
        options: Mapping[str, Any],
        form: Form,
        audio: BinaryIO,
        num_bytes: int,
        webhook: str | None = None,
    ) -> Job:
        """A new job, which is on the disk with its recording.

        Raises Refusal where there is no room for it.
        """
        job_id = made_id()
        values = (job_id, owner, _ARRIVING, time.time(), num_bytes)
        texts = (json.dumps(dict(options)), json.dumps(asdict(form)), webhook)
        with self._transaction() as database:
            self._verify_room(database, num_bytes)
            database.execute(
                "INSERT INTO jobs (id, owner, state, created_s, num_bytes, options, form, webhook) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*values, *texts),
            )
        try:
            self._folder.keep(job_id, audio)
            with self._transaction() as database:
                database.execute("UPDATE jobs SET state = ? WHERE id = ?", (QUEUED, job_id))
                return _found(database, job_id)
        except BaseException as error:
            self.remove(job_id)
            if isinstance(error, OSError):
                text = f"the recording cannot be kept ({error.strerror}); have the disk looked at"
                raise Refusal(507, text, code="insufficient_storage") from error
            raise

    def find(self, job_id: str, owner: str | None) -> Job | None:
        """A job with its result; None for no owner means anybody's."""
        query = f"SELECT {_COLUMNS}, result FROM jobs WHERE id = :id AND {_IS_SEEN} AND {_IS_OWN}"
        with self._transaction() as database:
            row = database.execute(query, self._values(id=job_id, owner=owner)).fetchone()
        return None if row is None else _job(row)

    def page(self, owner: str | None, limit: int, after: str | None) -> list[Job]:
        """Jobs without results, the newest first; with `after`, those that are older than it."""
        query = (
            f"SELECT {_COLUMNS}, NULL AS result FROM jobs WHERE {_IS_SEEN} AND {_IS_OWN} AND "
            "(:after IS NULL OR number < (SELECT number FROM jobs WHERE id = :after)) "
            "ORDER BY number DESC LIMIT :limit"
        )
        values = self._values(owner=owner, limit=limit, after=after)
        with self._transaction() as database:
            return [_job(row) for row in database.execute(query, values)]

    def waiting(self, excluded: Collection[str], limit: int) -> list[str]:
        """Ids of those that waited longest."""
        query = "SELECT id FROM jobs WHERE state = ? ORDER BY number LIMIT ?"
        with self._transaction() as database:
            rows = database.execute(query, (QUEUED, limit + len(excluded))).fetchall()
        return [job_id for (job_id,) in rows if job_id not in excluded][:limit]

    def begin(self, job_id: str) -> Job | None:
        """Counts an attempt. None for a job that does not wait any more."""
        change = (
            "UPDATE jobs SET state = ?, attempts = attempts + 1, started_s = ? "
            "WHERE id = ? AND state = ?"
        )
        with self._transaction() as database:
            values = (RUNNING, time.time(), job_id, QUEUED)
            if not database.execute(change, values).rowcount:
                return None
            return _found(database, job_id)

    def put_back(self, job_id: str, is_counted: bool) -> None:
        """It waits again, if it was under way."""
        change = "UPDATE jobs SET state = ?, attempts = attempts - ? WHERE id = ? AND state = ?"
        with self._transaction() as database:
            database.execute(change, (QUEUED, 0 if is_counted else 1, job_id, RUNNING))

    def recording(self, job_id: str) -> Path:
        """Where a job's recording is until the job has ended."""
        return self._folder.recording(job_id)

    def transcript(self, job_id: str) -> str | None:
        """What an attempt that ended before its minutes were made has left."""
        path = self._folder.transcript(job_id)
        return path.read_text(encoding="utf-8") if path.exists() else None

    def keep_transcript(self, job_id: str, text: str) -> None:
        """Keep a transcript until the job has ended."""
        self._folder.keep_transcript(job_id, text)

    def finish(self, job_id: str, result: str) -> None:
        """It is done, and its recording deleted."""
        with self._transaction() as database:
            self._end(database, job_id, DONE, result=result)
        self._folder.remove(job_id)

    def fail(self, job_id: str, error: Refusal) -> None:
        """It has failed, and its recording is deleted."""
        with self._transaction() as database:
            self._end(database, job_id, FAILED, error=error)
        self._folder.remove(job_id)

    def _end(
        self,
        database: sqlite3.Connection,
        job_id: str,
        state: str,
        result: str | None = None,
        error: Refusal | None = None,
    ) -> None:
        told = None if error is None else json.dumps(error.openai()["error"])
        num_bytes = len((result or "").encode())
        database.execute(
            "UPDATE jobs SET state = ?, ended_s = ?, result = ?, error = ?, num_bytes = ?, "
            "notice_s = CASE WHEN webhook IS NULL THEN NULL ELSE 0 END WHERE id = ?",
            (state, time.time(), result, told, num_bytes, job_id),
        )

    def owed(self, limit: int, held_s: float) -> list[Job]:
        """Jobs, without results, whose webhooks are to be told now; who waited longest first.

        They are not owed again for `held_s`, unless `noticed` says when.
        """
        query = (
            f"SELECT {_COLUMNS}, NULL AS result FROM jobs WHERE notice_s <= :now AND {_IS_SEEN} "
            "ORDER BY notice_s LIMIT :limit"
        )
        now = time.time()
        with self._transaction() as database:
            rows = database.execute(query, self._values(now=now, limit=limit)).fetchall()
            for row in rows:
                values = (now + held_s, row["id"])
                database.execute("UPDATE jobs SET notice_s = ? WHERE id = ?", values)
        return [_job(row) for row in rows]

    def owed_in_s(self, longest_s: float) -> float:
        """Seconds until the next webhook is to be told, `longest_s` at most."""
        with self._transaction() as database:
            (next_s,) = database.execute("SELECT MIN(notice_s) FROM jobs").fetchone()
        return longest_s if next_s is None else min(max(0.0, next_s - time.time()), longest_s)

    def noticed(self, job_id: str, is_told: bool, next_s: float | None) -> None:
        """A webhook was told or tried; `next_s` is when it is tried again."""
        change = "UPDATE jobs SET notices = notices + 1, notice_s = ?, noticed_s = ? WHERE id = ?"
        with self._transaction() as database:
            database.execute(change, (next_s, time.time() if is_told else None, job_id))

    def remove(self, job_id: str) -> None:
        """Forgets a job, whatever its state."""
        with self._transaction() as database:
            database.execute("DELETE FROM jobs WHERE id = ?", (job_id,))
        self._folder.remove(job_id)

    def expire(self) -> None:
        """Forgets those that ended too long ago."""
        with self._transaction() as database:
            database.execute("DELETE FROM jobs WHERE ended_s <= :oldest", self._values())

    def close(self) -> None:
        with self._lock:
            self._database.close()
        self._folder.close()

    def _values(self, **values: Any) -> dict[str, Any]:
        return {"oldest": time.time() - self._keep_s, **values}


def _found(database: sqlite3.Connection, job_id: str) -> Job:
    query = f"SELECT {_COLUMNS}, result FROM jobs WHERE id = ?"
    return _job(database.execute(query, (job_id,)).fetchone())


def _job(row: sqlite3.Row) -> Job:
    found = dict(row)
    found["options"] = json.loads(found["options"])
    found["form"] = Form(**json.loads(found["form"]))
    found["error"] = json.loads(found["error"]) if found["error"] else None
    return Job(**found)
