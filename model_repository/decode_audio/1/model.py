"""The bytes of a file, or raw PCM, to 16 kHz mono samples."""

import contextlib
import json
from collections.abc import Callable
from dataclasses import asdict
from functools import partial

from onecard import audio
from onecard.audio import spool
from onecard.audio.decoding import decoder
from onecard.audio.decoding.order import Order
from onecard.options import parameters
from onecard.options.transcribe import TranscribeOptions
from onecard.python_backend import backend
from onecard.whisper import abilities, models


class TritonPythonModel:
    def initialize(self, args):
        backend.begin()
        values = backend.params(args)
        self.limits = parameters.parse(audio.Limits, values)
        names = parameters.parse(models.Config, values)
        self.abilities = abilities.load_all(parameters.parse(abilities.Config, values), names)
        self.decoder = decoder.Decoder()

    def execute(self, requests):
        return backend.answer(requests, self._decode)

    def _decode(self, request):
        options = backend.options(request, TranscribeOptions)
        # The first step of all: nothing was done in vain.
        self.abilities.of(options.model).verify(options)
        order = self._order(options)
        source: audio.Source
        is_wanted: Callable[[], bool] = decoder.always
        with contextlib.ExitStack() as stack:
            if held := backend.text(request, "AUDIO_FILE", ""):
                source = stack.enter_context(spool.opened(held))
                is_wanted = partial(spool.is_held, held)
            else:
                source = backend.data(request, "AUDIO")
            if written := backend.text(request, "PCM_FILE", ""):
                target = stack.enter_context(spool.opened(written))
            else:
                target = stack.enter_context(decoder.memory())
            clip = self.decoder.decode(order, source, target, is_wanted)
            pcm = audio.NO_SAMPLES if written else decoder.samples(target)
        return backend.reply(PCM=pcm, CLIP=json.dumps(asdict(clip)))

    def _order(self, options):
        wanted = audio.Wanted(options.spans, options.separate_channels)
        if options.sample_rate is None or options.channels is None:  # a file says so itself
            choice = audio.Choice(options.strict, options.audio_track, options.language)
            return Order(self.limits, choice, wanted=wanted)
        form = audio.Form(options.encoding, options.sample_rate, options.channels)
        return Order(self.limits, form=form, wanted=wanted)

    def finalize(self):
        self.decoder.close()
