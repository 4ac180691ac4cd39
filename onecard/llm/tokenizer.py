"""The interface of the language model's tokenizers, and the loader that picks one by its files.

`onecard.llm.hf_tokenizer` and `onecard.llm.tekken_tokenizer` implement it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from onecard.llm.detokenizer import Detokenizer
from onecard.llm.message import HUGGING_FACE, TEKKEN, Message
from onecard.llm.tool import Tool


class Tokenizer(Protocol):
    """Conversations to token ids, and token ids to text.

    Whatever a message says, it says as text: no content becomes a special token.
    """

    name: str  # the file that it reads
    end_ids: tuple[int, ...]  # tokens with which the model ends its turn; at least one
    takes_tools: bool  # its chat template has places for tools, their calls and their results

    def encode_chat(
        self, messages: Sequence[Message], continued: bool = False, tools: Sequence[Tool] = ()
    ) -> list[int]:
        """The prompt: the chat template applied, the answer's beginning added.

        Args:
            continued: the answer goes on from the last message, which is left open.
            tools: offered; these, calls and results of calls only where `takes_tools`.

        Raises:
            InvalidRequest: the template does not allow such a conversation, in its words; or a
                last message to be continued is not the assistant's, or is empty.
        """

    def encode(self, text: str) -> list[int]:
        """The tokens of `text`, special ones not being recognised in it."""

    def count(self, text: str) -> int:
        """How many tokens `text` takes, special ones not being recognised in it."""

    def token(self, token_id: int) -> str:
        """One token as callers see it, special ones included: `onecard.llm.token_texts`."""

    def detokenizer(self, continued: bool = False) -> Detokenizer:
        """A detokenizer for one answer; `continued` if the answer goes on from a text."""


def load(directory: Path | str) -> Tokenizer:
    """The tokenizer of an engine: Mistral's `tekken.json`, or Hugging Face's `tokenizer.json`.

    Where both lie there, Mistral's own is the reference.

    Raises:
        ValueError: neither is there, or what is there lacks something.
    """
    directory = Path(directory)
    if (directory / TEKKEN).is_file():
        from onecard.llm.tekken_tokenizer import TekkenTokenizer  # mistral-common: only if needed

        return TekkenTokenizer(directory / TEKKEN)
    if (directory / HUGGING_FACE).is_file():
        from onecard.llm.hf_tokenizer import HfTokenizer

        return HfTokenizer(directory)
    raise ValueError(
        f"`{directory}` has neither `{HUGGING_FACE}` nor `{TEKKEN}`; make the engine again: "
        "`make engines`"
    )
