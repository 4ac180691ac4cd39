"""The bytes of a file, or raw PCM, to 16 kHz mono samples."""

import contextlib
import json
from dataclasses import asdict

from onecard import abilities, audio, backend, parameters, spool
from onecard.options import TranscribeOptions


class TritonPythonModel:
    def initialize(self, args):
        backend.self_test()
        values = backend.params(args)
        self.limits = parameters.parse(audio.Limits, values)
        self.abilities = abilities.load(parameters.parse(abilities.Config, values))

    def execute(self, requests):
        return backend.answer(requests, self._decode)

    def _decode(self, request):
        options = backend.options(request, TranscribeOptions)
        self.abilities.verify(options)  # the first step of all: nothing was done in vain
        blocks = audio.Blocks()
        source: audio.Source
        sink: audio.Sink = blocks
        with contextlib.ExitStack() as stack:
            if reference := backend.text(request, "AUDIO_FILE", ""):
                source = stack.enter_context(spool.opened(reference))
            else:
                source = backend.data(request, "AUDIO")
            if reference := backend.text(request, "PCM_FILE", ""):
                sink = audio.FileSink(stack.enter_context(spool.opened(reference)))
            clip = self._decode_into(source, options, sink)
        return backend.reply(PCM=blocks.pcm(), CLIP=json.dumps(asdict(clip)))

    def _decode_into(self, source, options, sink):
        if options.sample_rate is None or options.channels is None:  # a file says so itself
            choice = audio.Choice(options.strict, options.audio_track, options.language)
            return audio.decode_into(source, self.limits, sink, choice)
        raw = options.encoding, options.sample_rate, options.channels
        return audio.decode_raw(source, *raw, self.limits, sink)
