"""A conversation at a terminal: questions, answers as they come, what of the past still fits.

It knows how people begin and end; it is told how to ask the server.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

from onecard_client._answer_output import cut_short, usage_of, write
from onecard_client._client import Client
from onecard_client._console import EXIT_OK, complain, plural
from onecard_client._errors import InvalidRequest, OnecardError
from onecard_client.chat import ChatStream

PROMPT = "> "
QUIT = "/quit"

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


def run(client: Client, ask: Ask, system: str | None, *, usage: bool) -> int:
    """Until Ctrl-D or /quit. An error ends its answer and not the conversation."""
    limits = client.limits()
    with contextlib.suppress(ImportError):
        importlib.import_module("readline")  # gives `input` the arrow keys
    complain(
        f"a conversation of up to {limits.context_tokens} tokens; "
        f"Ctrl-C ends an answer, Ctrl-D or {QUIT} the conversation"
    )
    past: list[Exchange] = []
    while True:
        try:
            question = input(PROMPT).strip()
        except EOFError:
            print()
            return EXIT_OK
        except KeyboardInterrupt:
            print()
            continue
        if question == QUIT:
            return EXIT_OK
        if question:
            past = _exchange(ask, system, past, question, usage=usage)


def _exchange(
    ask: Ask, system: str | None, past: list[Exchange], question: str, *, usage: bool
) -> list[Exchange]:
    """The past after one more question."""
    try:
        num_forgotten, answer = _answer(ask, system, past, question)
    except OnecardError as error:
        complain(str(error))
        return past
    if num_forgotten:
        complain(
            f"the oldest {plural(num_forgotten, 'exchange')} did not fit any more and "
            "will not be remembered"
        )
    if answer.finish_reason == "length":
        complain(cut_short(answer, is_json=False))
    if usage:
        complain(usage_of(answer))
    if not answer.text:
        return past
    return [*past[num_forgotten:], Exchange(question, answer.text)]


def _answer(
    ask: Ask, system: str | None, past: list[Exchange], question: str
) -> tuple[int, ChatStream]:
    """The answer, written, and how many exchanges had to be left out for it.

    Only the server can count tokens, and it refuses a request that is too long before it works on
    it; so the past is asked with whole, then without its oldest exchange, and so on.
    """
    for num_forgotten in range(len(past)):
        answer = ask(messages(system, past[num_forgotten:], question))
        with contextlib.suppress(InvalidRequest):
            _write(answer)
            return num_forgotten, answer
    answer = ask(messages(system, [], question))
    _write(answer)
    return len(past), answer


def _write(answer: ChatStream) -> None:
    try:
        write(answer)
    except KeyboardInterrupt:
        answer.close()
        print()
        complain("the answer was ended")
