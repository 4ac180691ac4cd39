"""Jobs: transcriptions that outlast a connection."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from starlette.responses import JSONResponse, Response

from onecard_gateway.errors import Refusal
from onecard_gateway.guards.access import needs
from onecard_gateway.guards.request_log import facts
from onecard_gateway.jobs.job import RUNNING, Job
from onecard_gateway.jobs.queue import Queue
from onecard_gateway.keys.key import ADMIN, SPEECH
from onecard_gateway.speech import minutes, options
from onecard_gateway.speech.form import Fields, read_form
from onecard_gateway.speech.formats import Form
from onecard_gateway.speech.requested import TASKS, Requested, requested
from onecard_gateway.streams import Events
from onecard_gateway.webhooks.hosts import FIELD as WEBHOOK

router = APIRouter(prefix="/v1/jobs", tags=["jobs"])
MAX_LISTED = 1000
MINUTES = "minutes"  # the task, and the format of its result
_LOOKS = needs(SPEECH, ADMIN)


@router.post("", status_code=202, dependencies=[needs(SPEECH)])
async def create(request: Request) -> Response:
    """A job, as soon as its recording is on the gateway's disk.

    A form with the fields of `/v1/audio/transcriptions`, `task`: transcribe or translate, and
    `webhook_url`, an address that is told of the end. With the `task` minutes it has the fields of
    `/v1/minutes`, and its answer is the result.
    """
    jobs = _jobs(request)
    stated = request.headers.get("content-length", "")
    await jobs.verify_room(int(stated) if stated.isdecimal() else 0)
    async with AsyncExitStack() as held:
        form = await read_form(request)
        held.push_async_callback(form.close)
        upload = form.fields.file("file")
        webhook = form.fields.text(WEBHOOK)
        if webhook is not None:
            jobs.hosts.verified(webhook)
        asked = await _asked(request, form.fields)
        if asked.is_streamed:
            raise Refusal(
                400,
                "`stream` is true, and a job is answered at once; leave it out, and read the "
                "job's `/events`",
                "stream",
            )
        job = await jobs.add(
            _owner(request), asked.options, asked.form, upload.file, upload.size or 0, webhook
        )
    headers = {**asked.headers, "location": f"/v1/jobs/{job.id}"}
    return JSONResponse(jobs.document(job), 202, headers)


@router.get("", dependencies=[_LOOKS])
async def every(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_LISTED)] = 100,
    after: str | None = None,
) -> dict[str, Any]:
    """The caller's jobs, the newest first, without results; `after` an id, those before it."""
    jobs = _jobs(request)
    found = await jobs.page(_seen(request), limit + 1, after)
    data = [jobs.document(job) for job in found[:limit]]
    return {"object": "list", "data": data, "has_more": len(found) > limit}


@router.get("/{job_id}", dependencies=[_LOOKS])
async def one(request: Request, job_id: str) -> dict[str, Any]:
    """A job: queued, running with its progress, done with `result`, or failed with `error`."""
    jobs = _jobs(request)
    return jobs.document(await jobs.find(job_id, _seen(request)))


@router.delete("/{job_id}", dependencies=[_LOOKS])
async def forget(request: Request, job_id: str) -> dict[str, Any]:
    """Ends the work on a job, and deletes its recording and its result."""
    await _jobs(request).forget(job_id, _seen(request))
    return {"id": job_id, "object": "job", "deleted": True}


@router.get("/{job_id}/events", dependencies=[_LOOKS])
async def events(request: Request, job_id: str) -> Response:
    """A job now, and whenever it changes: `queued`, `progress`, at last `done` or `failed`.

    A job that is deleted meanwhile ends with `deleted`.
    """
    jobs, owner = _jobs(request), _seen(request)
    await jobs.find(job_id, owner)
    watched = jobs.watch(job_id, owner)
    held = AsyncExitStack()
    held.push_async_callback(watched.aclose)
    return Events(_told(jobs, job_id, watched), held, is_named=True)


async def _told(
    jobs: Queue, job_id: str, watched: AsyncIterator[Job | None]
) -> AsyncIterator[Mapping[str, Any]]:
    async for job in watched:
        if job is None:
            yield {"type": "deleted", "id": job_id, "object": "job"}
        else:
            name = "progress" if job.state == RUNNING else job.state
            yield {"type": name, **jobs.document(job)}


async def _asked(request: Request, fields: Fields) -> Requested:
    task = fields.choice("task", (*TASKS, MINUTES), "transcribe")
    if task != MINUTES:
        return requested(fields, task)
    minutes.verify_scopes(request)
    given = minutes.options(fields)
    is_streamed = given.pop("stream", False)
    await minutes.verify(request, given)
    form = Form(MINUTES, minutes=given)
    return Requested(options.own(fields), form, is_streamed, fields.headers())


def _jobs(request: Request) -> Queue:
    found: Queue = request.app.state.jobs
    return found


def _owner(request: Request) -> str:
    """Whose the caller's jobs are: by the hash of the key, as another may get its name."""
    holder = facts(request).holder
    return "" if holder is None else holder.sha256


def _seen(request: Request) -> str | None:
    """Whose jobs the caller sees; None for everybody's."""
    holder = facts(request).holder
    return None if holder is not None and ADMIN in holder.scopes else _owner(request)
