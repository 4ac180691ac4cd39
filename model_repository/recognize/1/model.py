"""Samples and chunks to text: one request to the engine for each chunk, all in flight together."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from onecard.errors import Unavailable
from onecard.options import parameters
from onecard.options.transcribe import TranscribeOptions
from onecard.python_backend import backend
from onecard.recognition import engine as decoding
from onecard.recognition import lease, recognizer


class TritonPythonModel:
    def initialize(self, args):
        backend.begin()
        values = backend.params(args)
        config = parameters.parse(recognizer.Config, values)
        self.outputs = decoding.outputs(config.engine_backend)
        self.max_in_flight = config.max_chunks_in_flight
        names = parameters.parse(recognizer.Names, values)
        self.models = recognizer.load_all(config, names)
        self.pool = ThreadPoolExecutor(self.max_in_flight)

    def execute(self, requests):
        return backend.answer(requests, self._recognize)

    def _recognize(self, request):
        options = backend.options(request, TranscribeOptions)
        chosen = self.models.of(options.model)
        speech = backend.document(request, "SPEECH", "what `detect_speech` answers")

        def check():
            if request.is_cancelled():
                raise Unavailable("the caller cancelled the request")

        def decode(decoding_request):
            check()
            return self._decode(decoding_request, chosen)

        engine = decoding.in_flight(decode, self.pool, self.max_in_flight)
        pcm = backend.tensor(request, "PCM")
        work = partial(chosen.recognize, pcm, speech, options, engine)
        try:
            found = lease.using(chosen.engine_model, check, work) if chosen.is_on_demand else work()
        except Unavailable:
            if not request.is_cancelled():
                raise
            found = {}  # read by nobody; why it is no error: `backend.answer`
        return backend.reply(SEGMENTS=json.dumps(found, ensure_ascii=False))

    def _decode(self, decoding_request, chosen):
        model, end = chosen.engine_model, chosen.tokenizer.end
        tensors = decoding.to_tensors(decoding_request, end)
        call = backend.bls_request(model, self.outputs, tensors)
        outputs = backend.outputs_of(model, call.exec())
        arrays = {name: output.as_numpy() for name, output in outputs.items()}
        return decoding.from_tensors(arrays, decoding_request.prompt, end)

    def finalize(self):
        self.pool.shutdown()
