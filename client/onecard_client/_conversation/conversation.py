"""A conversation at a terminal: questions, answers, and the part of the past that still fits."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from onecard_client._clients.blocking import Client
from onecard_client._conversation.answer_output import unlike_asked, usage_of, write
from onecard_client._conversation.question import MARK, Questions, UnfinishedQuestion
from onecard_client._conversation.terminal_lines import open_lines
from onecard_client._errors import InvalidRequest, OnecardError
from onecard_client._output.console import EXIT_OK, complain, plural
from onecard_client.chat import ChatStream

QUIT, HELP = "/quit", "/help"
# How people end other chats; the other names of help.
QUITS = frozenset((QUIT, "/exit", "/bye", "/q"))
HELPS = frozenset((HELP, "/?", "/h"))
# A word that is meant for this program and not for the model. `/etc/hosts` and all that has a
# second word are questions.
COMMAND = re.compile(r"/[a-z?]*")

_HELP = f"""\
Enter asks, and several lines that are pasted are one question.
{MARK} begins a question of several lines, and {MARK} at the end of a line ends it; Ctrl-C drops it.
Ctrl-C ends an answer, Ctrl-D or {QUIT} the conversation. All of it is sent with each question;
what no longer fits the model's context is forgotten, the oldest first."""

Message = dict[str, str]
Ask = Callable[[Sequence[Message]], ChatStream]


class Exchange(NamedTuple):
    """A question and its answer."""

    question: str
    answer: str


def messages(system: str | None, past: Sequence[Exchange], question: str) -> list[Message]:
    found = [] if system is None else [{"role": "system", "content": system}]
    for exchange in past:
        found.append({"role": "user", "content": exchange.question})
        found.append({"role": "assistant", "content": exchange.answer})
    return [*found, {"role": "user", "content": question}]


def run(client: Client, ask: Ask, system: str | None, *, usage: bool, is_json: bool) -> int:
    """Answers questions until Ctrl-D or /quit. An error ends its answer only."""
    limits = client.limits()
    questions = Questions(open_lines(), QUITS | HELPS)
    complain(
        f"a conversation of up to {limits.context_tokens} tokens; Ctrl-C ends an answer, "
        f"Ctrl-D or {QUIT} the conversation; {MARK} begins and ends a question of several lines, "
        f"{HELP} tells more"
    )
    conversation = Conversation(ask, system, usage=usage, is_json=is_json)
    while True:
        try:
            question = questions.read()
        except EOFError as end:
            print()
            if isinstance(end, UnfinishedQuestion):
                complain(f"the last question had no {MARK} at its end, and was not asked")
            return EXIT_OK
        except KeyboardInterrupt:
            print()
            continue
        if question in QUITS:
            return EXIT_OK
        if question in HELPS:
            complain(_HELP)
        elif COMMAND.fullmatch(question):
            complain(f"`{question}` is no command; {HELP} names all; to ask it, say more than that")
        elif question:
            conversation.answer(question)


class Conversation:
    """The questions and answers so far."""

    def __init__(self, ask: Ask, system: str | None, *, usage: bool, is_json: bool) -> None:
        self._ask = ask
        self._system = system
        self._usage = usage
        self._is_json = is_json
        self._past: list[Exchange] = []

    def answer(self, question: str) -> None:
        """Writes the answer, and remembers both unless it failed."""
        try:
            num_forgotten, answer = self._answer(question)
        except OnecardError as error:
            complain(str(error))
            return
        if num_forgotten:
            complain(
                f"the oldest {plural(num_forgotten, 'exchange')} did not fit any more and "
                "will not be remembered"
            )
        if self._usage:
            complain(usage_of(answer))
        if answer.text:
            self._past = [*self._past[num_forgotten:], Exchange(question, answer.text)]

    def _answer(self, question: str) -> tuple[int, ChatStream]:
        """The answer, written, and how many exchanges had to be left out for it.

        Only the server can count tokens, and it refuses a request that is too long before it works
        on it; so the past is asked with whole, then without its oldest exchange, and so on.
        """
        for num_forgotten in range(len(self._past)):
            answer = self._ask(messages(self._system, self._past[num_forgotten:], question))
            with contextlib.suppress(InvalidRequest):
                self._write(answer)
                return num_forgotten, answer
        answer = self._ask(messages(self._system, [], question))
        self._write(answer)
        return len(self._past), answer

    def _write(self, answer: ChatStream) -> None:
        try:
            write(answer)
        except KeyboardInterrupt:
            answer.close()
            complain("the answer was ended")
            return
        if answer.finish_reason != "stop":
            complain(unlike_asked(answer, is_json=self._is_json))
