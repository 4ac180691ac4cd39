"""Samples, and the segmentation scores where detect_speech has them, to speaker turns."""

import json

from onecard import backend, diarization, parameters
from onecard.options import TranscribeOptions


class TritonPythonModel:
    def initialize(self, args):
        backend.self_test()
        config = parameters.parse(diarization.Config, backend.params(args))
        self.diarizer = diarization.Diarizer(config, backend.num_threads(args))

    def execute(self, requests):
        return backend.answer(requests, self._diarize)

    def _diarize(self, request):
        options = TranscribeOptions.from_json(backend.text(request, "OPTIONS"))
        pcm, scores = backend.tensor(request, "PCM"), backend.tensor(request, "SCORES")
        turns = self.diarizer.diarize(pcm, scores, options)
        return backend.reply(TURNS=json.dumps(turns, allow_nan=False))
