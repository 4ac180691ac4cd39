"""Samples and segments to sentences with word times; requests of a batch share the forwards."""

import json

from onecard import alignment
from onecard.options import parameters
from onecard.options.transcribe import TranscribeOptions
from onecard.python_backend import backend, speech_lock


class TritonPythonModel:
    def initialize(self, args):
        backend.begin()
        config = parameters.parse(alignment.Config, backend.params(args))
        self.aligners = alignment.load(config, backend.num_threads(args))

    def execute(self, requests):
        outcomes = {id(request): self._job(request) for request in requests}
        jobs = {key: job for key, job in outcomes.items() if isinstance(job, alignment.Job)}
        with speech_lock.speech():
            found = alignment.align(list(jobs.values()), self.aligners)
        outcomes.update(zip(jobs, found, strict=True))
        return backend.answer(requests, lambda request: self._reply(outcomes[id(request)]))

    def _job(self, request):
        """What to align, or the exception that answers the request."""
        try:
            return self._read(request)
        except Exception as error:  # the others of the batch go on
            return error

    def _read(self, request):
        document = backend.document(request, "SEGMENTS", "what `recognize` answers")
        options = backend.options(request, TranscribeOptions)
        return alignment.Job(backend.tensor(request, "PCM"), document, options)

    def _reply(self, outcome):
        if isinstance(outcome, Exception):
            raise outcome
        return backend.reply(ALIGNED=json.dumps(outcome, ensure_ascii=False, allow_nan=False))
