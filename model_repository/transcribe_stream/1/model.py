"""Transcription as a stream of events over the same models that the ensemble uses."""

import contextlib
from functools import partial

from onecard.options import parameters
from onecard.options.transcribe import StreamOptions
from onecard.python_backend import backend, metrics, speech_lock
from onecard.python_backend.streams import Stream, whole
from onecard.python_backend.uploads import MAX_UPLOADS, Part, Uploads
from onecard.streaming import transcription
from onecard.streaming.admission import Admission


class TritonPythonModel:
    def initialize(self, args):
        backend.self_test()
        self.config = parameters.parse(transcription.Config, backend.params(args))
        self.admission = self.config.admission()
        self.uploads = Uploads(self.config.max_audio_bytes)
        # Uploads have threads of their own and no place; a recording that is whole waits for one.
        self.places = Admission(self.config.max_streams, {"work": self.config.max_streams})
        num_threads = self.config.max_streams + MAX_UPLOADS
        what = "streamed transcriptions and their uploads"
        self.streams = metrics.streams(args, what, num_threads)

    def execute(self, requests):
        backend.stream(requests, self._take, self.streams)

    def _take(self, request, caller):
        part = Part.from_parameters(backend.request_parameters(request))
        data = backend.data(request, "AUDIO")
        if part.number:
            self.uploads.add(part, data)
            caller.end(None)
            return
        options = backend.options(request, StreamOptions)
        upload = self.uploads.begin(part, data)
        self.streams.add(Stream(caller, partial(self._events, upload, options, caller.request_id)))

    def _events(self, upload, options, request_id, stream):
        with upload.spool as audio:
            with stream.visit.sending():
                upload.wait(stream.check)
            calls = backend.Calls(stream.check, stream.stopping, request_id)
            asked = calls, audio, options.pipeline(), self.config, self.admission
            events = transcription.events(*asked, stream.visit)
            with contextlib.ExitStack() as stack:
                with stream.visit.waiting():
                    stack.enter_context(self.places.turn("work", 0.0, stream.check))
                stack.enter_context(speech_lock.speech())
                yield from events if options.stream else whole(events, transcription.result)

    def finalize(self):
        self.streams.close()
