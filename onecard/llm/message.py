"""One turn of a conversation, and the files that say how a model reads turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from onecard.errors import InvalidRequest

TEKKEN = "tekken.json"
HUGGING_FACE = "tokenizer.json"


@dataclass(frozen=True)
class Message:
    """One turn of a conversation; `role` is `system`, `user` or `assistant`."""

    role: str
    content: str


def verify_continued(messages: Sequence[Message]) -> None:
    """Refuse a conversation whose last message no answer can go on from."""
    last = messages[-1]
    if last.role != "assistant" or not last.content.strip():
        what = "is empty" if last.role == "assistant" else f"has the role `{last.role}`"
        raise InvalidRequest(
            f"option `continue_final_message` is true and the last message {what}, must be the "
            "assistant's and say something; end MESSAGES with it, or leave the option out"
        )
