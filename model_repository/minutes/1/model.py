"""A transcript to minutes with citations, streamed: notes as they are found, then the whole."""

from functools import partial

from onecard.guides.admission import Admission
from onecard.minutes import request as minutes
from onecard.minutes.options import Config, MinutesOptions
from onecard.options import parameters
from onecard.python_backend import backend, metrics, speech_lock
from onecard.python_backend.calls import Llm
from onecard.python_backend.streams import Stream, whole


class TritonPythonModel:
    def initialize(self, args):
        backend.self_test()
        config = parameters.parse(Config, backend.params(args))
        self.llm = partial(Llm, config.llm_model, guides=Admission.for_engine(config.engine_dir))
        self.minutes = minutes.load(config)
        self.streams = metrics.streams(args, "requests for minutes", config.max_streams)

    def execute(self, requests):
        backend.stream(requests, self._take, self.streams)

    def _take(self, request, caller):
        self.streams.add(Stream(caller, partial(self._answer, request)))

    def _answer(self, request, stream):
        def is_busy():
            stream.check()  # a caller that is gone need not wait for speech to end
            return speech_lock.speech_in_flight()

        options = backend.options(request, MinutesOptions)
        text = backend.text(request, "TRANSCRIPT")
        events = self.minutes.events(text, options, self.llm(stream), is_busy, stream.check)
        yield from events if options.stream else whole(events, minutes.joined)

    def finalize(self):
        self.streams.close()
