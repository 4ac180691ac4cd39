"""Transcription as a stream of events over the same models that the ensemble uses."""

from functools import partial

from onecard import backend, parameters, presence, streaming
from onecard.options import TranscribeOptions
from onecard.streams import Stream, Streams
from onecard.uploads import Part, Uploads


class TritonPythonModel:
    def initialize(self, args):
        backend.self_test()
        self.config = parameters.parse(streaming.Config, backend.params(args))
        self.gate = self.config.gate()
        self.uploads = Uploads(self.config.max_audio_bytes)
        self.streams = Streams("streamed transcriptions", self.config.max_streams)

    def execute(self, requests):
        for request in requests:
            caller = backend.Caller(request)
            try:
                self._take(request, caller)
            except Exception as error:  # the boundary: nothing may escape into the stub
                caller.end(error)

    def _take(self, request, caller):
        part, data = Part.of(request.parameters()), backend.data(request, "AUDIO")
        if part.number:
            self.uploads.add(part, data)
            caller.end(None)
            return
        options = TranscribeOptions.from_json(backend.text(request, "OPTIONS"))
        upload = self.uploads.begin(part, data)
        self.streams.add(Stream(caller, partial(self._events, upload, options)))

    def _events(self, upload, options, stream):
        with upload.spool as audio:
            upload.wait(stream.check)
            calls = backend.Calls(stream.check)
            with presence.speech():
                yield from streaming.events(calls, audio, options, self.config, self.gate)

    def finalize(self):
        self.streams.close()
