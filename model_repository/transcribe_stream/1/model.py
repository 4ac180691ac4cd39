"""Transcription as a stream of events over the same models that the ensemble uses."""

from functools import partial

from onecard import backend, parameters, presence, streaming
from onecard.options import StreamOptions
from onecard.streams import Stream, Streams, whole
from onecard.uploads import Part, Uploads


class TritonPythonModel:
    def initialize(self, args):
        backend.self_test()
        self.config = parameters.parse(streaming.Config, backend.params(args))
        self.gate = self.config.gate()
        self.uploads = Uploads(self.config.max_audio_bytes)
        self.streams = Streams("streamed transcriptions", self.config.max_streams)

    def execute(self, requests):
        backend.stream(requests, self._take)

    def _take(self, request, caller):
        part = Part.of(backend.request_parameters(request))
        data = backend.data(request, "AUDIO")
        if part.number:
            self.uploads.add(part, data)
            caller.end(None)
            return
        options = backend.options(request, StreamOptions)
        upload = self.uploads.begin(part, data)
        self.streams.add(Stream(caller, partial(self._events, upload, options)))

    def _events(self, upload, options, stream):
        with upload.spool as audio:
            upload.wait(stream.check)
            calls = backend.Calls(stream.check, stream.stopping)
            asked = calls, audio, options.pipeline(), self.config, self.gate
            events = streaming.events(*asked)
            with presence.speech():
                yield from events if options.stream else whole(events, streaming.result)

    def finalize(self):
        self.streams.close()
