"""Mistral's `tekken.json` as a tokenizer of conversations, by Mistral's own library."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from mistral_common.exceptions import MistralCommonException
from mistral_common.protocol.instruct import tool_calls as mistral_calls
from mistral_common.protocol.instruct.messages import (
    AssistantMessage,
    SystemMessage,
    ToolMessage,
    UserMessage,
)
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
from mistral_common.tokens.tokenizers.tekken import Tekkenizer

from onecard.errors import MAX_SHOWN_LETTERS, InvalidRequest, clipped, named
from onecard.llm import token_texts
from onecard.llm.detokenizer import Detokenizer
from onecard.llm.message import TEKKEN, Message, verify_continued
from onecard.llm.tool import Tool

_MESSAGES = {"system": SystemMessage, "user": UserMessage, "assistant": AssistantMessage}


def _turn(message: Message) -> Any:
    if message.answers is not None:
        call = message.answers
        return ToolMessage(content=message.content, tool_call_id=call.id, name=call.name)
    if not message.tool_calls:
        return _MESSAGES[message.role](content=message.content)
    calls = [
        mistral_calls.ToolCall(
            id=call.id,
            function=mistral_calls.FunctionCall(name=call.name, arguments=call.arguments),
        )
        for call in message.tool_calls
    ]
    return AssistantMessage(content=message.content or None, tool_calls=calls)


def _tool(tool: Tool) -> mistral_calls.Tool:
    return mistral_calls.Tool(function=mistral_calls.Function(**tool.document["function"]))


class TekkenTokenizer:
    """The tokenizer that the file at `path` describes.

    Raises:
        ValueError: it is not one.
    """

    name = TEKKEN
    takes_tools = True

    def __init__(self, path: Path) -> None:
        self._chat = MistralTokenizer.from_file(str(path))
        tokenizer = self._chat.instruct_tokenizer.tokenizer
        if not isinstance(tokenizer, Tekkenizer):
            raise ValueError(f"`{path}` is not a tekken tokenizer; add Mistral's `{TEKKEN}`")
        self._tokenizer = tokenizer
        self.end_ids: tuple[int, ...] = (tokenizer.eos_id,)
        self._text_bytes = cache(self._bytes)

    def encode_chat(
        self, messages: Sequence[Message], continued: bool = False, tools: Sequence[Tool] = ()
    ) -> list[int]:
        turns = [_turn(message) for message in messages]
        if continued:
            verify_continued(messages)
            turns[-1] = AssistantMessage(content=messages[-1].content, prefix=True)
        asked = ChatCompletionRequest(messages=turns, tools=[_tool(tool) for tool in tools] or None)
        try:
            encoded = self._chat.encode_chat_completion(asked)
        except MistralCommonException as error:
            roles = named(", ".join(message.role for message in messages))
            why = clipped(str(error), 2 * MAX_SHOWN_LETTERS)
            raise InvalidRequest(
                f"MESSAGES has the roles {roles}, which the model refuses: {why}; send a "
                "conversation that it allows"
            ) from error
        return list(encoded.tokens)

    def encode(self, text: str) -> list[int]:
        return list(self._tokenizer.encode(text, bos=False, eos=False))

    def count(self, text: str) -> int:
        return len(self.encode(text))

    def token(self, token_id: int) -> str:
        data = self._text_bytes(token_id)
        return token_texts.shown(data) if data else self._tokenizer.id_to_piece(token_id)

    def detokenizer(self, continued: bool = False) -> Detokenizer:
        return Detokenizer(self._text_bytes)

    def _bytes(self, token_id: int) -> bytes:
        return self._tokenizer.id_to_byte_piece(token_id, SpecialTokenPolicy.IGNORE)
