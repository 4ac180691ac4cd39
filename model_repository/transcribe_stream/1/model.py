"""Transcription as a stream of events over the same models that the ensemble uses."""

from functools import partial

from onecard.options import parameters
from onecard.options.transcribe import StreamOptions
from onecard.python_backend import backend, metrics
from onecard.python_backend.streams import Stream, whole
from onecard.python_backend.uploads import MAX_UPLOADS, Part
from onecard.streaming import transcription
from onecard.streaming.recordings import Recordings


class TritonPythonModel:
    def initialize(self, args):
        backend.begin()
        config = parameters.parse(transcription.Config, backend.params(args))
        self.recordings = Recordings(config)
        # Uploads have threads of their own and no place; a recording that is whole waits for one.
        num_threads = config.max_streams + MAX_UPLOADS
        what = "streamed transcriptions and their uploads"
        self.streams = metrics.streams(args, what, num_threads)

    def execute(self, requests):
        backend.stream(requests, self._take, self.streams)

    def _take(self, request, caller):
        part = Part.from_parameters(backend.request_parameters(request))
        data = backend.data(request, "AUDIO")
        if part.number:
            self.recordings.add(part, data)
            caller.end(None)
            return
        options = backend.options(request, StreamOptions)
        upload = self.recordings.begin(part, data)
        self.streams.add(Stream(caller, partial(self._events, upload, options, caller.request_id)))

    def _events(self, upload, options, request_id, stream):
        call = backend.Calls(stream.check, stream.stopping, request_id)
        events = self.recordings.events(upload, options.pipeline(), call, stream)
        yield from events if options.stream else whole(events, transcription.result)

    def finalize(self):
        self.streams.close()
