"""Emails to verdicts, streamed: each one as soon as it is decided, then a summary."""

from functools import partial

from onecard.options import parameters
from onecard.python_backend import backend, calls, metrics, speech_wait
from onecard.python_backend.streams import Stream, whole
from onecard.triage import options
from onecard.triage import request as triage
from onecard.triage.options import TriageOptions


class TritonPythonModel:
    def initialize(self, args):
        backend.begin()
        config = parameters.parse(options.Config, backend.params(args))
        self.llm = calls.llm(config)
        self.triage = triage.load(config)
        self.streams = metrics.streams(args, "triages", config.max_streams)

    def execute(self, requests):
        backend.stream(requests, self._take, self.streams)

    def _take(self, request, caller):
        self.streams.add(Stream(caller, partial(self._answer, request)))

    def _answer(self, request, stream):
        is_busy = speech_wait.noticed(stream.check)
        settings = self.triage.settings(backend.options(request, TriageOptions))
        mails = self.triage.mails(backend.text(request, "EMAILS"), stream.check)
        events = self.triage.events(mails, settings, self.llm(stream), is_busy, stream.check)
        events = triage.counted(events, stream.visit)
        yield from events if settings.stream else whole(events, triage.joined)

    def finalize(self):
        self.streams.close()
