"""Work on a recording that begins while its form comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request

from onecard_client import Event, GrowingFile, InvalidRequest
from onecard_gateway.errors import Refusal, refusal
from onecard_gateway.speech.form import Coming, Fields, WrongValue, stated_bytes
from onecard_gateway.speech.uploads import Uploads
from onecard_gateway.speech.work import events, transcribed

# A file of more than this is on disk (Starlette's `spool_max_size`) and goes on in parts of it.
PART_BYTES = 2**20
# For each of them, or the server's upload is given up: it has few, and some of them for others.
PART_S = 2.0
# What the server refuses of these, no other field puts right.
_ALONE = ("language", "task")


@dataclass(frozen=True)
class Asked:
    """What fields ask of a recording: the server's options, and whether for events."""

    options: Mapping[str, Any]
    is_streamed: bool = False


# None where nothing can begin before the recording is whole. Raises Refusal for wrong fields.
Judge = Callable[[Fields], Asked | None]


class Ahead:
    """Watches a form, and hands its recording on as it comes.

    A recording that comes before all fields, small, or too slowly is left to whoever has the form.

    Args:
        name: the recording's field.
    """

    def __init__(self, request: Request, name: str, judge: Judge) -> None:
        self._request = request
        self._name = name
        self._judge = judge
        self._uploads: Uploads = request.app.state.uploads
        self._is_judged = False
        self._asked: Asked | None = None
        self._next_bytes = PART_BYTES + 1  # to be told of
        self._work: _Work | None = None

    async def look(self, coming: Coming) -> None:
        """Raises Refusal for fields that are wrong, whatever follows the recording."""
        file = coming.files.get(self._name)
        if file is None:
            return
        if not self._is_judged:
            self._is_judged = True
            self._asked = self._found(coming)
        if self._work is not None:
            self._work.verify()
        if self._asked is not None:
            await self._hand_on(file, self._asked, coming.has_all_of(file))

    def _found(self, coming: Coming) -> Asked | None:
        if not coming.has_fields:
            return None
        try:
            return self._judge(coming.fields())
        except WrongValue:
            raise
        except Refusal:
            return None  # fields behind the recording may complete it

    async def _hand_on(self, file: UploadFile, asked: Asked, is_whole: bool) -> None:
        size = file.size or 0
        if size < self._next_bytes and not is_whole:
            return
        self._next_bytes = size + PART_BYTES
        if self._work is None and not is_whole and self._uploads.begin_ahead():
            self._work = _Work(self._request, file, asked, self._uploads.end_ahead)
        if self._work is not None and not self._work.is_given_up:
            await run_in_threadpool(file.file.flush)
            self._work.grow(size, is_whole)
        if self._work is None or is_whole:
            self._asked = None  # nothing more is to be done here

    def work(self, asked: Asked) -> _Work | None:
        """The work that has begun, if it is the work that is asked for."""
        work = self._work
        return work if work is not None and work.is_of(asked) else None

    async def close(self) -> None:
        """Ends the work, if there is any."""
        if self._work is not None:
            await self._work.close()


class _Work:
    """What a server does with a recording that comes.

    Args:
        on_whole: called once, when the server's upload has ended or is given up.

    Attributes:
        first: the transcript, or the first event of `rest`.
    """

    def __init__(
        self, request: Request, file: UploadFile, asked: Asked, on_whole: Callable[[], None]
    ) -> None:
        self._asked = asked
        self._on_whole: Callable[[], None] | None = on_whole
        self._content = GrowingFile(file.file)
        self._timer = asyncio.get_running_loop().call_later(PART_S, self._give_up)
        self.is_given_up = False
        self.rest: AsyncGenerator[Event, None] | None = None
        num_bytes = stated_bytes(request) or request.app.state.settings.max_body_bytes
        upload_s = num_bytes / PART_BYTES * PART_S  # at most, or it is given up
        given = request, self._content, asked.options, upload_s
        self.first: asyncio.Future[Any]
        if asked.is_streamed:
            self.rest = events(*given)
            self.first = asyncio.ensure_future(anext(self.rest))
        else:
            self.first = asyncio.ensure_future(transcribed(*given))

    def is_of(self, asked: Asked) -> bool:
        return self._asked == asked and not self.is_given_up

    def verify(self) -> None:
        """Raises Refusal for what the server has refused for good."""
        if not self.first.done() or self.first.cancelled():
            return
        error = self.first.exception()
        if isinstance(error, InvalidRequest) and refusal(error).param in _ALONE:
            raise refusal(error)

    def grow(self, num_bytes: int, is_whole: bool) -> None:
        self._timer.cancel()
        self._content.grow(num_bytes)
        if is_whole:
            self._content.end()
            self._leave()
        else:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(PART_S, self._give_up)

    def _give_up(self) -> None:
        self.is_given_up = True
        self.first.cancel()
        self._leave()

    def _leave(self) -> None:
        self._timer.cancel()
        if self._on_whole is not None:
            self._on_whole()
            self._on_whole = None

    async def close(self) -> None:
        self._give_up()
        await asyncio.gather(self.first, return_exceptions=True)
        if self.rest is not None:
            await self.rest.aclose()
        with self._content:
            pass
