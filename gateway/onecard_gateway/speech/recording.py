"""A form's recording, and what a server makes of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from typing import Any

from starlette.datastructures import UploadFile
from starlette.requests import Request

from onecard_client import Event, Transcript, Unavailable
from onecard_gateway.speech.ahead import Ahead, Asked, Judge
from onecard_gateway.speech.form import Fields, read_form
from onecard_gateway.speech.work import events, transcribed


class Recording:
    """A recording that has come, and may have gone on meanwhile.

    It goes again, from disk, where fields behind it ask for something else than those before it,
    and where the server to which it went was lost.

    Attributes:
        fields: those of its form.
    """

    def __init__(self, request: Request, fields: Fields, upload: UploadFile, ahead: Ahead) -> None:
        self._request = request
        self._ahead = ahead
        self.fields = fields
        self.upload = upload

    async def transcribed(self, options: Mapping[str, Any]) -> Transcript:
        """As `speech.work.transcribed`."""
        work = self._ahead.work(Asked(options))
        if work is not None:
            try:
                found: Transcript = await work.first
            except Unavailable:
                pass
            else:
                return found
        await self._ahead.close()
        return await transcribed(self._request, self.upload.file, options)

    async def events(self, options: Mapping[str, Any]) -> AsyncGenerator[Event, None]:
        """As `speech.work.events`."""
        work = self._ahead.work(Asked(options, is_streamed=True))
        if work is not None and work.rest is not None:
            try:
                first: Event = await work.first
            except Unavailable:
                pass
            else:
                yield first
                async for event in work.rest:
                    yield event
                return
        await self._ahead.close()
        async with aclosing(events(self._request, self.upload.file, options)) as stream:
            async for event in stream:
                yield event


@asynccontextmanager
async def receiving(request: Request, name: str, judge: Judge) -> AsyncIterator[Recording]:
    """The recording in a form's field `name`; leaving ends the work on it, and deletes it.

    Args:
        judge: what fields ask for, as far as they have come.

    Raises:
        Refusal: as `read_form` and `judge` do, and where there is no one such recording.
        ClientDisconnect: its sender left before the end.
    """
    ahead = Ahead(request, name, judge)
    try:
        form = await read_form(request, ahead.look)
        try:
            yield Recording(request, form.fields, form.fields.file(name), ahead)
        finally:
            await form.close()
    finally:
        await ahead.close()
