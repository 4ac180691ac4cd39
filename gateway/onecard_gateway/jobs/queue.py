"""Jobs and the work on them: a few at a time, the oldest first."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, BinaryIO

from onecard_client import MinutesProgress, MinutesSummary, OnecardError, Progress, Transcript
from onecard_client.minutes import MinutesEvent
from onecard_gateway.errors import Refusal, refusal
from onecard_gateway.jobs.job import RUNNING, Job, JobsError
from onecard_gateway.jobs.notifier import Notifier
from onecard_gateway.jobs.store import FILE, MAX_ATTEMPTS, Store
from onecard_gateway.servers import Servers
from onecard_gateway.settings import Settings
from onecard_gateway.speech import formats, minutes
from onecard_gateway.speech.chosen import with_model
from onecard_gateway.speech.formats import Form
from onecard_gateway.speech.references import resolved
from onecard_gateway.webhooks.hosts import Hosts

LOG = logging.getLogger("onecard_gateway")
# Between attempts; doubled up to the second one.
PAUSE_S, MAX_PAUSE_S = 2.0, 60.0
# Those who watch are told at least as often, or proxies would take them for gone.
TOLD_S = 15.0
EXPIRE_S = 60.0
RETRY_S = 5.0
_HOUR_S = 3600.0
_BUSY, _TIMEOUT = 503, 504


class Queue:
    """The jobs of a gateway; its folder is opened when it is needed.

    Args:
        on_audio: called with the owner and the seconds that were recognized for a job.
    """

    def __init__(
        self, settings: Settings, servers: Servers, on_audio: Callable[[str, float], None]
    ) -> None:
        self._settings = settings
        self._servers = servers
        self._on_audio = on_audio
        self._keep_s = settings.jobs_keep_hours * _HOUR_S
        self.hosts = Hosts(settings.webhook_hosts)
        self._notifier: Notifier | None = None
        self._notifying: asyncio.Task[None] | None = None
        self._store: Store | None = None
        self._opening: asyncio.Task[Store] | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}  # by job
        self._progress: dict[str, dict[str, Any]] = {}  # of those under way: by job, by stage
        self._watchers: dict[str, set[asyncio.Event]] = {}  # by job
        self._choosing: asyncio.Task[None] | None = None
        self._retrying: asyncio.Task[None] | None = None
        self._is_changed = asyncio.Event()  # for who chooses
        self._is_released = False  # whoever watches

    async def start(self) -> None:
        """Takes up the jobs that an earlier gateway left."""
        folder = self._settings.jobs_folder
        if folder is None or not (folder / FILE).exists():
            return
        try:
            await self._opened()
        except Refusal as error:
            LOG.error("jobs are not taken up yet: %s", error)
            self._retrying = asyncio.ensure_future(self._retry())

    async def _retry(self) -> None:
        """Until the gateway before this one has ended, and whatever else is amiss."""
        while self._store is None:
            await asyncio.sleep(RETRY_S)
            with suppress(Refusal):
                await self._opened()

    def release(self) -> None:
        """Whoever watches a job is let go: those who want more ask the next gateway."""
        self._is_released = True
        for job_id in self._watchers:
            self._tell(job_id)

    async def stop(self) -> None:
        """Ends the work; what is under way waits for the next gateway."""
        if self._retrying is not None:
            await _cancelled(self._retrying)
        if self._store is None or self._choosing is None:
            return
        await _cancelled(self._choosing)
        if self._notifying is not None:
            await _cancelled(self._notifying)
        for job_id, task in tuple(self._tasks.items()):
            await _cancelled(task)
            await asyncio.to_thread(self._store.put_back, job_id, False)
        await asyncio.to_thread(self._store.close)

    async def verify_room(self, num_bytes: int) -> None:
        """Raises Refusal where a recording of that size cannot be kept."""
        store = await self._opened()
        await asyncio.to_thread(store.verify_room, num_bytes)

    async def add(
        self,
        owner: str,
        options: Mapping[str, Any],
        form: Form,
        audio: BinaryIO,
        num_bytes: int,
        webhook: str | None = None,
    ) -> Job:
        """A new job, which outlives this gateway. A caller that leaves before has none.

        Raises Refusal where there is no room for it.
        """
        store = await self._opened()
        adding = asyncio.ensure_future(
            asyncio.to_thread(store.add, owner, options, form, audio, num_bytes, webhook)
        )
        try:
            job = await asyncio.shield(adding)
        except asyncio.CancelledError:
            await asyncio.wait((adding,))  # it reads `audio`
            if adding.exception() is None:
                await self.forget(adding.result().id, None)
            raise
        self._is_changed.set()
        return job

    async def find(self, job_id: str, owner: str | None) -> Job:
        """A job with its result. Raises Refusal where there is none, or it is another's."""
        store = await self._opened()
        job = await asyncio.to_thread(store.find, job_id, owner)
        if job is None:
            raise Refusal(
                404,
                f"there is no job `{job_id[:80]}` of yours; it was deleted, or its time is over: "
                "`GET /v1/jobs` lists what there is",
            )
        return job

    async def page(self, owner: str | None, limit: int, after: str | None) -> list[Job]:
        """Jobs without results, the newest first; with `after`, those that are older than it."""
        store = await self._opened()
        return await asyncio.to_thread(store.page, owner, limit, after)

    async def forget(self, job_id: str, owner: str | None) -> None:
        """Ends the work on a job and deletes what there is of it. Raises Refusal as `find` does."""
        await self.find(job_id, owner)
        store = await self._opened()
        try:
            await asyncio.to_thread(store.remove, job_id)
        finally:  # also for a caller that leaves meanwhile
            self._tell(job_id)
            task = self._tasks.get(job_id)
            if task is not None:
                task.cancel()
        if task is not None:
            await asyncio.wait((task,))

    async def watch(self, job_id: str, owner: str | None) -> AsyncGenerator[Job | None, None]:
        """A job whenever something of it has changed, until it has ended; None if it is gone."""
        store = await self._opened()
        changed = asyncio.Event()
        self._watchers.setdefault(job_id, set()).add(changed)
        try:
            while True:
                changed.clear()
                job = await asyncio.to_thread(store.find, job_id, owner)
                yield job
                if job is None or job.is_over or self._is_released:
                    return
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(changed.wait(), TOLD_S)
        finally:
            self._watchers[job_id].discard(changed)
            if not self._watchers[job_id]:
                del self._watchers[job_id]

    def document(self, job: Job) -> dict[str, Any]:
        """What its owner reads of a job."""
        progress = self._progress.get(job.id, {}) if job.state == RUNNING else {}
        return job.document(self._keep_s, progress)

    async def _opened(self) -> Store:
        """Raises Refusal where there are no jobs, or their folder cannot be used."""
        if self._store is not None:
            return self._store
        if self._settings.jobs_folder is None:
            text = "this gateway keeps no jobs; have it started with --jobs-folder"
            raise Refusal(404, text, code="jobs_off")
        if self._opening is None or self._opening.done():
            self._opening = asyncio.ensure_future(self._open(self._settings.jobs_folder))
        # Whoever leaves must not end it: what was opened would be held, and nobody have it.
        return await asyncio.shield(self._opening)

    async def _open(self, folder: Path) -> Store:
        limits = (self._settings.jobs_max_bytes, self._keep_s)
        try:
            self._store = await asyncio.to_thread(Store, folder, *limits)
        except JobsError as error:
            raise Refusal(503, str(error), code="jobs_unavailable") from error
        self._choosing = asyncio.ensure_future(self._choose(self._store))
        secret = self._settings.webhook_secret
        if secret is not None:
            self._notifier = Notifier(self.hosts, secret, self._store, self.document)
            self._notifying = asyncio.ensure_future(self._notifier.run())
        return self._store

    async def _choose(self, store: Store) -> None:
        """Begins what waits whenever there is room, and lets expire what is old."""
        while True:
            self._is_changed.clear()
            try:
                await asyncio.to_thread(store.expire)
                room = self._settings.jobs_at_a_time - len(self._tasks)
                for job_id in await asyncio.to_thread(store.waiting, tuple(self._tasks), room):
                    self._begin(store, job_id)
            except Exception:
                LOG.exception("the folder of jobs cannot be read; it is tried again")
                await asyncio.sleep(MAX_PAUSE_S)
            with suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._is_changed.wait(), EXPIRE_S)

    def _begin(self, store: Store, job_id: str) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            del self._tasks[job_id]
            self._progress.pop(job_id, None)
            self._tell(job_id)
            self._is_changed.set()
            if self._notifier is not None:
                self._notifier.wake()

        self._tasks[job_id] = asyncio.ensure_future(self._run(store, job_id))
        self._tasks[job_id].add_done_callback(ended)

    async def _run(self, store: Store, job_id: str) -> None:
        try:
            await self._attempts(store, job_id)
        except Exception:
            LOG.exception("job %s is left as it is until the next start", job_id)

    async def _attempts(self, store: Store, job_id: str) -> None:
        pause_s = PAUSE_S
        while (job := await asyncio.to_thread(store.begin, job_id)) is not None:
            self._tell(job_id)
            error = await self._attempt(store, job)
            if error is None:
                return
            # A server that is full or gone is waited for; one that this job may have ended is not.
            is_counted = error.status != _BUSY or bool(self._progress.pop(job_id, None))
            is_hopeless = error.status < 500 or error.status == _TIMEOUT
            if is_hopeless or (is_counted and job.attempts >= MAX_ATTEMPTS):
                await asyncio.to_thread(store.fail, job_id, error)
                LOG.info("job %s failed status=%d attempts=%d", job_id, error.status, job.attempts)
                return
            await asyncio.to_thread(store.put_back, job_id, is_counted)
            self._tell(job_id)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, MAX_PAUSE_S)

    async def _attempt(self, store: Store, job: Job) -> Refusal | None:
        """The reason why it did not succeed."""
        began_s = time.monotonic()
        progress = self._progress[job.id] = {}

        def on_progress(event: Progress | MinutesProgress) -> None:
            progress[event.stage] = {"done": event.done, "total": event.total}
            self._tell(job.id)

        try:
            transcript, audio_s = await self._heard(store, job, on_progress)
            result = await self._result(transcript, job, on_progress)
        except Refusal as error:
            return error
        except OnecardError as error:
            return refusal(error)
        except OSError as error:
            return Refusal(500, f"the recording cannot be read ({error.strerror})")
        await asyncio.to_thread(store.finish, job.id, result)
        self._servers.engines |= transcript.engine
        self._on_audio(job.owner, audio_s)
        took_s = round(time.monotonic() - began_s, 3)
        LOG.info(
            "job %s done seconds=%s audio_s=%s attempts=%d", job.id, took_s, audio_s, job.attempts
        )
        return None

    async def _heard(
        self, store: Store, job: Job, on_progress: Callable[[Progress], object]
    ) -> tuple[Transcript, float]:
        """As `_transcribed`; one that minutes are made of is kept, so that it is made once."""
        if job.form.minutes is None:
            return await self._transcribed(store, job, on_progress)
        kept = await asyncio.to_thread(store.transcript, job.id)
        if kept is not None:
            known: dict[str, Any] = json.loads(kept)
            return Transcript.from_dict(known["transcript"]), known["audio_s"]
        transcript, audio_s = await self._transcribed(store, job, on_progress)
        known = {"transcript": transcript.to_dict(), "audio_s": audio_s}
        text = json.dumps(known, ensure_ascii=False)
        await asyncio.to_thread(store.keep_transcript, job.id, text)
        return transcript, audio_s

    async def _result(
        self, transcript: Transcript, job: Job, on_progress: Callable[[MinutesProgress], object]
    ) -> str:
        """What the job comes to: the transcript as it was asked for, or minutes beside it."""
        if job.form.minutes is None:
            return bytes(formats.response(transcript, job.form, {}).body).decode()
        made = await self._minutes(transcript, job, on_progress)
        return json.dumps({**made, "transcript": transcript.to_dict()}, ensure_ascii=False)

    async def _minutes(
        self, transcript: Transcript, job: Job, on_progress: Callable[[MinutesProgress], object]
    ) -> dict[str, Any]:
        async def told() -> AsyncGenerator[MinutesEvent, None]:
            async for event in events:
                if isinstance(event, MinutesProgress):
                    on_progress(event)
                elif isinstance(event, MinutesSummary):
                    self._servers.engines["minutes"] = dict(event.engine)
                yield event

        given = job.form.minutes or {}
        timeout_s = self._servers.timeout_s
        with self._servers.turn() as client:
            events = client.minutes_stream(
                transcript, timeout_s=timeout_s, request_id=job.id, **given
            )
            async with aclosing(events), aclosing(told()) as heard:
                return await minutes.whole(heard)

    async def _transcribed(
        self, store: Store, job: Job, on_progress: Callable[[Progress], object]
    ) -> tuple[Transcript, float]:
        """A job's transcript, and the seconds that were recognized for it."""
        timeout_s = self._servers.timeout_s
        with self._servers.turn() as client:
            options = await with_model(client, job.options)
            options, voices_s = await resolved(client, options, timeout_s, job.id)
            transcript = await client.transcribe(
                store.recording(job.id),
                timeout_s=timeout_s,
                request_id=job.id,
                on_progress=on_progress,
                **options,
            )
        return transcript, voices_s + transcript.duration_s

    def _tell(self, job_id: str) -> None:
        for changed in self._watchers.get(job_id, ()):
            changed.set()


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancels a task, and waits for its end."""
    task.cancel()
    await asyncio.wait((task,))
