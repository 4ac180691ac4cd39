"""Mails to verdicts, told as events: progress, each verdict as it is decided, a summary.

The engine is handed in (`onecard.llm.generation.Llm`).
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from onecard import manifest
from onecard.llm import tokenizer as llm_tokenizer
from onecard.llm.generation import MAX_SEED, Llm
from onecard.llm.tokenizer import Tokenizer
from onecard.metrics.traffic import Visit
from onecard.python_backend.speech_wait import IsBusy, SpeechWait
from onecard.triage import mail, options, prompt, verdicts
from onecard.triage.call import Call, Caller
from onecard.triage.grammar import VerdictGrammar
from onecard.triage.mail import Mail
from onecard.triage.options import NEEDS_REVIEW, Config, Settings, TriageOptions
from onecard.triage.packing import Pack, Packer, max_body_letters
from onecard.triage.verdicts import Verdict

Event = dict[str, Any]
Check = Callable[[], None]

POLL_S = 0.05  # how soon the end of speech is noticed


def _nothing() -> None:
    """Somebody waits."""


def load(config: Config) -> Triage:
    """A triage over the engine that `config.engine_dir` holds.

    Raises:
        ManifestError: a file of it is missing or is not the one that was built.
        ValueError: the tokenizer's directory lacks something.
        InvalidRequest: the plan's own settings cannot be served.
    """
    facts = manifest.engine(config)
    return Triage(llm_tokenizer.load(config.tokenizer_dir), config, facts)


def joined(events: Iterator[Event]) -> Event:
    """One event in place of all, for those who want no stream: every verdict, and the summary."""
    verdicts: list[Event] = []
    summary: Event = {}
    for event in events:
        if event["event"] == "verdict":
            verdicts.append(event["verdict"])
        elif event["event"] == "summary":
            summary = event["summary"]
    return {"event": "verdicts", "verdicts": verdicts, "summary": summary}


def counted(events: Generator[Event, None, None], visit: Visit) -> Generator[Event, None, None]:
    """`events`, whose verdicts and waits for speech `visit` is told; closing this closes them."""
    is_held = False
    with contextlib.closing(events):
        for event in events:
            if event["event"] == "verdict":
                visit.item(event["verdict"]["needs_review"])
            elif event["event"] == "progress" and is_held != bool(event["waiting_for"]):
                is_held = not is_held
                (visit.hold if is_held else visit.release)()
            yield event


class Triage:
    """Judges mails.

    Args:
        facts: of the engine, for the summary's `engine` block.
    """

    def __init__(self, tokenizer: Tokenizer, config: Config, facts: Mapping[str, Any]) -> None:
        self._tokenizer = tokenizer
        self._config = config
        self._facts = dict(facts)
        self._parts(self.settings(TriageOptions()))

    def settings(self, triage_options: TriageOptions) -> Settings:
        """A request's options over the plan's."""
        return options.settings(triage_options, self._config)

    def mails(self, text: str, check: Check = _nothing) -> list[Mail]:
        """The emails in EMAILS, as `onecard.triage.mail.parse` reads them."""
        return mail.parse(text, max_body_letters(self._config.max_seq_len), check)

    def events(
        self,
        mails: Sequence[Mail],
        settings: Settings,
        llm: Llm,
        is_busy: IsBusy,
        check: Check = _nothing,
    ) -> Generator[Event, None, None]:
        """`progress` and `verdict` events, then `summary`; closing the generator stops the engine.

        Args:
            check: raises Cancelled where nobody waits any more; called before each piece of work.

        Raises:
            InvalidRequest: the settings leave no room for mails.
            Cancelled: the caller is gone.
        """
        packer, grammar = self._parts(settings, check)
        speech = SpeechWait(is_busy, self._config.max_speech_wait_s)
        caller = Caller(self._tokenizer, settings, grammar, llm)
        request = _Request(mails, packer, caller, speech, settings.seed)
        yield from request.events(self._config.max_calls_in_flight)
        yield {"event": "summary", "summary": {**request.summary(), "engine": self._facts}}

    def _parts(self, settings: Settings, check: Check = _nothing) -> tuple[Packer, VerdictGrammar]:
        def encode(mails: Sequence[Mail]) -> list[int]:
            check()
            return self._tokenizer.encode_chat(prompt.messages(mails, settings))

        grammar = VerdictGrammar(settings, self._tokenizer.count)
        packer = Packer(
            encode=encode,
            count=self._tokenizer.count,
            window=self._config.max_seq_len,
            mails_per_call=settings.mails_per_call,
            max_tokens_per_mail=settings.max_tokens_per_mail,
            max_tokens_alone=grammar.max_tokens,
        )
        return packer, grammar


class _Request:
    """One request's calls and their account."""

    def __init__(
        self,
        mails: Sequence[Mail],
        packer: Packer,
        caller: Caller,
        speech: SpeechWait,
        seed: int | None,
    ) -> None:
        self._mails = {mail.id: mail for mail in mails}
        self._positions = {mail.id: index for index, mail in enumerate(mails)}
        self._packs: Iterator[Pack] = packer.packs(mails)
        self._packer = packer
        self._caller = caller
        self._speech = speech
        self._seed = seed
        self._second_tries: deque[Pack] = deque()
        self._next: Call | None = None
        self._calls: list[Call] = []
        self._verdicts: list[Verdict] = []
        self._num_running = 0
        # What the threads of the calls tell: a verdict, a call that ended, or why all have to.
        self._told: queue.SimpleQueue[Verdict | Call | BaseException] = queue.SimpleQueue()
        self._is_stopped = threading.Event()
        self._started = time.monotonic()

    def events(self, max_calls_in_flight: int) -> Generator[Event, None, None]:
        """Progress and verdicts; every mail has one when they end."""
        yield self._progress()
        with ThreadPoolExecutor(max_calls_in_flight) as pool:
            try:
                while self._find_next() or self._num_running:
                    was_waiting = self._speech.is_waited_for
                    self._start_calls(pool, max_calls_in_flight)
                    if self._speech.is_waited_for != was_waiting:
                        yield self._progress()
                    for verdict in self._heard():
                        self._verdicts.append(verdict)
                        yield {"event": "verdict", "verdict": verdict.to_dict()}
                        yield self._progress()
            finally:
                self._is_stopped.set()

    def summary(self) -> dict[str, Any]:
        calls = [call.to_dict() for call in self._calls]
        return {
            "mails": len(self._mails),
            "decided": sum(verdict.category != NEEDS_REVIEW for verdict in self._verdicts),
            "needs_review": [verdict.id for verdict in self._verdicts if verdict.needs_review],
            "calls": calls,
            "prompt_tokens": sum(call["prompt_tokens"] for call in calls),
            "completion_tokens": sum(call["completion_tokens"] for call in calls),
            "seconds": round(time.monotonic() - self._started, 3),
            "waited_s": round(self._speech.waited_s, 3),
        }

    def _progress(self) -> Event:
        waiting_for = "speech" if self._speech.is_waited_for else None
        done, total = len(self._verdicts), len(self._mails)
        return {"event": "progress", "done": done, "total": total, "waiting_for": waiting_for}

    def _find_next(self) -> bool:
        """The next call: first tries in order, then second tries."""
        if self._next is None:
            pack = next(self._packs, None)
            is_second_try = pack is None
            if pack is None and self._second_tries:
                pack = self._second_tries.popleft()
            if pack is not None:
                seed = self._seed_of(pack, is_second_try)
                self._next = Call(len(self._calls) + 1, pack, seed, is_second_try)
        return self._next is not None

    def _seed_of(self, pack: Pack, is_second_try: bool) -> int | None:
        """A different one for each call, whatever the order in which calls end."""
        if self._seed is None:
            return None
        position = self._positions[pack.mails[0].id] + is_second_try * len(self._positions)
        return (self._seed + position) % (MAX_SEED + 1)

    def _start_calls(self, pool: ThreadPoolExecutor, max_calls_in_flight: int) -> None:
        while self._num_running < max_calls_in_flight and self._find_next():
            if self._next is None or not self._speech.lets_start():
                return
            self._calls.append(self._next)
            self._num_running += 1
            pool.submit(self._run, self._next)
            self._next = None

    def _run(self, call: Call) -> None:
        """Run one call, in a thread of its own."""
        try:
            for verdict in self._caller.verdicts(call, self._is_stopped.is_set):
                self._told.put(verdict)
            self._told.put(call)
        except BaseException as error:
            self._told.put(error)

    def _heard(self) -> Iterator[Verdict]:
        """The verdicts of the next message; none after POLL_S while calls wait for speech."""
        try:
            told = self._told.get(timeout=POLL_S if self._speech.is_waited_for else None)
        except queue.Empty:
            return
        if isinstance(told, Verdict):
            yield told
        elif isinstance(told, Call):
            self._num_running -= 1
            yield from self._ended(told)
        else:
            raise told

    def _ended(self, call: Call) -> Iterator[Verdict]:
        """Try once more, one email at a time, what a call left undecided."""
        for number, why in call.undecided.items():
            if call.is_second_try:
                yield verdicts.undecided(call.mail(number), call.number, why)
            else:
                self._second_tries.append(self._packer.alone(self._mails[call.mail(number).id]))
