"""`onecard chat` at a terminal, against the fake server: what is remembered, and what ends what."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import sys
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from commands import Terminal, spawn
from fake_server import DELTAS, DONE, PATIENCE_S, USAGE, content, events, fails, hangs

from onecard_client.__main__ import main


class Conversation:
    """The command at a terminal of its own."""

    def __init__(self, server: Any, *arguments: str) -> None:
        self._terminal, inner = pty.openpty()
        self.process = spawn(server.url, "chat", *arguments, stdin=inner, stdout=inner)
        os.close(inner)
        self.shown = ""
        self.expect("> ")

    def expect(self, text: str) -> None:
        """Reads until `text` is shown, and forgets what was shown up to it."""
        while text not in self.shown:
            self.shown += os.read(self._terminal, 4096).decode()
        self.shown = self.shown.partition(text)[2]

    def say(self, text: str) -> None:
        os.write(self._terminal, text.encode())

    def interrupt_prompt(self) -> None:
        """Again and again: one that comes while readline is about to wait waits with it."""
        ready: list[int] = []
        while not ready:
            self.process.send_signal(signal.SIGINT)
            ready, _, _ = select.select([self._terminal], [], [], 0.5)
        self.expect("> ")

    def end(self) -> tuple[int, str]:
        """Exit code and what was said on standard error."""
        _, errors = self.process.communicate(timeout=PATIENCE_S)
        os.close(self._terminal)
        return self.process.returncode, errors


def answers(request: Any, context: Any) -> Iterator[Any]:
    """What was asked last, in capitals."""
    question = json.loads(content(request))[-1]["content"]
    delta = {"event": "delta", "text": question.upper()}
    yield from events(delta, USAGE, DONE)(request, context)


def test_conversation_remembers(fake: Any) -> None:
    server = fake(answers)
    talk = Conversation(server, "--system", "Be brief.", "--usage")
    talk.say("one\n")
    talk.expect("ONE")
    talk.expect("> ")
    talk.say("\n  \ntwo\n")
    talk.expect("TWO")
    talk.say("/quit\n")
    code, said = talk.end()
    assert code == 0
    assert "up to 64 tokens" in said
    assert said.count("15 of 64 tokens") == 2
    assert server.document() == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "ONE"},
        {"role": "user", "content": "two"},
    ]


def test_conversation_ends_at_the_end_of_input(fake: Any) -> None:
    talk = Conversation(fake(answers))
    talk.say("\x04")
    assert talk.end()[0] == 0


def test_oldest_exchanges_are_forgotten_when_the_context_is_full(fake: Any) -> None:
    def step(request: Any, context: Any) -> Any:
        if len(json.loads(content(request))) > 3:
            return fails(grpc.StatusCode.INVALID_ARGUMENT, "too many tokens")(request, context)
        return answers(request, context)

    server = fake(step)
    talk = Conversation(server)
    for word in ("one", "two", "three", "four"):
        talk.say(f"{word}\n")
        talk.expect(word.upper())
        talk.expect("> ")
    talk.say("/quit\n")
    code, said = talk.end()
    assert (code, said.count("the oldest 1 exchange did not fit")) == (0, 2)
    assert [message["content"] for message in server.document()] == ["three", "THREE", "four"]


def test_refused_question_is_not_remembered(fake: Any) -> None:
    def step(request: Any, context: Any) -> Any:
        if "bad" in json.loads(content(request))[-1]["content"]:
            return fails(grpc.StatusCode.INVALID_ARGUMENT, "not this")(request, context)
        return answers(request, context)

    server = fake(step)
    talk = Conversation(server)
    for word in ("one", "bad", "two"):
        talk.say(f"{word}\n")
        talk.expect(word.upper() if word != "bad" else "bad")
        talk.expect("> ")
    talk.say("\x04")
    code, said = talk.end()
    assert code == 0
    assert said.count("onecard: not this") == 1
    assert [message["content"] for message in server.document()] == ["one", "ONE", "two"]


def test_interrupt_ends_the_answer_and_not_the_conversation(fake: Any) -> None:
    server = fake(events(*DELTAS, then=hangs), answers)
    talk = Conversation(server)
    talk.interrupt_prompt()  # nothing to end
    talk.say("one\n")
    talk.expect("Good day.")
    talk.process.send_signal(signal.SIGINT)
    assert server.cancelled.wait(PATIENCE_S)
    talk.expect("> ")
    talk.say("two\n")
    talk.expect("TWO")
    talk.say("/quit\n")
    code, said = talk.end()
    assert (code, "the answer was ended" in said) == (0, True)
    contents = [message["content"] for message in server.document()]
    assert contents == ["one", "Good day.", "two"]


def test_conversation_without_a_server(capsys: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", Terminal())
    assert main(["chat", "--url", "no-such-host.invalid"]) == 3
    with pytest.raises(SystemExit):
        main(["chat", "--json"])
    assert "`--json` is for one answer" in capsys.readouterr().err
