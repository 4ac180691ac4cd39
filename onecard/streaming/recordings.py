"""Recordings of one model: how they come in, how many are worked on at a time, their events."""

from __future__ import annotations

import contextlib
from collections.abc import Generator

from onecard.options.transcribe import TranscribeOptions
from onecard.python_backend import speech_lock
from onecard.python_backend.streams import Stream
from onecard.python_backend.uploads import Part, Upload, Uploads
from onecard.streaming import transcription
from onecard.streaming.admission import Admission
from onecard.streaming.transcription import Call, Config, Event


class Recordings:
    """Takes recordings in parts, and transcribes `config.max_streams` of them at a time.

    Uploads take no place; a recording that is whole waits for one.
    """

    def __init__(self, config: Config) -> None:
        self._config = config
        self._admission = config.admission()
        self._uploads = Uploads(config.max_audio_bytes)
        self._places = Admission(config.max_streams, {"work": config.max_streams})

    def begin(self, part: Part, data: bytes) -> Upload:
        """The upload whose first part this is. Raises as `Uploads.begin`."""
        return self._uploads.begin(part, data)

    def add(self, part: Part, data: bytes) -> None:
        """A later part of one. Raises as `Uploads.add`."""
        self._uploads.add(part, data)

    def events(
        self, upload: Upload, options: TranscribeOptions, call: Call, stream: Stream
    ) -> Generator[Event, None, None]:
        """Events of a recording's transcription, from its upload on.

        Raises:
            InvalidRequest, Unavailable: as `Upload.wait` and `onecard.streaming.transcription`.
            Cancelled: the caller is gone.
        """
        with upload.spool as audio:
            with stream.visit.sending():
                upload.wait(stream.check)
            with contextlib.ExitStack() as stack:
                with stream.visit.waiting():
                    stack.enter_context(self._places.turn("work", 0.0, stream.check))
                stack.enter_context(speech_lock.speech())
                asked = call, audio, options, self._config, self._admission
                yield from transcription.events(*asked, stream.visit)
