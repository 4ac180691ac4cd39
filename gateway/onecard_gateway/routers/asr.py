"""whisper-asr-webservice's API, and that of whisperx-blackwell."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import aclosing
from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from onecard_client import Segments, Transcript
from onecard_gateway.guards.access import needs
from onecard_gateway.keys.key import SPEECH
from onecard_gateway.speech import formats, languages, options
from onecard_gateway.speech.ahead import Asked
from onecard_gateway.speech.form import Fields
from onecard_gateway.speech.recording import receiving
from onecard_gateway.speech.work import events

router = APIRouter(tags=["whisper-asr-webservice"], dependencies=[needs(SPEECH)])
ENGINE = {"asr-engine": "onecard"}
OUTPUTS = ("txt", "vtt", "srt", "tsv", "json")
# What `encode=false` means: samples without a header.
RAW = {"encoding": "pcm_s16le", "sample_rate": 16_000, "channels": 1}
# A language is detected by the first half minute, as Whisper does it.
_DETECTION_BYTES = 30 * 16_000 * 2


@router.post("/asr")
async def asr(request: Request) -> Response:
    """A recording's transcript as txt, vtt, srt, tsv or json (`output`).

    A form with `audio_file`; the rest may be in the query or the form: `encode` (false: raw 16-bit
    samples at 16 kHz), `task`, `language`, `initial_prompt`, `vad_filter`, `word_timestamps`,
    `output`, `diarize`, `min_speakers`, `max_speakers`, `return_speaker_embeddings`.
    """
    async with receiving(request, "audio_file", _asked) as recording:
        fields = recording.fields
        output, has_words = _wanted(fields)
        given = _options(fields, output, has_words)
        named = _attachment(recording.upload.filename, output)
        headers = {**ENGINE, **fields.headers(), **named}
        transcript = await recording.transcribed(given)
    if output == "json":
        has_words = has_words or transcript.turns is not None
        return JSONResponse(_document(transcript, has_words), headers=headers)
    return PlainTextResponse(_text(transcript, output), headers=headers)


def _asked(fields: Fields) -> Asked:
    return Asked(_options(fields, *_wanted(fields)))


def _wanted(fields: Fields) -> tuple[str, bool]:
    """How the answer is told, and whether words have times. Raises Refusal as `_options`."""
    output = fields.choice("output", OUTPUTS, "txt")
    has_words = fields.flag("word_timestamps") or False
    if output != "json":
        options.verify_room_for_formats(fields, "output", output)
    return output, has_words


def _options(fields: Fields, output: str, has_words: bool) -> dict[str, Any]:
    """Raises Refusal for fields that cannot be followed."""
    given: dict[str, Any] = {
        "task": fields.text("task") or "transcribe",
        "model": fields.text("model"),
        "language": fields.text("language"),
        "initial_prompt": fields.text("initial_prompt"),
        "speaker_embeddings": fields.flag("return_speaker_embeddings"),
    }
    given = {name: value for name, value in given.items() if value is not None}
    given |= _encoding(fields) | options.own(fields)
    has_speakers = options.wants_speakers(fields, given) or False
    needs_times = has_words or output not in ("txt", "json")
    return given | {"diarize": has_speakers, "align": has_speakers or needs_times}


def _encoding(fields: Fields) -> dict[str, Any]:
    return dict(RAW) if fields.flag("encode") is False else {}


def _attachment(name: str | None, output: str) -> dict[str, str]:
    named = quote(PurePath(name or "audio").name)
    return {"content-disposition": f'attachment; filename="{named}.{output}"'}


def _text(transcript: Transcript, output: str) -> str:
    if output == "vtt":
        return formats.vtt(transcript)
    texts = {"txt": transcript.to_txt, "srt": transcript.to_srt, "tsv": transcript.to_tsv}
    return texts[output]()


def _document(transcript: Transcript, has_words: bool) -> dict[str, Any]:
    document = formats.verbose(transcript, formats.Form("verbose_json", "transcribe", has_words))
    document |= {"language": transcript.language}  # a code, other than in OpenAI's
    if transcript.speaker_embeddings is not None:
        embeddings = transcript.speaker_embeddings.items()
        document["speaker_embeddings"] = {name: list(vector) for name, vector in embeddings}
    return document


@router.post("/detect-language")
async def detect_language(request: Request) -> Response:
    """The language that is spoken first in a recording: its name, its code, how probable it is."""
    async with receiving(request, "audio_file", _asked_of_language) as recording:
        given, headers = _of_language(recording.fields), {**ENGINE, **recording.fields.headers()}
        if "encoding" in given:
            first = await recording.upload.read(_DETECTION_BYTES)
            stream = events(request, first, given)
        else:
            stream = recording.events(given)
        async with aclosing(stream):
            async for event in stream:
                found = _language(event)
                if found is not None:
                    break
    return JSONResponse(found, headers=headers)


def _asked_of_language(fields: Fields) -> Asked | None:
    given = _of_language(fields)
    return None if "encoding" in given else Asked(given, is_streamed=True)


def _of_language(fields: Fields) -> dict[str, Any]:
    return {"diarize": False, "align": False, **_encoding(fields)}


def _language(event: Any) -> dict[str, Any] | None:
    """What an event tells of the language: the first segments of a newer server, or the result."""
    if isinstance(event, Transcript):
        code, probability = event.language, event.language_probability
    elif isinstance(event, Segments) and "language" in event.extra:
        code = str(event.extra["language"])
        probability = event.extra.get("language_probability")
    else:
        return None
    return {
        "detected_language": languages.name(code),
        "language_code": code,
        "confidence": probability,
    }


@router.post("/transcribe", tags=["whisperx-blackwell"])
async def transcribe(request: Request) -> Response:
    """Segments, words and speakers of `file`; `language` is a code or `auto`."""
    async with receiving(request, "file", _asked_of_transcribe) as recording:
        asked = _asked_of_transcribe(recording.fields)
        headers = recording.fields.headers()
        transcript = await recording.transcribed(asked.options)
    found = transcript.to_dict()
    document = {
        "status": "success",
        "language": transcript.language,
        "segments": found["segments"],
        "word_segments": found["word_segments"],
        "speakers": _speakers(found["segments"]),
        "num_speakers": len(transcript.speakers),
        "diarization_device": transcript.engine.get("diarize", {}).get("device"),
        "dropped": found["account"]["dropped"],
        **formats.rendered(transcript),
    }
    return JSONResponse(document, headers=headers)


def _asked_of_transcribe(fields: Fields) -> Asked:
    language = fields.text("language")
    return Asked(options.own(fields) | ({} if language is None else {"language": language}))


def _speakers(segments: list[Mapping[str, Any]]) -> dict[str, dict[str, float]]:
    """Seconds and number of the segments of each speaker."""
    speakers: dict[str, dict[str, float]] = {}
    for segment in segments:
        name = segment.get("speaker") or "UNKNOWN"
        one = speakers.setdefault(name, {"duration": 0.0, "segments": 0})
        one["duration"] = round(one["duration"] + segment["end"] - segment["start"], 3)
        one["segments"] += 1
    return speakers
