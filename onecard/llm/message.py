"""One turn of a conversation, and the files that say how a model reads turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onecard.errors import InvalidRequest
from onecard.llm.tool import ToolCall

TEKKEN = "tekken.json"
HUGGING_FACE = "tokenizer.json"


@dataclass(frozen=True)
class Message:
    """One turn of a conversation; `role` is `system`, `user`, `assistant` or `tool`.

    Attributes:
        tool_calls: the assistant's; what it says beside them may be empty.
        answers: of the role `tool`, the call whose result it tells.
    """

    role: str
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    answers: ToolCall | None = None

    @property
    def texts(self) -> tuple[str, ...]:
        """All that it puts into a prompt."""
        return (self.content, *(f"{call.name}{call.arguments}" for call in self.tool_calls))


def verify_continued(messages: Sequence[Message]) -> None:
    """Refuse a conversation whose last message no answer can go on from."""
    last = messages[-1]
    if last.role != "assistant" or last.tool_calls or not last.content.strip():
        what = f"has the role `{last.role}`" if last.role != "assistant" else "is empty"
        if last.tool_calls:
            what = "calls tools"
        raise InvalidRequest(
            f"option `continue_final_message` is true and the last message {what}, must be the "
            "assistant's and say something; end MESSAGES with it, or leave the option out"
        )
