"""The client for asyncio; the same names, arguments and defaults as the blocking one."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any, cast

from onecard_client._clients import voice
from onecard_client._clients.blocking import DEFAULT_TIMEOUT_S, HEALTH_TIMEOUT_S
from onecard_client._clients.voice import Voice
from onecard_client._errors import CallContext, OnecardError, unfinished
from onecard_client._transport import wire
from onecard_client._transport.aio_connection import AsyncConnection
from onecard_client._transport.source import AudioSource, read_audio
from onecard_client.chat import AsyncChatStream, Messages, messages_to_json
from onecard_client.events import Event, Progress
from onecard_client.health import Health, SpeechModel
from onecard_client.ledger import Ledger
from onecard_client.limits import Limits
from onecard_client.mail import Email, emails_to_json
from onecard_client.minutes import (
    Answer,
    Collector,
    M,
    Minutes,
    MinutesEvent,
    MinutesProgress,
    OnNote,
    TranscriptSource,
    is_transcript,
    transcript_to_json,
)
from onecard_client.transcript import Transcript
from onecard_client.triage import AsyncTriageStream, OnProgress


class AsyncClient(AsyncConnection):
    """A connection to a onecard server; belongs to the event loop that made its first call.

        async with AsyncClient("localhost:8001") as client:
            transcript = await client.transcribe("talk.wav", language="en", max_speakers=3)

    Args:
        url: `host:port` of Triton's gRPC service; `grpcs://host:port` for TLS.
        headers: sent with every call, such as a token that a proxy wants.
        root_certificates: PEM file to verify the server with; None for gRPC's own list.
        certificate_chain, private_key: PEM files of the caller's own certificate and its key, for a
            server that lets in nobody else.
        max_retries: how often a call is made again when it ended in `Unavailable`; None for as
            long as `timeout_s` allows while a server answers, or is gone that was there before, and
            4 times where there never was one.
        on_outage: called with the error, once in a call, before the wait for a server that is gone.
    """

    async def transcribe(
        self,
        audio: AudioSource,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        **options: Any,
    ) -> Transcript:
        """Transcribes like `Client.transcribe`. Cancelling the task cancels the request."""
        context = self._context(timeout_s, request_id)
        transcript = None
        read = partial(read_audio, audio)
        stream = self._stream(wire.TRANSCRIBE, read, options, context, repeats_all=True)
        async with aclosing(stream):
            async for event in stream:
                if isinstance(event, Transcript):
                    transcript = event
                elif isinstance(event, Progress) and on_progress is not None:
                    on_progress(event)
        if transcript is None:
            raise unfinished(context)
        return transcript

    def transcribe_stream(
        self,
        audio: AudioSource,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        **options: Any,
    ) -> AsyncGenerator[Event, None]:
        """Yields events like `Client.transcribe_stream`.

        Leaving an `async for` early does not close the generator at once; `contextlib.aclosing`
        does, and with it cancels the request.
        """
        context = self._context(timeout_s, request_id)
        return self._stream(wire.TRANSCRIBE, partial(read_audio, audio), options, context)

    async def voice(
        self,
        audio: AudioSource,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        **options: Any,
    ) -> Voice:
        """The voice of the one person in `audio`, like `Client.voice`."""
        options = {**voice.OPTIONS, **options}
        return voice.of(
            await self.transcribe(audio, timeout_s=timeout_s, request_id=request_id, **options)
        )

    def chat(
        self,
        messages: Messages,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        **options: Any,
    ) -> AsyncChatStream:
        """Asks like `Client.chat`; use `async with` on the stream to leave it early."""
        content = messages_to_json(messages)
        context = self._context(timeout_s, request_id)
        return AsyncChatStream(self._stream(wire.CHAT, lambda: content, options, context))

    def triage(
        self,
        emails: Iterable[Email | Mapping[str, Any]],
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        on_progress: OnProgress | None = None,
        **options: Any,
    ) -> AsyncTriageStream:
        """Judges like `Client.triage`; use `async with` on the stream to leave it early."""
        content = emails_to_json(emails)
        context = self._context(timeout_s, request_id)
        events = self._stream(wire.TRIAGE, lambda: content, options, context)
        return AsyncTriageStream(events, on_progress)

    async def minutes(
        self,
        source: AudioSource | TranscriptSource,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        on_progress: Callable[[Progress | MinutesProgress], object] | None = None,
        on_note: OnNote | None = None,
        transcription: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Minutes:
        """Makes minutes like `Client.minutes`. Cancelling the task cancels the request."""
        content = await self._transcript(source, timeout_s, on_progress, transcription)
        asked = (content, timeout_s, request_id, on_progress, on_note, options)
        return await self._made(Minutes, *asked)

    async def ask(
        self,
        source: AudioSource | TranscriptSource,
        question: str,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        on_progress: Callable[[Progress | MinutesProgress], object] | None = None,
        on_note: OnNote | None = None,
        transcription: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> Answer:
        """Answers like `Client.ask`."""
        content = await self._transcript(source, timeout_s, on_progress, transcription)
        given = {**options, "question": question}
        return await self._made(Answer, content, timeout_s, request_id, on_progress, on_note, given)

    def minutes_stream(
        self,
        source: AudioSource | TranscriptSource,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        **options: Any,
    ) -> AsyncGenerator[MinutesEvent, None]:
        """Yields events like `Client.minutes_stream`; leave it as `transcribe_stream`."""
        context = self._context(timeout_s, request_id)
        if not is_transcript(source):
            read = partial(read_audio, cast(AudioSource, source))
            return self._stream(wire.MINUTES_OF_AUDIO, read, options, context)
        content = transcript_to_json(source)
        return self._stream(wire.MINUTES, lambda: content, options, context)

    async def _transcript(
        self,
        source: Any,
        timeout_s: float | None,
        on_progress: Callable[[Any], object] | None,
        transcription: Mapping[str, Any] | None,
    ) -> bytes:
        """TRANSCRIPT of `source`, which may be audio."""
        if not is_transcript(source):
            given = dict(transcription or {})
            transcribing = self.transcribe(
                source, timeout_s=timeout_s, on_progress=on_progress, **given
            )
            source = await transcribing
        return transcript_to_json(source)

    async def _made(
        self,
        kind: type[M],
        content: bytes,
        timeout_s: float | None,
        request_id: str | None,
        on_progress: Callable[[Any], object] | None,
        on_note: OnNote | None,
        options: Mapping[str, Any],
    ) -> M:
        context = self._context(timeout_s, request_id)
        collector = Collector(kind, on_progress, on_note)
        async with aclosing(
            self._stream(wire.MINUTES, lambda: content, options, context)
        ) as stream:
            async for event in stream:
                collector.take(event)
        if collector.made is None:
            raise unfinished(context)
        return collector.made

    async def limits(self, *, timeout_s: float | None = HEALTH_TIMEOUT_S) -> Limits:
        """Asks like `Client.limits`."""
        context = self._context(timeout_s, None)
        return wire.limits(await self._ask(*wire.LIMITS, context))

    async def ledger(self, *, timeout_s: float | None = HEALTH_TIMEOUT_S) -> Ledger | None:
        """Asks like `Client.ledger`."""
        context = self._context(timeout_s, None)
        return wire.ledger(await self._ask(*wire.LEDGER, context))

    async def capacity(self, *, timeout_s: float | None = HEALTH_TIMEOUT_S) -> int:
        """Asks like `Client.capacity`."""
        context = self._context(timeout_s, None)
        return wire.capacity(await self._ask(*wire.CAPACITY, context))

    async def speech_models(self, *, timeout_s: float | None = HEALTH_TIMEOUT_S) -> tuple[str, ...]:
        """Asks like `Client.speech_models`."""
        context = self._context(timeout_s, None)
        return wire.speech_models(await self._ask(*wire.SPEECH_MODELS, context))

    async def health(self, *, timeout_s: float | None = HEALTH_TIMEOUT_S) -> Health:
        """Asks like `Client.health`."""
        context = self._context(timeout_s, None)
        found = wire.health([await self._ask(*question, context) for question in wire.HEALTH])
        return replace(found, speech_models=await self._speech_states(context))

    async def _speech_states(self, context: CallContext) -> tuple[SpeechModel, ...]:
        """Which Whispers are loaded; a server without speech has none, and asking is an error."""
        try:
            states = wire.speech_states(await self._ask(*wire.SPEECH_MODELS, context))
        except OnecardError:
            return ()
        found = []
        for state, question in states.items():
            try:
                is_loaded = (await self._ask(*question, context)).ready
            except OnecardError:  # which Triton's answer is for a model that was never loaded
                is_loaded = False
            found.append(replace(state, loaded=is_loaded))
        return tuple(found)
