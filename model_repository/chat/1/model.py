"""A conversation to an answer, streamed: text as it is generated, usage, why it ended."""

from functools import partial

from onecard.chat import answer
from onecard.chat import options as chat_options
from onecard.options import parameters
from onecard.python_backend import backend, calls, metrics
from onecard.python_backend.streams import Stream, whole


class TritonPythonModel:
    def initialize(self, args):
        backend.begin()
        config = parameters.parse(answer.Config, backend.params(args))
        self.llm = calls.llm(config)
        self.chat = answer.load(config)
        self.streams = metrics.streams(args, "chats", config.max_streams, config.max_waiting)

    def execute(self, requests):
        backend.stream(requests, self._take, self.streams)

    def _take(self, request, caller):
        """Who is to wait behind whom is decided here; all else in the stream's own thread."""
        document = backend.text(request, "OPTIONS", default="")
        options = chat_options.read(document, backend.request_parameters(request))
        self.streams.add(Stream(caller, partial(self._answer, request, options)), options.rank)

    def _answer(self, request, options, stream):
        messages = self.chat.messages(backend.text(request, "MESSAGES"))
        events = self.chat.events(messages, options, self.llm(stream))
        yield from events if options.stream else whole(events, answer.joined)

    def finalize(self):
        self.streams.close()
