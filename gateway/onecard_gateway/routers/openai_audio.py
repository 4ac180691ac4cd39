"""OpenAI's transcriptions and translations."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from onecard_client import Event, Progress, Segments, Transcript, text_of
from onecard_gateway.guards.access import needs
from onecard_gateway.keys.key import SPEECH
from onecard_gateway.speech import formats
from onecard_gateway.speech.ahead import Asked
from onecard_gateway.speech.form import Fields
from onecard_gateway.speech.recording import receiving
from onecard_gateway.speech.requested import requested
from onecard_gateway.streams import Events

router = APIRouter(prefix="/v1/audio", tags=["OpenAI"], dependencies=[needs(SPEECH)])
# The stage in which a recording that is none is found out.
_DECODING = "decode_audio"


@router.post("/transcriptions")
async def transcriptions(request: Request) -> Response:
    """What is said in a recording: json, text, srt, vtt, verbose_json, diarized_json or result.

    A form with `file` and, if wanted, `model`, `language`, `prompt`, `response_format`,
    `temperature`, `timestamp_granularities`, `stream`, and onecard's `diarize`, `num_speakers`,
    `min_speakers`, `max_speakers`, `hotwords`, `vad_filter`, `beam_size`, `segments`, `formats`.
    """
    return await _answer(request, "transcribe")


@router.post("/translations")
async def translations(request: Request) -> Response:
    """The same in English."""
    return await _answer(request, "translate")


async def _answer(request: Request, task: str) -> Response:
    def judge(fields: Fields) -> Asked:
        asked = requested(fields, task)
        return Asked(asked.options, asked.is_streamed)

    async with AsyncExitStack() as held:
        recording = await held.enter_async_context(receiving(request, "file", judge))
        asked = requested(recording.fields, task)
        if not asked.is_streamed:
            transcript = await recording.transcribed(asked.options)
            return formats.response(transcript, asked.form, asked.headers)
        stream = recording.events(asked.options)
        held.push_async_callback(stream.aclose)
        ready = await _until_decoded(stream)
        documents = _told(ready, stream, asked.form)
        return Events(documents, held.pop_all(), asked.headers)


async def _until_decoded(stream: AsyncGenerator[Event, None]) -> list[Event]:
    """What a stream says until its recording is decoded: so far an error still has a status."""
    ready: list[Event] = []
    async for event in stream:
        ready.append(event)
        if not isinstance(event, Progress) or event.stage != _DECODING:
            break
    return ready


async def _told(
    ready: list[Event], stream: AsyncIterator[Event], form: formats.Form
) -> AsyncIterator[Mapping[str, Any]]:
    """OpenAI's events of a transcription."""
    last: list[Any] = []  # the segment that the next one follows
    for event in ready:
        for document in _documents(event, last, form):
            yield document
    async for event in stream:
        for document in _documents(event, last, form):
            yield document


def _documents(event: Event, last: list[Any], form: formats.Form) -> list[Mapping[str, Any]]:
    if form.name == "result":
        return [_own(event)]
    if isinstance(event, Segments):
        return [_delta(segment, last) for segment in event.segments]
    if not isinstance(event, Transcript):
        return []
    told = formats.diarized_segments(event) if form.name == "diarized_json" else []
    done = {"type": "transcript.text.done", "text": event.text, **formats.rendered(event)}
    return [*told, done]


def _own(event: Event) -> Mapping[str, Any]:
    """An event as the server has it, which OpenAI's events have no room for."""
    if isinstance(event, Progress):
        stage = {"stage": event.stage, "done": event.done, "total": event.total}
        return {"type": "transcript.progress", **stage}
    if isinstance(event, Segments):
        told = [
            {"start": segment.start, "end": segment.end, "text": segment.text}
            for segment in event.segments
        ]
        return {"type": "transcript.segments", "segments": told}
    return {"type": "transcript.result", "result": event.to_dict()}


def _delta(segment: Any, last: list[Any]) -> Mapping[str, Any]:
    """The text of a segment, with what parts it from the one before."""
    text = text_of([*last, segment])[len(text_of(last)) :]
    last[:] = [segment]
    return {"type": "transcript.text.delta", "delta": text}
