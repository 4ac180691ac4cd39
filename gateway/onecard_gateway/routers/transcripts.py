"""Files of a transcript that its reader has already, with speakers named as he names them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request
from starlette.responses import PlainTextResponse, Response

from onecard_client import InvalidTranscript, Transcript
from onecard_gateway.chat.body import MAX_TRANSCRIPT_BYTES, read_object, wrong
from onecard_gateway.errors import Refusal
from onecard_gateway.guards.access import needs
from onecard_gateway.keys.key import SPEECH, TEXT
from onecard_gateway.speech import formats

router = APIRouter(
    prefix="/v1/transcripts", tags=["transcripts"], dependencies=[needs(SPEECH, TEXT)]
)
# By the extension of the file, with its media type.
_WRITERS: Mapping[str, tuple[str, Callable[[Transcript], str]]] = {
    "txt": ("text/plain", Transcript.to_txt),
    "srt": ("application/x-subrip", Transcript.to_srt),
    "vtt": ("text/vtt", formats.vtt),
    "tsv": ("text/tab-separated-values", Transcript.to_tsv),
    "json": ("application/json", Transcript.to_json),
    "aud": ("text/plain", Transcript.to_aud),
}


@router.post("/{extension}")
async def written(request: Request, extension: str) -> Response:
    """A RESULT as a file: txt, srt, vtt, tsv, json or aud.

    Its `speakers`, and those of segments and words, may have any names.
    """
    if extension not in _WRITERS:
        raise wrong("extension", extension, f"one of {', '.join(_WRITERS)}")
    found = await read_object(request, MAX_TRANSCRIPT_BYTES)
    kind, write = _WRITERS[extension]

    def made() -> str:
        return write(Transcript.from_dict(found))

    try:
        text = await asyncio.to_thread(made)
    except InvalidTranscript as error:
        raise Refusal(400, str(error)) from error
    return PlainTextResponse(text, media_type=kind)
