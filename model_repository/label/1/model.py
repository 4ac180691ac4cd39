"""Words and speaker turns to the result: who said what, and an account of every second."""

import json

from onecard.options import parameters
from onecard.options.transcribe import TranscribeOptions
from onecard.python_backend import backend
from onecard.result import document, speakers

DOCUMENTS = ("CLIP", "SPEECH", "ALIGNED", "TURNS")


class TritonPythonModel:
    def initialize(self, args):
        backend.begin()
        self.config = parameters.parse(speakers.Config, backend.params(args))

    def execute(self, requests):
        return backend.answer(requests, self._label)

    def _label(self, request):
        options = backend.options(request, TranscribeOptions)
        documents = {
            name.lower(): backend.document(request, name, "what its model answers")
            for name in DOCUMENTS
        }
        found = document.assemble(**documents, options=options, config=self.config)
        return backend.reply(RESULT=json.dumps(found, ensure_ascii=False, allow_nan=False))
