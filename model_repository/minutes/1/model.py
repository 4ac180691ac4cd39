"""Speech or its transcript to minutes with citations, streamed: notes first, then the whole."""

from functools import partial

from onecard.errors import Unavailable
from onecard.minutes import request as minutes
from onecard.minutes import source
from onecard.minutes.options import Config, MinutesOptions
from onecard.options import fields, parameters
from onecard.python_backend import backend, calls, metrics, speech_wait
from onecard.python_backend.streams import Stream, whole
from onecard.python_backend.uploads import MAX_UPLOADS, Part
from onecard.streaming import transcription
from onecard.streaming.admission import Admission
from onecard.streaming.recordings import Recordings

SPEECH = "speech_"  # parameters of what transcribes, as `transcribe_stream` has them


class TritonPythonModel:
    def initialize(self, args):
        backend.begin()
        given = backend.params(args)
        self.config = parameters.parse(Config, given)
        speech = {name.removeprefix(SPEECH): text for name, text in given.items()
                  if name.startswith(SPEECH)}  # fmt: skip
        self.recordings = Recordings(parameters.parse(transcription.Config, speech))
        self.llm = calls.llm(self.config)
        self.minutes = minutes.load(self.config)
        # Recordings that come, or wait for their turn, take no place from transcripts.
        num_places = self.config.max_streams
        self.places = Admission(num_places, {"work": num_places})
        self.streams = metrics.streams(args, "requests for minutes", num_places + MAX_UPLOADS)

    def execute(self, requests):
        backend.stream(requests, self._take, self.streams)

    def _take(self, request, caller):
        """Parts of a recording are taken in their order; all else in the stream's own thread."""
        part = Part.from_parameters(backend.request_parameters(request))
        if part.number:
            self.recordings.add(part, backend.data(request, "AUDIO"))
            caller.end(None)
            return
        has_text, has_audio = (
            backend.tensor_or_none(request, name) is not None for name in ("TRANSCRIPT", "AUDIO")
        )
        source.verify(has_text, has_audio, self.config.takes_audio)
        options = backend.text(request, "OPTIONS", ""), backend.request_parameters(request)
        if has_text:
            answer = partial(self._of_transcript, request, options)
        else:
            upload = self.recordings.begin(part, backend.data(request, "AUDIO"))
            answer = partial(self._of_audio, upload, options, caller.request_id)
        self.streams.add(Stream(caller, answer))

    def _of_transcript(self, request, given, stream):
        options = fields.parse(MinutesOptions, *given)
        options.verify_for_transcript()
        text = backend.text(request, "TRANSCRIPT")
        with self.places.turn("work", 0.0, self._refuse):
            yield from self._told(self._minutes(text, options, stream, False), options)

    def _of_audio(self, upload, given, request_id, stream):
        options = fields.parse(MinutesOptions, *given)
        call = backend.Calls(stream.check, stream.stopping, request_id)
        speech = self.recordings.events(upload, options.pipeline(), call, stream)
        yield from self._told(self._both(speech, options, stream), options)

    def _both(self, speech, options, stream):
        text = yield from source.transcribed(speech)
        with self.places.turn("work", 0.0, stream.check):
            yield from self._minutes(text, options, stream, True)

    def _minutes(self, text, options, stream, is_heard):
        is_busy = speech_wait.noticed(stream.check)
        asked = text, options, self.llm(stream), is_busy, stream.check
        yield from self.minutes.events(*asked, is_heard=is_heard)

    def _told(self, events, options):
        yield from events if options.stream else whole(events, minutes.joined)

    def _refuse(self):
        raise Unavailable(
            f"{self.config.max_streams} requests for minutes are running, which is the limit; try "
            "again later"
        )

    def finalize(self):
        self.streams.close()
