"""One call of the model: its prompt to verdicts while it writes, and what it cost."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from onecard.errors import Cancelled, InvalidRequest, Unavailable, message
from onecard.llm.detokenizer import Detokenizer
from onecard.llm.generation import Generation, Llm
from onecard.llm.lines import Lines
from onecard.llm.tokenizer import Tokenizer
from onecard.triage.grammar import Begun, VerdictGrammar
from onecard.triage.mail import Mail
from onecard.triage.options import Settings
from onecard.triage.packing import Pack
from onecard.triage.verdicts import InvalidVerdict, Reader, Verdict


@dataclass
class Call:
    """A call and its account.

    Attributes:
        undecided: mails without a valid verdict so far, by their number in the call, and why.
    """

    number: int
    pack: Pack
    seed: int | None
    is_second_try: bool
    num_tokens: int = 0
    seconds: float = 0.0
    undecided: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        why = "the model's answer ended before this mail"
        self.undecided = dict.fromkeys(range(1, len(self.pack.mails) + 1), why)

    def mail(self, number: int) -> Mail:
        return self.pack.mails[number - 1]

    def to_dict(self) -> dict[str, Any]:
        return {
            "call": self.number,
            "ids": [mail.id for mail in self.pack.mails],
            "prompt_tokens": len(self.pack.prompt_ids),
            "completion_tokens": self.num_tokens,
            "seconds": round(self.seconds, 3),
        }


class _Said:
    """The model's answer in one call so far.

    Attributes:
        ids: its tokens, and those with which texts were closed for it.
        num_lines: whole ones.
    """

    def __init__(self, text: Detokenizer) -> None:
        self._text = text
        self.lines = Lines()
        self.ids: list[int] = []
        self.num_lines = 0

    def push(self, ids: Sequence[int]) -> Iterator[str]:
        """The lines that `ids` complete."""
        self.ids += ids
        for line in self.lines.push(self._text.push(ids)):
            self.num_lines += 1
            yield line

    def flush(self) -> Iterator[str]:
        """The rest at the end, which may be half a line."""
        yield from self.lines.push(self._text.flush())
        yield from self.lines.flush()


class Caller:
    """Makes the calls of one request, any number at a time."""

    def __init__(
        self, tokenizer: Tokenizer, settings: Settings, grammar: VerdictGrammar, llm: Llm
    ) -> None:
        self._tokenizer = tokenizer
        self._settings = settings
        self._grammar = grammar
        self._llm = llm

    def verdicts(self, call: Call, is_stopped: Callable[[], bool]) -> Iterator[Verdict]:
        """Each verdict as soon as its line is whole; an engine that fails only ends them.

        Raises:
            Cancelled: the caller is gone.
        """
        started = time.monotonic()
        try:
            yield from self._read(call, is_stopped)
        except Cancelled:
            raise
        except (InvalidRequest, Unavailable, RuntimeError) as error:
            self._explain(call, message(f"engine error: {error}"))
        except Exception:  # the boundary: every mail gets its verdict
            logging.getLogger(__name__).exception("a call of the model failed")
            self._explain(call, "internal error; the server log has the traceback")
        finally:
            call.seconds = time.monotonic() - started

    def _explain(self, call: Call, why: str) -> None:
        call.undecided = dict.fromkeys(call.undecided, why)

    def _read(self, call: Call, is_stopped: Callable[[], bool]) -> Iterator[Verdict]:
        answer = _Said(self._tokenizer.detokenizer())
        generation: Generation | None = self._asked(call)
        while generation is not None:
            outgrown = None
            with contextlib.closing(self._tokens(call, generation)) as tokens:
                for token in tokens:
                    for line in answer.push([token]):
                        yield from self._judged(call, line)
                    if is_stopped() or not call.undecided:
                        return  # which stops the engine
                    outgrown = self._grammar.outgrown(answer.lines.open)
                    if outgrown is not None:
                        break  # which stops it too
            if outgrown is None:
                break
            for line in answer.push(self._tokenizer.encode('"')):
                yield from self._judged(call, line)
            generation = self._asked(call, answer, outgrown)
        for line in answer.flush():
            yield from self._judged(call, line)

    def _tokens(self, call: Call, generation: Generation) -> Generator[int, None, None]:
        """What the engine writes, one by one: how many come in a piece is chance, and where a text
        ends must not be. To close it stops the engine."""
        with contextlib.closing(self._llm.stream(generation)) as pieces:
            for piece in pieces:
                for token in piece.ids:
                    if token not in self._tokenizer.end_ids:
                        call.num_tokens += 1  # of those that are read: the rest is chance as well
                        yield token

    def _asked(
        self, call: Call, answer: _Said | None = None, closed: str = ""
    ) -> Generation | None:
        """The whole answer, or what comes after the text `closed`; None where no token is left."""
        num_mails = len(call.pack.mails)
        said: list[int] = []
        guide = None
        if answer is not None:
            said = answer.ids
            guide = self._grammar.guide(num_mails, Begun(answer.num_lines + 1, closed))
        if len(said) >= call.pack.max_tokens:
            return None
        return Generation(
            prompt_ids=[*call.pack.prompt_ids, *said],
            max_tokens=call.pack.max_tokens - len(said),
            end_ids=self._tokenizer.end_ids,
            temperature=self._settings.temperature,
            seed=call.seed,
            guide=guide or self._grammar.guide(num_mails),
        )

    def _judged(self, call: Call, line: str) -> Iterator[Verdict]:
        """The verdict of one line; none for an invalid one, or a mail that has one already."""
        reader = Reader(self._settings, self._grammar.max_letters, call.number)
        try:
            number, found = reader.number(line, len(call.pack.mails))
        except InvalidVerdict as error:
            self._explain(call, str(error))
            return
        if number not in call.undecided:
            return
        try:
            verdict = reader.verdict(call.mail(number), found)
        except InvalidVerdict as error:
            call.undecided[number] = str(error)
            return
        del call.undecided[number]
        yield verdict
