"""A conversation to an answer, streamed: text as it is generated, usage, why it ended."""

from functools import partial

from onecard import backend, chat, chat_options, json_options, parameters
from onecard.chat_options import ChatOptions
from onecard.llm_calls import Llm
from onecard.streams import Stream, Streams


class TritonPythonModel:
    def initialize(self, args):
        backend.self_test()
        config = parameters.parse(chat.Config, backend.params(args))
        self.llm = partial(Llm, config.llm_model)
        self.chat = chat.load(config)
        self.streams = Streams("chats", config.max_streams, config.max_waiting)

    def execute(self, requests):
        for request in requests:
            caller = backend.Caller(request)
            try:  # who is to wait behind whom is decided here; all else in the stream's own thread
                text = backend.text(request, "OPTIONS", default="")
                options = json_options.parse(ChatOptions, text)
            except Exception as error:
                caller.end(error)
                continue
            answer = partial(self._answer, request, options)
            self.streams.add(Stream(caller, answer), options.rank)

    def _answer(self, request, options, stream):
        messages = chat_options.messages(backend.text(request, "MESSAGES"))
        yield from self.chat.events(messages, options, self.llm(stream))

    def finalize(self):
        self.streams.close()
