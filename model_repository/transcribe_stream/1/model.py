"""Transcription as a stream of events over the same models that the ensemble uses."""

import json
import threading

import triton_python_backend_utils as pb_utils

from onecard import backend, streaming
from onecard.errors import InvalidRequest, Unavailable
from onecard.options import TranscribeOptions


class TritonPythonModel:
    def initialize(self, args):
        backend.self_test()
        params = backend.params(args)
        self.max_streams = int(backend.require(params, "max_streams"))
        self.chunks_per_event = int(backend.require(params, "chunks_per_event"))
        self.slots = threading.BoundedSemaphore(self.max_streams)
        self.threads = set()

    def execute(self, requests):
        for request in requests:
            sender = request.get_response_sender()
            if not self.slots.acquire(blocking=False):
                full = Unavailable(
                    f"{self.max_streams} streamed transcriptions are running, which is the limit; "
                    "try again later"
                )
                _end(sender, backend.refusal(full, request))
                continue
            thread = threading.Thread(target=self._stream, args=(request, sender))
            self.threads.add(thread)
            thread.start()

    def _stream(self, request, sender):
        """One request in its own thread; nothing may escape, or the caller would wait for ever."""
        last = None
        try:
            audio = pb_utils.get_input_tensor_by_name(request, "AUDIO")
            if audio is None:
                raise InvalidRequest("input `AUDIO` is missing; send it")
            options = TranscribeOptions.from_json(backend.text(request, "OPTIONS"))

            def call(model, /, **inputs):
                if sender.is_cancelled():
                    raise Unavailable("the caller cancelled the request")
                return backend.call(model, **inputs)

            for event in streaming.events(call, audio, options, self.chunks_per_event):
                sender.send(backend.reply(EVENT=json.dumps(event, ensure_ascii=False)))
        except Exception as error:
            last = backend.refusal(error, request)
        finally:
            self.slots.release()
            self.threads.discard(threading.current_thread())
            _end(sender, last)

    def finalize(self):
        for thread in list(self.threads):
            thread.join()


def _end(sender, response=None):
    final = pb_utils.TRITONSERVER_RESPONSE_COMPLETE_FINAL
    if response is None:
        sender.send(flags=final)
    else:
        sender.send(response, flags=final)
