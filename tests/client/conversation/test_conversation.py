"""`onecard chat` at a terminal, against the fake server: what is remembered, and what ends what."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import select
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from commands import Terminal, spawn
from fake_server import (
    DELTAS,
    DONE,
    INVALID,
    PATIENCE_S,
    USAGE,
    content,
    events,
    fails,
    hangs,
)

from onecard_client.__main__ import main


class Conversation:
    """The command at a terminal of its own.

    Args:
        edited: whether by readline; else standard output is no terminal, as in `onecard chat >
            FILE`, and prompts and complaints come to the terminal.
    """

    def __init__(
        self, server: Any, *arguments: str, edited: bool = True, term: str = "dumb"
    ) -> None:
        self._terminal, inner = pty.openpty()
        streams = {"stdout": inner} if edited else {"stderr": inner}
        self.process = spawn(server.url, "chat", *arguments, term=term, stdin=inner, **streams)
        os.close(inner)
        self.shown = ""
        self.expect("> ")

    def expect(self, text: str) -> None:
        """Reads until `text` is shown, and forgets what was shown up to it."""
        while text not in self.shown:
            self.shown += os.read(self._terminal, 4096).decode(errors="replace")
        self.shown = self.shown.partition(text)[2]

    def say(self, text: str) -> None:
        self.type(text.encode())

    def type(self, keys: bytes) -> None:
        """Also what is longer than the terminal holds."""
        os.set_blocking(self._terminal, False)
        while keys:
            readable, writable, _ = select.select([self._terminal], [self._terminal], [])
            if readable:
                self.shown += os.read(self._terminal, 65536).decode(errors="replace")
            if writable:
                keys = keys[os.write(self._terminal, keys) :]
        os.set_blocking(self._terminal, True)

    def interrupt_prompt(self) -> None:
        """Again and again: one that comes while readline is about to wait waits with it."""
        ready: list[int] = []
        while not ready:
            self.process.send_signal(signal.SIGINT)
            ready, _, _ = select.select([self._terminal], [], [], 0.5)
        self.expect("> ")

    def end(self) -> tuple[int, str]:
        """Exit code and what was said on standard error.

        The terminal is read meanwhile, as every terminal is: a full one holds up who writes to it.
        """
        reader = threading.Thread(target=self._read_on, daemon=True)
        reader.start()
        _, errors = self.process.communicate(timeout=PATIENCE_S)
        reader.join(PATIENCE_S)
        os.close(self._terminal)
        return self.process.returncode, errors

    def _read_on(self) -> None:
        with contextlib.suppress(OSError):  # nobody has its other side any more
            while os.read(self._terminal, 65536):
                pass


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


# questions of several lines

PASTE = "line one\n\n    line two\n\n\nline three"


def questions(server: Any) -> list[str]:
    """What was asked last in each request."""
    return [server.document(number)[-1]["content"] for number in range(len(server.requests))]


@pytest.mark.parametrize("edited", [True, False])
def test_pasted_lines_are_one_question(edited: bool, fake: Any) -> None:
    server = fake(events(*DELTAS, USAGE, DONE))
    talk = Conversation(server, edited=edited)
    for _ in range(2):
        talk.say(f"{PASTE}\n")
        if edited:
            talk.expect("Good day.")
        talk.expect("> ")
    talk.say("/quit\n")
    assert talk.end()[0] == 0
    assert questions(server) == [PASTE, PASTE]


@pytest.mark.parametrize("edited", [True, False])
def test_long_paste(edited: bool, fake: Any) -> None:
    text = "\n".join(f"{number} {'x' * 70}" for number in range(1000))
    server = fake(events(*DELTAS, USAGE, DONE))
    talk = Conversation(server, edited=edited)
    talk.say(f"{text}\n/quit\n")
    assert talk.end()[0] == 0
    assert questions(server) == [text]


def test_long_line_is_whole_or_said_not_to_be(fake: Any) -> None:
    text = f"first\n{'y' * 10_000}\nlast"
    server = fake(events(*DELTAS, USAGE, DONE))
    talk = Conversation(server)
    talk.say(f"{text}\n/quit\n")
    assert talk.end()[0] == 0
    plain = Conversation(server, edited=False)
    plain.say(f"{text}\n/quit\n")
    plain.expect("what followed is lost; give a long text as a file")
    assert plain.end()[0] == 0
    assert questions(server) == [text, f"first\n{'y' * 4095}\nlast"]


def test_paste_with_the_terminals_marks(fake: Any) -> None:
    server = fake(events(*DELTAS, USAGE, DONE))
    talk = Conversation(server, term="xterm")
    talk.say("see:\x1b[200~a\r\r/quit\rb\r\x1b[201~")
    talk.say("end\r")
    talk.expect("Good day.")
    talk.expect("> ")
    talk.say("/quit\r")
    assert talk.end()[0] == 0
    assert questions(server) == ["see:a\n\n/quit\nb\nend"]


def test_history_has_whole_questions(fake: Any) -> None:
    server = fake(events(*DELTAS, USAGE, DONE))
    talk = Conversation(server, term="xterm")
    for keys in ("a\nb\n", "other\n", "\x1b[A\x1b[A\r"):
        talk.say(keys)
        talk.expect("Good day.")
        talk.expect("> ")
    talk.say("\x04")
    assert talk.end()[0] == 0
    assert questions(server) == ["a\nb", "other", "a\nb"]


@pytest.mark.parametrize("edited", [True, False])
def test_lines_between_marks(edited: bool, fake: Any) -> None:
    server = fake(events(*DELTAS, USAGE, DONE))
    talk = Conversation(server, edited=edited)
    for line in ('"""', "a", "", "b"):
        talk.say(f"{line}\n")
        talk.expect("... ")
    talk.say('"""\n')
    talk.expect("> ")
    talk.say('"""dropped\n')
    talk.expect("... ")
    talk.interrupt_prompt()
    talk.say('"""never asked\n')
    talk.expect("... ")
    talk.say("\x04")
    if not edited:
        talk.expect('had no """ at its end, and was not asked')
    code, said = talk.end()
    assert (code, not edited or "was not asked" in said) == (0, True)
    assert questions(server) == ["a\n\nb"]


