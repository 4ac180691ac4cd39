"""Samples, and the segmentation scores where detect_speech has them, to speaker turns.

A long recording is asked for its embeddings part by part and for its turns at the end.
"""

import json
from typing import Any

from onecard import audio
from onecard.diarization import diarizer
from onecard.options import parameters
from onecard.options.transcribe import TranscribeOptions
from onecard.python_backend import backend


class TritonPythonModel:
    def initialize(self, args):
        backend.begin()
        config = parameters.parse(diarizer.Config, backend.params(args))
        self.diarizer = diarizer.Diarizer(config, backend.num_threads(args))

    def execute(self, requests):
        return backend.answer(requests, self._diarize)

    def _diarize(self, request):
        options = backend.options(request, TranscribeOptions)
        pcm, scores = backend.recording(request), backend.array_or_none(request, "SCORES")
        known = backend.array_or_none(request, "EMBEDDINGS")
        if scores is None:
            scores = diarizer.NO_SCORES
        wanted = request.requested_output_names()
        outputs: dict[str, Any] = {}
        # What came is not sent back: an input may lie in memory that is not its sender's.
        if known is None and "EMBEDDINGS" in wanted:
            known = self.diarizer.embed(audio.needed(pcm), scores, options)
            outputs["EMBEDDINGS"] = known
        if "TURNS" in wanted:
            turns = self.diarizer.diarize(pcm, scores, options, known)
            outputs["TURNS"] = json.dumps(turns, allow_nan=False)
        return backend.reply(**outputs)
