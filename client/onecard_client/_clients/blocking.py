"""The blocking client: all calls to a server."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Any, cast

from onecard_client._clients import voice
from onecard_client._clients.voice import Voice
from onecard_client._errors import CallContext, OnecardError, unfinished
from onecard_client._transport import wire
from onecard_client._transport.connection import Connection
from onecard_client._transport.source import AudioSource, read_audio
from onecard_client.chat import ChatStream, Messages, messages_to_json
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
from onecard_client.triage import OnProgress, TriageStream

# An hour: at twice real time on a small CPU, two hours of audio.
DEFAULT_TIMEOUT_S = 3600.0
HEALTH_TIMEOUT_S = 5.0


class Client(Connection):
    """A connection to a onecard server; may be shared by threads.

        with Client("localhost:8001") as client:
            transcript = client.transcribe("talk.wav", language="en", max_speakers=3)

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

    def transcribe(
        self,
        audio: AudioSource,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        on_progress: Callable[[Progress], object] | None = None,
        **options: Any,
    ) -> Transcript:
        """Transcribes `audio` and waits for the whole transcript.

        Args:
            audio: a path, the bytes of a file, or a file object opened as binary; any container
                that FFmpeg knows, or raw PCM with `encoding`, `sample_rate` and `channels`. A file
                is read while it is sent.
            timeout_s: time for everything, retries included; the server stops when it is over.
                None waits without a limit.
            request_id: a name for the request in the server's log; made up if not given.
            on_progress: called with each `Progress`.
            options: WhisperX's names, such as `language`, `task`, `min_speakers`, and `model`, one
                of `speech_models`; the server refuses what it does not know and says what it knows.

        Raises:
            OnecardError: one of its subclasses; see `onecard_client._errors`.
            OSError: the audio file cannot be read.
        """
        context = self._context(timeout_s, request_id)
        transcript = None
        read = partial(read_audio, audio)
        stream = self._stream(wire.TRANSCRIBE, read, options, context, repeats_all=True)
        with closing(stream):
            for event in stream:
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
    ) -> Generator[Event, None, None]:
        """Transcribes `audio` and yields events: Progress, Segments, and the Transcript last.

        The request is sent when the first event is asked for. Closing the generator, or leaving a
        loop over it, cancels the request. Arguments and errors are those of `transcribe`; once more
        than Progress was yielded, nothing is retried.
        """
        context = self._context(timeout_s, request_id)
        return self._stream(wire.TRANSCRIBE, partial(read_audio, audio), options, context)

    def voice(
        self,
        audio: AudioSource,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        **options: Any,
    ) -> Voice:
        """The voice of the one person in `audio`, 2 to 10 s of speech are enough.

            agent = client.voice("agent.wav")
            client.transcribe("talk.wav", known_speakers={"agent": agent})

        Voices are of the server's network: others cannot compare them. Arguments and errors are
        those of `transcribe`.

        Raises:
            InvalidRequest: also for too little speech.
        """
        options = {**voice.OPTIONS, **options}
        return voice.of(
            self.transcribe(audio, timeout_s=timeout_s, request_id=request_id, **options)
        )

    def chat(
        self,
        messages: Messages,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        **options: Any,
    ) -> ChatStream:
        """Asks the language model, and yields its answer's text as it comes.

        The request is sent when the first piece is asked for, and cancelled when the stream is
        closed or left behind. Once a piece was yielded, nothing is retried.

        Args:
            messages: what a user says, or a conversation: objects with the texts `role` (`system`,
                `user`, `assistant` or `tool`) and `content`, as the server takes them.
            timeout_s, request_id: as in `transcribe`.
            options: such as `max_tokens`, `temperature`, `top_p`, `seed`, `stop`,
                `response_format`, `tools`, `tool_choice`; the server refuses what it does not know
                and says what it knows. With `stream=False` the answer comes in one piece, at its
                end.

        Returns:
            An iterator over texts that also has `text`, `usage`, `finish_reason`, `problem`,
            `engine`, `logprobs` and `tool_calls`.

        Raises:
            OnecardError: one of its subclasses; see `onecard_client._errors`.
            TypeError: `messages` is neither a text nor a list of objects.
        """
        content = messages_to_json(messages)
        context = self._context(timeout_s, request_id)
        return ChatStream(self._stream(wire.CHAT, lambda: content, options, context))

    def triage(
        self,
        emails: Iterable[Email | Mapping[str, Any]],
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        on_progress: OnProgress | None = None,
        **options: Any,
    ) -> TriageStream:
        """Judges emails, and yields a verdict for each as it is decided.

        The request is sent when the first verdict is asked for, and cancelled when the stream is
        closed or left behind. Once a verdict was yielded, nothing is retried.

        Args:
            emails: `Email`s, or objects with the texts `id`, `from`, `to`, `date`, `subject` and
                `body`, as the server takes them.
            timeout_s, request_id: as in `transcribe`.
            on_progress: called with each `TriageProgress`, between the verdicts.
            options: such as `categories`, `priorities`, `instructions`; the server refuses what it
                does not know and says what it knows. With `stream=False` all verdicts come
                at the end, and no progress.

        Returns:
            An iterator over verdicts that also has `verdicts` and, at its end, `summary`.

        Raises:
            OnecardError: one of its subclasses; see `onecard_client._errors`.
            TypeError: `emails` are something else.
        """
        content = emails_to_json(emails)
        context = self._context(timeout_s, request_id)
        events = self._stream(wire.TRIAGE, lambda: content, options, context)
        return TriageStream(events, on_progress)

    def minutes(
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
        """Makes minutes of a transcript, or of audio, which is transcribed first.

        Audio takes two requests, each of which is tried again if it fails, and waits among all
        recordings of the server as others do; `minutes_stream` does it in one.

        Args:
            source: a Transcript, its document, the path of one (`.json`), or audio as in
                `transcribe`.
            timeout_s, request_id: as in `transcribe`; the time is for each of the two requests.
            on_progress: called with each `Progress` of the transcription, then with each
                `MinutesProgress`.
            on_note: called with each `Note`, as soon as it was written.
            transcription: options of the transcription, where `source` is audio.
            options: such as `template`, `instructions`, `language`, `speakers`; the server refuses
                what it does not know and says what it knows.

        Raises:
            OnecardError: one of its subclasses; see `onecard_client._errors`.
            OSError: the file cannot be read.
            ValueError: it holds no transcript.
        """
        content = self._transcript(source, timeout_s, on_progress, transcription)
        return self._made(Minutes, content, timeout_s, request_id, on_progress, on_note, options)

    def ask(
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
        """Answers `question` from one transcript or recording; arguments are those of `minutes`."""
        content = self._transcript(source, timeout_s, on_progress, transcription)
        asked = {**options, "question": question}
        return self._made(Answer, content, timeout_s, request_id, on_progress, on_note, asked)

    def minutes_stream(
        self,
        source: AudioSource | TranscriptSource,
        *,
        timeout_s: float | None = DEFAULT_TIMEOUT_S,
        request_id: str | None = None,
        **options: Any,
    ) -> Generator[MinutesEvent, None, None]:
        """Makes minutes in one request and yields events, the MinutesSummary last.

        Of audio the server makes the transcript first: progress, Segments and the Transcript come
        before the notes, and the option `transcription` holds its options. The request is sent when
        the first event is asked for. Closing the generator cancels it.
        """
        context = self._context(timeout_s, request_id)
        if not is_transcript(source):
            read = partial(read_audio, cast(AudioSource, source))
            return self._stream(wire.MINUTES_OF_AUDIO, read, options, context)
        content = transcript_to_json(source)
        return self._stream(wire.MINUTES, lambda: content, options, context)

    def _transcript(
        self,
        source: Any,
        timeout_s: float | None,
        on_progress: Callable[[Any], object] | None,
        transcription: Mapping[str, Any] | None,
    ) -> bytes:
        """TRANSCRIPT of `source`, which may be audio."""
        if not is_transcript(source):
            given = dict(transcription or {})
            source = self.transcribe(source, timeout_s=timeout_s, on_progress=on_progress, **given)
        return transcript_to_json(source)

    def _made(
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
        with closing(self._stream(wire.MINUTES, lambda: content, options, context)) as stream:
            for event in stream:
                collector.take(event)
        if collector.made is None:
            raise unfinished(context)
        return collector.made

    def limits(self, *, timeout_s: float | None = HEALTH_TIMEOUT_S) -> Limits:
        """Asks how many tokens a chat may have; not retried.

        Raises:
            OnecardError: such as ConnectionFailed, where no server answers.
        """
        context = self._context(timeout_s, None)
        return wire.limits(self._ask(*wire.LIMITS, context))

    def ledger(self, *, timeout_s: float | None = HEALTH_TIMEOUT_S) -> Ledger | None:
        """Asks how the server's plan shares out its card's memory; not retried.

        Returns None where an older server does not tell.

        Raises:
            OnecardError: such as ConnectionFailed, where no server answers.
        """
        context = self._context(timeout_s, None)
        return wire.ledger(self._ask(*wire.LEDGER, context))

    def capacity(self, *, timeout_s: float | None = HEALTH_TIMEOUT_S) -> int:
        """Asks how many recordings keep the server busy when they are sent at once; not retried.

        Raises:
            OnecardError: such as ConnectionFailed, where no server answers.
        """
        context = self._context(timeout_s, None)
        return wire.capacity(self._ask(*wire.CAPACITY, context))

    def speech_models(self, *, timeout_s: float | None = HEALTH_TIMEOUT_S) -> tuple[str, ...]:
        """Asks which names `transcribe` takes as `model`, the usual one first; not retried.

        Raises:
            OnecardError: such as ConnectionFailed, where no server answers.
        """
        context = self._context(timeout_s, None)
        return wire.speech_models(self._ask(*wire.SPEECH_MODELS, context))

    def health(self, *, timeout_s: float | None = HEALTH_TIMEOUT_S) -> Health:
        """Asks the server how it is; not retried, for the answer is about now.

        Raises:
            ConnectionFailed: no server answers.
        """
        context = self._context(timeout_s, None)
        found = wire.health([self._ask(*question, context) for question in wire.HEALTH])
        return replace(found, speech_models=self._speech_states(context))

    def _speech_states(self, context: CallContext) -> tuple[SpeechModel, ...]:
        """Which Whispers are loaded; a server without speech has none, and asking is an error."""
        try:
            states = wire.speech_states(self._ask(*wire.SPEECH_MODELS, context))
        except OnecardError:
            return ()
        found = []
        for state, question in states.items():
            try:
                is_loaded = (self._ask(*question, context)).ready
            except OnecardError:  # which Triton's answer is for a model that was never loaded
                is_loaded = False
            found.append(replace(state, loaded=is_loaded))
        return tuple(found)
