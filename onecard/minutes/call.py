"""One call of the model: its prompt to lines while it writes, and what it cost."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from onecard.guides.guide import Guide
from onecard.llm.generation import Generation, Llm
from onecard.llm.lines import Lines
from onecard.llm.tokenizer import Tokenizer
from onecard.minutes.grammar import Start, closing

# From where the model begins, or goes on; None where nothing comes any more.
Guides = Callable[[Start], Guide | None]


HEAD, SUMMARY = '{"title": "', '", "summary": "'


@dataclass
class Call:
    """A call and its account.

    Attributes:
        what: it is for, in the account: `part 3`, `summary`.
        is_whole: its answer is one document, told at its end, and no lines.
        was_cut: the model had no token left to end its line.
        problem: why it failed; it may be called again.
        written: the ids of what stands so far, texts closed for the model included.
    """

    what: str
    prompt_ids: Sequence[int]
    guides: Guides
    max_tokens: int
    temperature: float
    seed: int | None
    is_whole: bool = False
    num_tokens: int = 0
    seconds: float = 0.0
    was_cut: bool = False
    problem: Exception | None = None
    written: list[int] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        return {
            "for": self.what,
            "prompt_tokens": len(self.prompt_ids),
            "completion_tokens": self.num_tokens,
            "seconds": round(self.seconds, 3),
        }


def lines(
    call: Call, tokenizer: Tokenizer, llm: Llm, is_stopped: Callable[[], bool]
) -> Generator[str, None, None]:
    """Each line as soon as it is whole, or the document; closing the generator stops the engine.

    Raises:
        InvalidRequest, Unavailable, RuntimeError: the engine's, as `Llm` says.
        Cancelled: the caller is gone.
    """
    started = time.monotonic()
    try:
        answer = _Answer(call, tokenizer, llm)
        yield from answer.document(is_stopped) if call.is_whole else answer.lines(is_stopped)
    finally:
        call.seconds += time.monotonic() - started


class _Answer:
    def __init__(self, call: Call, tokenizer: Tokenizer, llm: Llm) -> None:
        self._call = call
        self._tokenizer = tokenizer
        self._llm = llm
        self._text = tokenizer.detokenizer()
        self._lines = Lines()

    def lines(self, is_stopped: Callable[[], bool]) -> Iterator[str]:
        start: Start | None = "whole"
        while start is not None:
            asked = self._asked(start)
            start = None
            if asked is None:
                break
            with contextlib.closing(self._tokens(asked)) as tokens:
                for token in tokens:
                    yield from self._push([token])
                    if is_stopped():
                        return  # which stops the engine
                    outgrown = closing(self._lines.open)
                    if outgrown is not None:
                        start = outgrown.goes_on
                        break  # which stops it too
            if start is not None and outgrown is not None:
                yield from self._push(self._tokenizer.encode(outgrown.text))
        rest = self._lines.open.strip()
        self._call.was_cut = bool(rest)
        if rest.startswith(HEAD) and SUMMARY in rest:
            yield f'{rest}…"}}'  # half a summary tells more than none

    def document(self, is_stopped: Callable[[], bool]) -> Iterator[str]:
        asked = self._asked("whole")
        if asked is None:
            return
        found = ""
        with contextlib.closing(self._tokens(asked)) as tokens:
            for token in tokens:
                found += self._text.push([token])
                if is_stopped():
                    return  # which stops the engine
        yield found

    def _asked(self, start: Start) -> Generation | None:
        call, guide = self._call, self._call.guides(start)
        left = call.max_tokens - len(call.written)
        if guide is None or left < 1:
            return None
        return Generation(
            prompt_ids=[*call.prompt_ids, *call.written],
            max_tokens=left,
            end_ids=self._tokenizer.end_ids,
            temperature=call.temperature,
            seed=call.seed,
            guide=guide,
        )

    def _tokens(self, asked: Generation) -> Generator[int, None, None]:
        """What the engine writes, one by one: how many come in a piece is chance, and where a text
        ends must not be. To close it stops the engine."""
        with contextlib.closing(self._llm.stream(asked)) as pieces:
            for piece in pieces:
                ids = [token for token in piece.ids if token not in self._tokenizer.end_ids]
                self._call.num_tokens += len(ids)
                yield from ids

    def _push(self, ids: Sequence[int]) -> Iterator[str]:
        self._call.written += ids
        yield from self._lines.push(self._text.push(ids))