@pytest.mark.parametrize("end", ["/quit\n", "\x04"])
def test_lines_typed_while_an_answer_is_written_are_asked_next(end: str, fake: Any) -> None:
    asked = threading.Event()
    typed = threading.Event()

    def step(request: Any, context: Any) -> Any:
        asked.set()
        assert typed.wait(PATIENCE_S)
        yield from events(*DELTAS, USAGE, DONE)(request, context)

    server = fake(step)
    talk = Conversation(server)
    talk.say("one\n")
    assert asked.wait(PATIENCE_S)
    talk.say(f"two\nthree\n{end}")
    typed.set()
    assert talk.end()[0] == 0
    assert questions(server) == ["one", "two\nthree"]


def test_commands(fake: Any) -> None:
    server = fake(answers)
    talk = Conversation(server)
    for command in ("/help", "/hlep", "/?"):
        talk.say(f"{command}\n")
        talk.expect("> ")
    talk.say("/etc/hosts has what?\n")
    talk.expect("/ETC/HOSTS")
    talk.expect("> ")
    talk.say("/bye\n")
    code, said = talk.end()
    assert (code, said.count("pasted are one question")) == (0, 2)
    assert "`/hlep` is no command; /help names all" in said
    assert questions(server) == ["/etc/hosts has what?"]


def test_bytes_that_are_no_text_end_nothing(fake: Any) -> None:
    server = fake(events({"event": "delta", "text": "cut \ud83d"}, USAGE, DONE))
    for edited in (True, False):
        talk = Conversation(server, edited=edited)
        talk.type(b"caf\xe9 \xc3\xa9 \xf0\x9f\x98\x80\n")
        talk.expect("> ")
        talk.say("/quit\n")
        code, said = talk.end()
        assert (code, "Traceback" in (said or "")) == (0, False)
    for question in questions(server):
        assert question.startswith("caf")
        assert question.endswith("\xe9 \U0001f600")
        assert not any("\ud800" <= character <= "\udfff" for character in question)


def test_invalid_answer_is_told_and_remembered(fake: Any, tmp_path: Path) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text("{}")
    server = fake(events(*DELTAS, USAGE, INVALID))
    talk = Conversation(server, "--json-schema", str(schema))
    for word in ("one", "two"):
        talk.say(f"{word}\n")
        talk.expect("Good day.")
        talk.expect("> ")
    talk.say("\x04")
    code, said = talk.end()
    assert (code, said.count(INVALID["problem"])) == (0, 2)
    assert len(server.document()) == 3
