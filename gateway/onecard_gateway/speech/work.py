"""Recordings sent to a server under the name of the request that they came with."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, BinaryIO

from starlette.requests import Request

from onecard_client import Event, GrowingFile, Segments, Transcript
from onecard_gateway.guards.request_log import facts
from onecard_gateway.servers import servers
from onecard_gateway.speech.chosen import with_model
from onecard_gateway.speech.references import resolved

Audio = BinaryIO | bytes | GrowingFile


async def transcribed(
    request: Request, audio: Audio, options: Mapping[str, Any], upload_s: float = 0.0
) -> Transcript:
    """The transcript of a recording; cancelling ends the work on it.

    Args:
        upload_s: how long it may take until a growing file has grown, beside the work.

    Raises:
        Refusal: a reference of a known speaker has no voice.
        OnecardError: as `onecard_client.AsyncClient.transcribe` does.
    """
    known, found = facts(request), servers(request)
    with found.turn() as client:
        options = await with_model(client, options)
        options, voices_s = await resolved(client, options, found.timeout_s, known.request_id)
        transcript = await client.transcribe(
            audio, timeout_s=found.timeout_s + upload_s, request_id=known.request_id, **options
        )
    known.audio_s = voices_s + transcript.duration_s
    found.engines |= transcript.engine
    return transcript


async def events(
    request: Request, audio: Audio, options: Mapping[str, Any], upload_s: float = 0.0
) -> AsyncGenerator[Event, None]:
    """The same as events; closing the generator ends the work.

    Raises:
        Refusal: a reference of a known speaker has no voice.
        OnecardError: as `onecard_client.AsyncClient.transcribe_stream` does.
    """
    known, found = facts(request), servers(request)
    with found.turn() as client:
        options = await with_model(client, options)
        options, voices_s = await resolved(client, options, found.timeout_s, known.request_id)
        stream = client.transcribe_stream(
            audio, timeout_s=found.timeout_s + upload_s, request_id=known.request_id, **options
        )
        async with aclosing(stream):
            async for event in stream:
                if isinstance(event, Segments) and event.segments:
                    # for those who leave before the end
                    known.audio_s = max(known.audio_s or 0.0, voices_s + event.segments[-1].end)
                elif isinstance(event, Transcript):
                    known.audio_s = voices_s + event.duration_s
                    found.engines |= event.engine
                yield event
