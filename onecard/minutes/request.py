"""A transcript to minutes, told as events: progress, notes as they are found, minutes, a summary.

The engine is handed in (`onecard.llm.generation.Llm`).
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from onecard import manifest
from onecard.errors import InvalidRequest, named
from onecard.llm import tokenizer as llm_tokenizer
from onecard.llm.generation import MAX_SEED, Llm
from onecard.llm.message import Message
from onecard.llm.tokenizer import Tokenizer
from onecard.minutes import document, grammar, transcript
from onecard.minutes.call import Call, Guides
from onecard.minutes.calls import Calls
from onecard.minutes.form.filling import Filled, Filler
from onecard.minutes.form.form import Form
from onecard.minutes.notes.findings import Finding, Head
from onecard.minutes.notes.reading import Reading
from onecard.minutes.notes.reducing import Noted, Reducer
from onecard.minutes.options import MIN_TOKENS, Config, MinutesOptions
from onecard.minutes.parts import Cutter, Part
from onecard.minutes.prompt import Prompts, clock, shown
from onecard.minutes.transcript import Talk
from onecard.options import languages
from onecard.python_backend.speech_wait import IsBusy, SpeechWait

Event = dict[str, Any]
Check = Callable[[], None]

HEAD_TOKENS = 400  # of an answer that is a title and a summary, or the answer to a question


def load(config: Config) -> MinutesModel:
    """Minutes by the engine that `config.engine_dir` holds.

    Raises:
        ManifestError: a file of it is missing or is not the one that was built.
        ValueError: the tokenizer's directory lacks something.
    """
    facts = manifest.engine(config)
    return MinutesModel(llm_tokenizer.load(config.tokenizer_dir), config, facts)


def joined(events: Iterator[Event]) -> Event:
    """One event in place of all, for those who want no stream: minutes, summary, and a RESULT."""
    whole: Event = {"event": "whole"}
    for event in events:
        if event["event"] in ("result", "minutes", "answer", "summary"):
            whole |= {key: value for key, value in event.items() if key != "event"}
    return whole


class MinutesModel:
    """Makes minutes, or answers a question.

    Args:
        facts: of the engine, for the summary's `engine` block.
    """

    def __init__(self, tokenizer: Tokenizer, config: Config, facts: Mapping[str, Any]) -> None:
        self._tokenizer = tokenizer
        self._config = config
        self._facts = dict(facts)

    def events(
        self,
        text: str,
        options: MinutesOptions,
        llm: Llm,
        is_busy: IsBusy,
        check: Check = lambda: None,
        is_heard: bool = False,
    ) -> Generator[Event, None, None]:
        """`progress` and `note` events, `minutes` or `answer`, then `summary`.

        Closing the generator stops the engine.

        Args:
            text: TRANSCRIPT.
            check: raises Cancelled where nobody waits any more; called before each piece of work.
            is_heard: as `transcript.parse`'s.

        Raises:
            InvalidRequest: TRANSCRIPT is none, or the options leave no room for it.
            Unavailable: the engine answered no call.
            Cancelled: the caller is gone.
        """
        talk = transcript.parse(text, options.names, is_heard)
        check()
        speech = SpeechWait(is_busy, self._config.max_speech_wait_s)
        calls = Calls(self._tokenizer, llm, speech, self._config.max_calls_in_flight)
        request = _Request(talk, options, self._config, self._tokenizer, calls, speech, check)
        yield from request.events()
        yield {"event": "summary", "summary": {**request.summary(), "engine": self._facts}}


class _Request:
    """One request's parts, calls and account."""

    def __init__(
        self,
        talk: Talk,
        options: MinutesOptions,
        config: Config,
        tokenizer: Tokenizer,
        calls: Calls,
        speech: SpeechWait,
        check: Check,
    ) -> None:
        self._talk = talk
        self._options = options
        self._config = config
        self._tokenizer = tokenizer
        self._calls = calls
        self._speech = speech
        self._check = check
        self._prompts = Prompts(options, talk.language)
        self._max_tokens = options.max_tokens or config.max_tokens
        self._readings = [self._reading(*one) for one in self._prompted()]
        if options.form is not None:
            self._form_room()  # refused before anything is read
        self._num_dropped = 0
        self._num_read = 0
        self._problems = [f"nobody has the label {named(label)}" for label in talk.unknown]
        self._started = time.monotonic()

    @property
    def _asks(self) -> bool:
        return self._options.question is not None

    def events(self) -> Generator[Event, None, None]:
        """Progress and notes, then what was made of them."""
        yield self._progress()
        yield from self._read()
        noted = [one for reading in self._readings for one in self._noted(reading)]
        whole = None
        if noted:
            reducer = Reducer(self._calls, self._reduction, self._tokenizer.count, self._room())
            reducing = reducer.whole(noted)
            while whole is None:
                try:
                    next(reducing)
                    yield self._progress()
                except StopIteration as end:
                    whole = end.value
            self._problems += reducer.problems
        language = languages.known(self._talk.language)
        if self._asks:
            answer = document.answer(whole, self._readings, self._options, language)
            yield {"event": "answer", "answer": answer}
            return
        found = document.findings(self._readings)
        filled = None
        if self._options.form is not None:
            filled = yield from self._filled(self._options.form, found)
        made = document.minutes(whole, found, filled, self._options, language)
        yield {"event": "minutes", "minutes": made}

    def _filled(self, form: Form, findings: Sequence[Finding]) -> Generator[Event, None, Filled]:
        """The caller's document; tells progress meanwhile."""
        asked = partial(self._filling, form, len(findings))
        filler = Filler(form, self._calls, asked, self._tokenizer.count, self._form_room())
        filling = filler.filled(findings)
        while True:
            try:
                next(filling)
                yield self._progress()
            except StopIteration as end:
                filled: Filled = end.value
                break
        self._problems += filled.problems
        self._num_dropped += filled.num_dropped
        return filled

    def summary(self) -> dict[str, Any]:
        calls = [call.to_dict() for call in self._calls.made]
        return {
            **document.account(self._talk, self._readings, self._num_dropped),
            "problems": self._problems,
            "calls": calls,
            "prompt_tokens": sum(call["prompt_tokens"] for call in calls),
            "completion_tokens": sum(call["completion_tokens"] for call in calls),
            "seconds": round(time.monotonic() - self._started, 3),
            "waited_s": round(self._speech.waited_s, 3),
        }

    def _read(self) -> Generator[Event, None, None]:
        """Every part, its notes as they are found. Raises what the engine did if none was read."""
        readings = {id(reading.call): reading for reading in self._readings}
        for told in self._calls.lines([reading.call for reading in self._readings]):
            self._check()
            if told is None:
                yield self._progress()
                continue
            call, line = told
            reading = readings[id(call)]
            if line is None:
                self._num_read += 1
                yield self._progress()
                continue
            found = reading.take(line)
            if reading.is_done:
                self._calls.stopped.add(id(call))
            if found is not None:
                yield {"event": "note", "note": reading.note(found)}
        problems = [reading.call.problem for reading in self._readings]
        if problems and all(problems) and problems[0] is not None:
            raise problems[0]

    def _noted(self, reading: Reading) -> Iterator[Noted]:
        where = f"{clock(reading.part.start)} to {clock(reading.part.end)}"
        if not self._asks and reading.head is not None:
            yield Noted(where, reading.head)
        if self._asks:
            for found in reading.findings:
                yield Noted(where, Head("", found.text))

    def _prompted(self) -> list[tuple[Part, list[int]]]:
        """The parts and their prompts; none takes more than the window leaves."""
        room = self._room()
        wanted = min(room, self._options.part_tokens or self._config.part_tokens)
        while wanted >= MIN_TOKENS // 2:
            cutter = Cutter(shown, self._tokenizer.count, wanted, self._config.overlap_tokens)
            parts = cutter.parts(self._talk.lines)
            made = []
            for part in parts:
                self._check()
                ids = self._tokenizer.encode_chat(self._prompts.of_part(part, len(parts)))
                made.append((part, ids))
            largest = max((len(ids) for _, ids in made), default=0)
            if largest + self._max_tokens <= self._config.max_seq_len:
                return made
            wanted -= max(1, wanted // 16)  # a sum of lines is not quite the whole
        raise self._too_large()

    def _room(self) -> int:
        """Tokens of transcript that fit into one call. Raises InvalidRequest where it is none."""
        window, asked = self._config.max_seq_len, max(self._max_tokens, HEAD_TOKENS)
        room = window - self._num_fixed() - asked
        if room < MIN_TOKENS:
            raise self._too_large()
        return room

    def _form_room(self) -> int:
        """Tokens of findings that fit into one call beside the form, a document and the next one.

        Raises InvalidRequest where it is none.
        """
        num_fixed = self._num_tokens(self._prompts.of_form([], ""))
        room = self._config.max_seq_len - num_fixed - 2 * self._max_tokens
        if room < MIN_TOKENS:
            raise InvalidRequest(
                f"option `schema` and what is asked for with it take {num_fixed} tokens, and a "
                f"document twice {self._max_tokens}, which leaves too little of the model's "
                f"{self._config.max_seq_len} tokens for what was found; send a smaller schema, or "
                "lower option `max_tokens`"
            )
        return room

    def _num_fixed(self) -> int:
        """Tokens of the longest instructions."""
        prompts = [self._prompts.of_part(Part(100, (), 0), 100), self._prompts.of_whole([])]
        return max(map(self._num_tokens, prompts))

    def _num_tokens(self, prompt: Sequence[Message]) -> int:
        return len(self._tokenizer.encode_chat(prompt))

    def _too_large(self) -> InvalidRequest:
        return InvalidRequest(
            f"the instructions take {self._num_fixed()} tokens and an answer {self._max_tokens}, "
            f"which leaves too little of the model's {self._config.max_seq_len} tokens for a "
            "transcript; shorten the instructions, or lower option `max_tokens`"
        )

    def _reading(self, part: Part, prompt_ids: Sequence[int]) -> Reading:
        guide = grammar.of_answer if self._asks else grammar.of_part
        guides: Guides = partial(guide, len(part.lines))
        what = f"part {part.number}"
        return Reading(
            part, self._call(what, prompt_ids, guides, self._max_tokens, part.number - 1)
        )

    def _reduction(self, texts: Sequence[str], number: int) -> Call:
        """The call that makes one head of the heads of parts, or one answer of answers."""
        prompts, guides = self._prompts, grammar.of_text if self._asks else grammar.of_whole
        make: Callable[[Sequence[str]], list[Message]]
        make = prompts.of_answers if self._asks else prompts.of_whole
        ids = self._tokenizer.encode_chat(make(texts))
        what = "answer" if self._asks else "summary"
        return self._call(what, ids, guides, HEAD_TOKENS, number)

    def _filling(
        self, form: Form, num_findings: int, findings: Sequence[str], so_far: str, number: int
    ) -> Call:
        """The call that writes the caller's document, or writes it anew with more findings."""
        guide = form.guide(num_findings)
        ids = self._tokenizer.encode_chat(self._prompts.of_form(findings, so_far))
        call = self._call("document", ids, lambda _: guide, self._max_tokens, number)
        return dataclasses.replace(call, is_whole=True)

    def _call(
        self, what: str, ids: Sequence[int], guides: Guides, max_tokens: int, number: int
    ) -> Call:
        options, temperature = self._options, self._config.temperature
        temperature = temperature if options.temperature is None else options.temperature
        seed = None if options.seed is None else (options.seed + number) % (MAX_SEED + 1)
        return Call(what, ids, guides, max_tokens, temperature, seed)

    def _progress(self) -> Event:
        return {
            "event": "progress",
            "stage": "minutes",
            "done": self._num_read,
            "total": len(self._readings),
            "waiting_for": "speech" if self._speech.is_waited_for else None,
        }
