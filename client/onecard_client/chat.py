"""An answer of the language model: its text as it comes, then what it cost and why it ended."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from onecard_client._answers.stream import AsyncStream, BlockingStream, Stream
from onecard_client._errors import InvalidRequest

# One text, which a user says, or a conversation: {"role": "user", "content": "..."} and so on.
Messages = str | Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class TokenLogprob:
    """A token of the answer and the logarithm of its probability.

    Attributes:
        bytes: those of the token, each 0 to 255; None where the server does not tell. A character
            may take several tokens: `token` is then as `bytes:\\xc3`, and the bytes together are
            text.
    """

    token: str
    logprob: float
    bytes: tuple[int, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Delta:
    """A piece of the answer. `logprobs`: of its tokens, where they were asked for."""

    text: str
    logprobs: tuple[TokenLogprob, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class ToolCall:
    """A call of one of the caller's functions (option `tools`).

    Attributes:
        id: for the message of the role `tool` that tells the result, as its `tool_call_id`.
        arguments: a JSON object, as text.
    """

    id: str
    name: str
    arguments: str
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The form that it has among an assistant's message's `tool_calls`."""
        function = {"name": self.name, "arguments": self.arguments}
        return {"id": self.id, "type": "function", "function": function}


@dataclass(frozen=True)
class ToolCalls:
    """All calls of an answer, in their order."""

    tool_calls: tuple[ToolCall, ...]
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class ToolCallPart:
    """More of a call. `id` and `name` are in the first part of it alone."""

    index: int
    arguments: str
    id: str | None = None
    name: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class ToolCallDelta:
    """Parts of calls while the calls are made. `logprobs`: of tokens, where they were asked for."""

    tool_calls: tuple[ToolCallPart, ...]
    logprobs: tuple[TokenLogprob, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class ChatUsage:
    """The cost of an answer, in tokens.

    Attributes:
        total_tokens: prompt and answer.
        context_tokens: the most that a prompt and its answer may have together.
        max_tokens: the longest answer that this one could have been.
    """

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    context_tokens: int
    max_tokens: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class ChatEnd:
    """Why an answer ended, and which engine and model gave it.

    Attributes:
        problem: what of an `invalid` answer is not as it was asked for.
    """

    finish_reason: str
    engine: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class WholeAnswer:
    """All of an answer, where the option `stream` is false."""

    text: str
    usage: ChatUsage
    finish_reason: str
    engine: Mapping[str, Any] = field(default_factory=dict)
    problem: str | None = None
    logprobs: tuple[TokenLogprob, ...] | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


ChatEvent = Delta | ToolCallDelta | ToolCalls | ChatUsage | ChatEnd | WholeAnswer


class ChatAnswer(Stream[str]):
    """The facts about an answer; complete when its iterator has ended.

    Attributes:
        usage: None until the answer has ended.
        finish_reason: `stop`, `tool_calls`, `length` (cut off by `max_tokens`: JSON is then no
            JSON, and calls are left out), `invalid` (not what `response_format` or the `tools`
            want), `cancelled`; None until the answer has ended.
        problem: what is wrong with an `invalid` answer, else None.
        engine: which engine and model answered; empty until the answer has ended.
        logprobs: of the tokens so far; empty unless the option `logprobs` was set.
        tool_calls: of an answer that calls tools; there at its end.
    """

    usage: ChatUsage | None = None
    finish_reason: str | None = None
    problem: str | None = None

    def __init__(self, events: Any) -> None:
        super().__init__(events)
        self.engine: Mapping[str, Any] = {}
        self.logprobs: list[TokenLogprob] = []
        self.tool_calls: tuple[ToolCall, ...] = ()
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        """The answer so far."""
        return "".join(self._pieces)

    def _take(self, event: ChatEvent) -> str | None:
        if isinstance(event, ChatUsage):
            self.usage = event
            return None
        if isinstance(event, ToolCalls):
            self.tool_calls = event.tool_calls
            return None
        if isinstance(event, WholeAnswer):
            self.usage = event.usage
            self.tool_calls = event.tool_calls or ()
        if isinstance(event, ChatEnd | WholeAnswer):
            self.finish_reason, self.problem = event.finish_reason, event.problem
            self.engine = event.engine
        if isinstance(event, ChatEnd):
            return None
        self.logprobs += event.logprobs or ()
        if isinstance(event, ToolCallDelta):
            return None
        self._pieces.append(event.text)
        return event.text or None

    def _cancel(self) -> None:
        self.finish_reason = self.finish_reason or "cancelled"


class ChatStream(ChatAnswer, BlockingStream[str]):
    """The pieces of an answer's text, as they come; closing it ends the request."""

    def parts(self) -> Iterator[str | ToolCallDelta]:
        """Pieces of text, and parts of calls while they are made; in place of iterating."""
        for event in self._events:
            piece = self._take(event)
            found = event if isinstance(event, ToolCallDelta) else piece
            if found is not None:
                yield found


class AsyncChatStream(ChatAnswer, AsyncStream[str]):
    """The pieces of an answer's text, as they come; closing it ends the request."""

    async def parts(self) -> AsyncIterator[str | ToolCallDelta]:
        """Pieces of text, and parts of calls while they are made; in place of iterating."""
        async for event in self._events:
            piece = self._take(event)
            found = event if isinstance(event, ToolCallDelta) else piece
            if found is not None:
                yield found


def messages_to_json(messages: Messages) -> bytes:
    """MESSAGES. Roles and contents are the server's to judge; here they only have to be JSON.

    Raises:
        InvalidRequest: they are not.
        TypeError: neither a text nor a list of objects.
    """
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    found = [dict(message) for message in _objects(messages)]
    try:
        return json.dumps(found, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidRequest(
            f"the messages are not something that JSON has ({error}); give objects with the texts "
            "`role` and `content`"
        ) from error


def _objects(messages: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    found = list(messages) if isinstance(messages, Iterable) else [messages]
    for message in found:
        if isinstance(messages, Mapping) or not isinstance(message, Mapping):
            raise TypeError(
                f"a message is of type `{type(message).__name__}`, must be an object with `role` "
                "and `content`; give a text, or a list of such objects"
            )
    return found
