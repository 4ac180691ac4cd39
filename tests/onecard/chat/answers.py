"""Answers over an engine that says what it is told to say."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from onecard.chat.answer import Chat, Config
from onecard.chat.options import ChatOptions
from onecard.errors import Cancelled
from onecard.llm.generation import Generation, Piece
from onecard.llm.message import Message

ENGINE = Path(__file__).parents[3] / "engines" / "cpu" / "llm"
CONFIG = Config(
    llm_model="llm",
    tokenizer_dir=str(ENGINE / "tokenizer"),
    engine_dir=str(ENGINE),
    engine_backend="a backend",
    engine_precision="a precision",
    max_seq_len=100,
    max_tokens=20,
    temperature=0.7,
    max_streams=4,
    max_waiting=4,
)
HELLO = [Message("user", "Hello")]
NUM_PROMPT = 31  # tokens, with what SmolLM2's template says of itself
END = 2


class FakeLlm:
    """Says `ids`, one a piece unless they are grouped; notes what it was asked."""

    def __init__(self, pieces: Iterable[object], cancelled: bool = False) -> None:
        self.pieces = [piece if isinstance(piece, Piece) else Piece((piece,)) for piece in pieces]
        self.cancelled = cancelled
        self.asked: Generation | None = None
        self.num_said = 0
        self.is_closed = False

    def stream(self, asked):
        self.asked = asked
        try:
            for piece in self.pieces:
                self.num_said += 1
                yield piece
            if self.cancelled:
                raise Cancelled("gone")
        finally:
            self.is_closed = True


def ids_of(chat: Chat, text: str) -> list[int]:
    """Ids of `text` as the model would say it."""
    empty = chat.tokenizer.encode_chat([Message("user", "")])
    whole = chat.tokenizer.encode_chat([Message("user", text)])
    start = next(i for i, pair in enumerate(zip(empty, whole, strict=False)) if len(set(pair)) > 1)
    return whole[start : start + len(whole) - len(empty)]


def run(chat: Chat, llm: FakeLlm, **options: object) -> tuple[str, dict, dict, list]:
    """Text, usage, done, deltas."""
    events = list(chat.events(HELLO, ChatOptions(**options), llm))
    deltas, (usage, done) = events[:-2], events[-2:]
    assert all(delta["event"] == "delta" for delta in deltas)
    assert (usage["event"], done["event"]) == ("usage", "done")
    return "".join(delta["text"] for delta in deltas), usage, done, deltas
