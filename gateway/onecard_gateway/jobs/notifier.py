"""Tells hosts of jobs that have ended, again and again until they have taken it."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import h11

from onecard_gateway.errors import Refusal
from onecard_gateway.jobs.job import Job
from onecard_gateway.jobs.store import Store
from onecard_gateway.webhooks import message
from onecard_gateway.webhooks.hosts import Hosts, NotAllowed

LOG = logging.getLogger("onecard_gateway")
# Between attempts; after the last one it is given up, in half a day or so.
PAUSES_S = (5.0, 30.0, 120.0, 600.0, 1800.0, 7200.0, 14400.0, 28800.0)
MAX_AT_A_TIME = 8
IDLE_S = 60.0
HELD_S = 60.0  # nobody else begins an attempt meanwhile, which takes less
_GONE = 410  # the receiver wants no more


class Notifier:
    """Sends what a store owes. A gateway that starts anew goes on with it.

    Args:
        document: what is told of a job.
    """

    def __init__(
        self, hosts: Hosts, secret: str, store: Store, document: Callable[[Job], dict[str, Any]]
    ) -> None:
        self._hosts = hosts
        self._key = message.key(secret)
        self._store = store
        self._document = document
        self._is_owed = asyncio.Event()

    def wake(self) -> None:
        """A job has ended."""
        self._is_owed.set()

    async def run(self) -> None:
        """Until it is cancelled. A host that does not answer holds up no other one."""
        under_way: set[asyncio.Task[None]] = set()
        try:
            while True:
                self._is_owed.clear()
                wait_s = await self._begin(under_way)
                with suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._is_owed.wait(), wait_s)
        finally:
            for task in under_way:
                task.cancel()

    async def _begin(self, under_way: set[asyncio.Task[None]]) -> float:
        """Begins what is owed, as far as there is room; seconds until there is more to do."""

        def ended(task: asyncio.Task[None]) -> None:
            under_way.discard(task)
            self._is_owed.set()

        try:
            room = MAX_AT_A_TIME - len(under_way)
            for job in await asyncio.to_thread(self._store.owed, room, HELD_S):
                task = asyncio.ensure_future(self._tell(job))
                under_way.add(task)
                task.add_done_callback(ended)
            if len(under_way) == MAX_AT_A_TIME:
                return IDLE_S  # whichever ends first wakes
            return await asyncio.to_thread(self._store.owed_in_s, IDLE_S)
        except Refusal:
            LOG.exception("what hosts are to be told cannot be read; it is tried again")
            return IDLE_S

    async def _tell(self, job: Job) -> None:
        status = await self._status(job)
        is_told = status is not None and 200 <= status < 300
        is_hopeless = status == _GONE or job.notices >= len(PAUSES_S)
        next_s = None if is_told or is_hopeless else time.time() + PAUSES_S[job.notices]
        await asyncio.to_thread(self._store.noticed, job.id, is_told, next_s)
        LOG.info("job %s webhook status=%s attempts=%d", job.id, status, job.notices + 1)

    async def _status(self, job: Job) -> int | None:
        """What the host answered; None where it could not be asked."""
        name, event_id = f"job.{job.state}", f"evt_{job.id}"
        told = {
            "id": event_id,
            "object": "event",
            "created_at": int(job.ended_s or 0),
            "type": name,
            "data": self._document(job),
        }
        body = json.dumps(told, ensure_ascii=False).encode()
        signed = message.headers(self._key, event_id, int(time.time()), body)
        try:
            target = self._hosts.verified(job.webhook or "")
            return await message.send(self._hosts, target, signed, body)
        except (Refusal, NotAllowed, OSError, asyncio.TimeoutError, h11.ProtocolError) as error:
            LOG.warning("job %s cannot be told of: %s", job.id, _reason(error))
            return None


def _reason(error: Exception) -> str:
    """Without the whole address, which may hold a secret of its receiver."""
    if isinstance(error, Refusal):
        return "its host is not among --webhook-hosts any more"
    if isinstance(error, asyncio.TimeoutError):
        return f"its host has not answered within {message.TIMEOUT_S:g} s"
    return str(error)
