"""A stand-in for the engine that says what a test wants, in the tokens of SmolLM2."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import tokenizers

from onecard.llm import tokenizer
from onecard.llm.generation import Generation, Piece

DIRECTORY = Path(__file__).parents[3] / "engines" / "cpu" / "llm" / "tokenizer"
TOKENIZER = tokenizer.load(DIRECTORY)
VOCABULARY = tokenizers.Tokenizer.from_file(str(DIRECTORY / "tokenizer.json"))


class FakeLlm:
    """Says, call by call from 0, what `says` yields; an exception it raises there.

    Attributes:
        asked: what each call asked for.
        num_stopped: calls that were left before their end.
    """

    def __init__(self, says: Callable[[int, Generation], Iterable[str | BaseException]]) -> None:
        self._says = says
        self._lock = threading.Lock()
        self.asked: list[Generation] = []
        self.running = self.most_running = self.num_stopped = 0

    def stream(self, asked: Generation) -> Iterator[Piece]:
        with self._lock:
            call = len(self.asked)
            self.asked.append(asked)
            self.running += 1
            self.most_running = max(self.running, self.most_running)
        try:
            for part in self._says(call, asked):
                if isinstance(part, BaseException):
                    raise part
                for token in VOCABULARY.encode(part, add_special_tokens=False).ids:
                    yield Piece((token,))
            yield Piece((TOKENIZER.end_ids[0],))
        except GeneratorExit:
            self.num_stopped += 1
            raise
        finally:
            with self._lock:
                self.running -= 1
