"""Minutes of a recording or of a transcript, and answers to questions about one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, aclosing
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from onecard_client.minutes import MinutesEvent, MinutesSummary, event_to_dict
from onecard_gateway.chat.body import MAX_TRANSCRIPT_BYTES, read_object, take_flag, wrong
from onecard_gateway.errors import Refusal
from onecard_gateway.guards.access import needs
from onecard_gateway.guards.request_log import facts
from onecard_gateway.keys.key import SPEECH, TEXT
from onecard_gateway.servers import servers
from onecard_gateway.speech import options as speech_options
from onecard_gateway.speech.ahead import Asked
from onecard_gateway.speech.form import Fields
from onecard_gateway.speech.minutes import TEMPLATES, options, verify_scopes, whole
from onecard_gateway.speech.recording import receiving
from onecard_gateway.streams import Events

router = APIRouter(prefix="/v1", tags=["onecard"], dependencies=[needs(TEXT, of_forms=(SPEECH,))])
Document = dict[str, Any]
# Arguments of the client's method, which are no options of a server's.
_ARGUMENTS = ("self", "timeout_s", "request_id")
_OPTIONS = {
    "template": {"type": "string", "enum": TEMPLATES, "default": "meeting"},
    "question": {"type": "string", "description": "In place of minutes: an answer."},
    "instructions": {"type": "string"},
    "schema": {"type": "object", "description": "JSON schema of a document made of the findings."},
    "language": {"type": "string", "description": "Of what is written."},
    "stream": {"type": "boolean", "default": False},
}
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["transcript"],
                    "properties": {
                        "transcript": {"type": "object", "description": "A RESULT."},
                        "speakers": {"type": "object", "description": "Names, by labels."},
                        **_OPTIONS,
                    },
                }
            },
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file"],
                    "properties": {"file": {"type": "string", "format": "binary"}, **_OPTIONS},
                }
            },
        },
    }
}


@router.post("/minutes", openapi_extra=_BODY)
async def minutes(request: Request) -> Response:
    """Title, summary, topics, decisions, action items, open questions and quotes.

    Each item cites segments. A form with `file`, which is transcribed first, or JSON with
    `transcript`. With `question` it is the answer to that. With `stream` the events of the work.
    """
    async with AsyncExitStack() as held:
        if _is_form(request):
            transcript, given, headers = await _from_form(request, held)
        else:
            given, headers = await read_object(request, MAX_TRANSCRIPT_BYTES), {}
            transcript = given.pop("transcript", None)
        if not isinstance(transcript, Mapping):
            raise wrong("transcript", transcript, "the JSON object of a transcription")
        is_streamed = take_flag(given, "stream", False)
        for name in _ARGUMENTS:
            if name in given:
                raise Refusal(400, f"option `{name}` is not known; leave it out", name)
        events = _events(request, transcript, given)
        held.push_async_callback(events.aclose)
        first = await anext(events)  # an error until here still has a status
        if is_streamed:
            return Events(_told(first, events), held.pop_all(), headers)
        document = await whole(events)
    told = {"transcript": transcript} if _is_form(request) else {}
    return JSONResponse({**document, **told}, headers=headers)


def _is_form(request: Request) -> bool:
    return request.headers.get("content-type", "").lower().startswith("multipart/form-data")


async def _from_form(
    request: Request, held: AsyncExitStack
) -> tuple[Document, Document, Mapping[str, str]]:
    """The transcript of the form's file, the options, and headers of the answer."""
    verify_scopes(request)
    recording = await held.enter_async_context(receiving(request, "file", _asked))
    fields = recording.fields
    given, asked = options(fields), _asked(fields)
    transcript = await recording.transcribed(asked.options)
    return transcript.to_dict(), given, fields.headers()


def _asked(fields: Fields) -> Asked:
    """What is asked of the recording; the rest is judged as well."""
    options(fields)
    return Asked(speech_options.own(fields))


async def _events(
    request: Request, transcript: Mapping[str, Any], given: Mapping[str, Any]
) -> AsyncGenerator[MinutesEvent, None]:
    """The events of the work; closing the generator ends it.

    Raises:
        Refusal: what was sent is no transcript.
        OnecardError: as `onecard_client.AsyncClient.minutes_stream` does.
    """
    known, found = facts(request), servers(request)
    with found.turn() as client:
        try:
            stream = client.minutes_stream(
                transcript, timeout_s=found.timeout_s, request_id=known.request_id, **given
            )
        except (TypeError, ValueError) as error:
            raise Refusal(400, str(error), "transcript") from error
        async with aclosing(stream):
            async for event in stream:
                if isinstance(event, MinutesSummary):
                    known.prompt_tokens = event.prompt_tokens
                    known.completion_tokens = event.completion_tokens
                    found.engines["minutes"] = dict(event.engine)
                yield event


async def _told(
    first: MinutesEvent, events: AsyncIterator[MinutesEvent]
) -> AsyncIterator[Mapping[str, Any]]:
    yield event_to_dict(first)
    async for event in events:
        yield event_to_dict(event)
