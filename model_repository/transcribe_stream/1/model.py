"""Transcription as a stream of events over the same models that the ensemble uses."""

from functools import partial

import triton_python_backend_utils as pb_utils

from onecard import backend, parameters, presence, streaming
from onecard.errors import InvalidRequest
from onecard.options import TranscribeOptions
from onecard.streams import Stream, Streams


class TritonPythonModel:
    def initialize(self, args):
        backend.self_test()
        self.config = parameters.parse(streaming.Config, backend.params(args))
        self.gate = self.config.gate()
        self.streams = Streams("streamed transcriptions", self.config.max_streams)

    def execute(self, requests):
        for request in requests:
            self.streams.add(Stream(backend.Caller(request), partial(self._events, request)))

    def _events(self, request, stream):
        audio = pb_utils.get_input_tensor_by_name(request, "AUDIO")
        if audio is None:
            raise InvalidRequest("input `AUDIO` is missing; send it")
        options = TranscribeOptions.from_json(backend.text(request, "OPTIONS"))

        calls = backend.Calls(stream.check)
        with presence.speech():
            yield from streaming.events(calls, audio, options, self.config, self.gate)

    def finalize(self):
        self.streams.close()
