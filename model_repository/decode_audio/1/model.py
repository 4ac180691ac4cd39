"""The bytes of a file, or raw PCM, to 16 kHz mono samples."""

import json
from dataclasses import asdict

from onecard import audio, backend, parameters
from onecard.options import TranscribeOptions


class TritonPythonModel:
    def initialize(self, args):
        backend.self_test()
        self.limits = parameters.parse(audio.Limits, backend.params(args))

    def execute(self, requests):
        return backend.answer(requests, self._decode)

    def _decode(self, request):
        options = TranscribeOptions.from_json(backend.text(request, "OPTIONS"))
        data = backend.data(request, "AUDIO")
        if options.sample_rate is None or options.channels is None:  # a file says so itself
            pcm, clip = audio.decode(data, self.limits)
        else:
            pcm, clip = audio.decode_raw(
                data, options.encoding, options.sample_rate, options.channels, self.limits
            )
        return backend.reply(PCM=pcm, CLIP=json.dumps(asdict(clip)))
