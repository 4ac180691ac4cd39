"""Samples to speech regions, chunks of them, and the segmentation scores."""

import json
from typing import Any

import torch

from onecard.detection import detector, segmentation, silero
from onecard.options import parameters
from onecard.options.transcribe import TranscribeOptions
from onecard.python_backend import backend


class TritonPythonModel:
    def initialize(self, args):
        backend.begin()
        config = parameters.parse(detector.Config, backend.params(args))
        # The other instance serves requests while the ensemble has a long recording in this one.
        num_threads = backend.num_threads(args, divided=False)
        torch.set_num_threads(1)  # for what `num_threads` batches share
        network = segmentation.load(config.segmentation)
        segmenter = segmentation.Segmenter(
            network, config.batch_size, config.precision, num_threads
        )
        self.detector = detector.Detector(segmenter, silero.Silero())

    def execute(self, requests):
        return backend.answer(requests, self._detect)

    def _detect(self, request):
        options = backend.options(request, TranscribeOptions)
        pcm, known = backend.recording(request), backend.array_or_none(request, "SCORES")
        speech, scores = self.detector.detect(pcm, options, known)
        outputs: dict[str, Any] = {"SPEECH": json.dumps(speech)}
        # What came is not sent back: an input may lie in memory that is not its sender's.
        if known is None and "SCORES" in request.requested_output_names():
            outputs["SCORES"] = scores
        return backend.reply(**outputs)
