"""`onecard chat` against the fake server: questions from everywhere, answers, conversations."""

from __future__ import annotations

import io
import json
import locale
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from commands import Terminal, spawn
from fake_server import (
    ANSWER,
    DELTAS,
    DONE,
    INVALID,
    PATIENCE_S,
    USAGE,
    events,
    fails,
    hangs,
    says,
)

from onecard_client.__main__ import main

CUT = events(*DELTAS, USAGE, {**DONE, "finish_reason": "length"})


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Any:
    def give(text: bytes) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))

    give(b"")
    return give


def chat(server: Any, *arguments: str) -> int:
    return main(["chat", *arguments, "--url", server.url])


# one question


def test_answer_of_a_text(fake: Any, stdin: Any, capsys: Any) -> None:
    server = fake(events(*ANSWER))
    assert chat(server, "Say", "hello", "--system", "Be brief.", "--max_tokens", "5") == 0
    assert capsys.readouterr() == ("Good day.\n", "")
    assert server.document() == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Say hello"},
    ]
    assert server.options() == {"max_tokens": 5}


@pytest.mark.parametrize(
    ("arguments", "piped", "asked"),
    [
        (["Summarise"], b"a mail\n", "Summarise\n\na mail\n"),
        ([], b"a mail", "a mail"),
        (["Summarise"], b" \n", "Summarise"),
        ([], b"caf\xe9", "caf\ufffd"),
        (["caf\udce9"], b"", "caf\ufffd"),
        (["half", "\ud83d"], b"", "half \ufffd"),
        ([], "\ufeffGrüße".encode(), "Grüße"),
        ([], "Grüße \U0001f600".encode("utf-16"), "Grüße \U0001f600"),
        ([], b"\xff\xfea\0b", "a\ufffd"),
        ([], b"a\0\x1bb", "a\0\x1bb"),
    ],
)
def test_where_a_question_comes_from(
    arguments: list[str], piped: bytes, asked: str, fake: Any, stdin: Any
) -> None:
    server = fake(events(*ANSWER))
    stdin(piped)
    assert chat(server, *arguments) == 0
    assert server.document() == [{"role": "user", "content": asked}]


def test_file_in_the_charset_that_is_used_here(
    fake: Any, stdin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locale, "getpreferredencoding", lambda do_setlocale: "iso-8859-1")
    server = fake(events(*ANSWER))
    for piped in ("Grüße".encode("latin-1"), "Grüße".encode()):
        stdin(piped)
        assert chat(server, "Größe") == 0
        assert server.document() == [{"role": "user", "content": "Größe\n\nGrüße"}]


def test_instructions_with_bytes_that_are_no_text(fake: Any, stdin: Any) -> None:
    server = fake(events(*ANSWER))
    assert chat(server, "Hi", "--system", "caf\udce9", "--stop", "\udce9") == 0
    assert server.document()[0] == {"role": "system", "content": "caf\ufffd"}
    assert server.options() == {"stop": ["\udce9"]}


def test_no_question(fake: Any, stdin: Any, capsys: Any) -> None:
    server = fake(events(*ANSWER))
    assert chat(server) == 2
    assert "nothing is asked" in capsys.readouterr().err
    assert server.requests == []


def test_pieces_are_written_as_they_come(
    fake: Any, stdin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.StringIO()
    seen: list[str] = []

    def step(request: Any, context: Any) -> Iterator[Any]:
        yield from events(DELTAS[0])(request, context)
        deadline_s = time.monotonic() + PATIENCE_S
        while not shown.getvalue() and time.monotonic() < deadline_s:
            time.sleep(0.01)
        seen.append(shown.getvalue())
        yield from events(*ANSWER[1:])(request, context)

    monkeypatch.setattr(sys, "stdout", shown)
    assert chat(fake(step), "Hi") == 0
    assert (seen, shown.getvalue()) == (["Good "], "Good day.\n")


def test_usage(fake: Any, stdin: Any, capsys: Any) -> None:
    assert chat(fake(events(*ANSWER)), "Hi", "--usage") == 0
    assert "12 tokens in, 3 out; 15 of 64 tokens of context" in capsys.readouterr().err


def test_json(fake: Any, stdin: Any, capsys: Any) -> None:
    assert chat(fake(events(*ANSWER)), "Hi", "--json") == 0
    assert json.loads(capsys.readouterr().out) == {
        "text": "Good day.",
        "finish_reason": "stop",
        "usage": {name: value for name, value in USAGE.items() if name != "event"},
        "engine": DONE["engine"],
    }


def test_logprobs_are_a_part_of_the_json(fake: Any, stdin: Any, capsys: Any) -> None:
    logprobs = [
        {"token": "Good", "logprob": -0.5, "bytes": [71, 111, 111, 100]},
        {"token": "?", "logprob": -1.0},
    ]
    delta = {"event": "delta", "text": "Good?", "logprobs": logprobs}
    server = fake(events(delta, USAGE, DONE))
    assert chat(server, "Hi", "--json", "--logprobs") == 0
    assert json.loads(capsys.readouterr().out)["logprobs"] == logprobs
    assert server.options() == {"logprobs": True}
    with pytest.raises(SystemExit) as caught:
        chat(server, "Hi", "--logprobs")
    assert caught.value.code == 2
    assert "`--logprobs` is shown by `--json` only" in capsys.readouterr().err


HOSTILE = "\x9b2J\u202e\ud83d\U0001f600 ä\n"


@pytest.mark.parametrize("charset", ["utf-8", "iso-8859-1", "ascii"])
def test_json_is_safe_in_every_charset(
    charset: str, fake: Any, stdin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, charset))
    assert chat(fake(events({"event": "delta", "text": HOSTILE}, USAGE, DONE)), "Hi", "--json") == 0
    line = shown.getvalue().decode(charset)
    assert json.loads(line)["text"] == HOSTILE
    assert not set(line) & set("\x9b\u202e\ud83d")
    assert ("\U0001f600" in line) == (charset == "utf-8")


@pytest.mark.parametrize(
    ("charset", "text"),
    [
        ("utf-8", "\x9b2J\u202e\ufffd\U0001f600 ä\n"),
        ("iso-8859-1", "\x9b2J\\u202e\\ufffd\\U0001f600 ä\n"),
        ("ascii", "\\x9b2J\\u202e\\ufffd\\U0001f600 \\xe4\n"),
    ],
)
def test_text_is_written_in_every_charset(
    charset: str, text: str, fake: Any, stdin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(shown, charset))
    assert chat(fake(events({"event": "delta", "text": HOSTILE}, USAGE, DONE)), "Hi") == 0
    assert shown.getvalue().decode(charset) == text


def test_invalid_answer_fails_and_says_why(
    fake: Any, stdin: Any, capsys: Any, tmp_path: Path
) -> None:
    path = tmp_path / "schema.json"
    path.write_text("{}")
    server = fake(events(*DELTAS, USAGE, INVALID))
    assert chat(server, "Hi", "--json-schema", str(path)) == 1
    out, err = capsys.readouterr()
    assert out == "Good day.\n"
    assert f"not what the schema wants ({INVALID['problem']})" in err
    assert chat(server, "Hi", "--json") == 1
    out, err = capsys.readouterr()
    assert json.loads(out)["problem"] == INVALID["problem"]


def test_long_refusal_with_controls(fake: Any, stdin: Any, capsys: Any) -> None:
    words = "INVALID_ARG: the role is \x1b[2J\x9b\u202e" + "x" * 1_000_000
    assert chat(fake(says(words)), "Hi") == 1
    err = capsys.readouterr().err
    assert err.startswith("onecard: the role is \ufffd[2J\ufffd\ufffdxxx")
    assert err.endswith("more)\n")
    assert len(err) < 5000


def test_schema_reaches_the_server(fake: Any, stdin: Any, tmp_path: Path) -> None:
    server = fake(events(*ANSWER))
    path = tmp_path / "schema.json"
    path.write_text('{"type": "object"}')
    assert chat(server, "Hi", "--json_schema", str(path), "--stop", "a_b", "--stop=--c") == 0
    assert server.options() == {
        "stop": ["a_b", "--c"],
        "response_format": {"type": "json_schema", "json_schema": {"type": "object"}},
    }


def test_cut_short_is_told_and_fails_where_it_breaks_json(
    fake: Any, stdin: Any, tmp_path: Path, capsys: Any
) -> None:
    assert chat(fake(CUT), "Hi") == 0
    assert "cut short by `--max-tokens`; " in capsys.readouterr().err
    path = tmp_path / "schema.json"
    path.write_text("{}")
    assert chat(fake(CUT), "Hi", "--json-schema", str(path)) == 1
    assert "cut short by `--max-tokens`, hence is not JSON" in capsys.readouterr().err


def test_answer_that_the_server_ended(fake: Any, stdin: Any, capsys: Any) -> None:
    server = fake(events(DELTAS[0], USAGE, {**DONE, "finish_reason": "cancelled"}))
    assert chat(server, "Hi") == 1
    assert "ended with `cancelled`" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("step", "code", "said"),
    [
        (fails(grpc.StatusCode.INVALID_ARGUMENT, "the prompt has 70 tokens"), 1, "70 tokens"),
        (fails(grpc.StatusCode.INTERNAL, "internal error"), 1, "internal error"),
        (events(DELTAS[0]), 1, "ended without a result"),
    ],
)
def test_failures(step: Any, code: int, said: str, fake: Any, stdin: Any, capsys: Any) -> None:
    assert chat(fake(step), "Hi") == code
    assert said in capsys.readouterr().err


def test_no_server(stdin: Any, capsys: Any) -> None:
    assert main(["chat", "Hi", "--url", "no-such-host.invalid"]) == 3
    assert "no-such-host.invalid" in capsys.readouterr().err


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_terminal_gets_nothing_that_it_would_obey(
    kind: type[io.StringIO], fake: Any, stdin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = kind()
    monkeypatch.setattr(sys, "stdout", shown)
    delta = {"event": "delta", "text": "\x1b[2Jgone\n"}
    assert chat(fake(events(delta, USAGE, DONE)), "Hi") == 0
    assert ("\x1b" in shown.getvalue()) == (kind is io.StringIO)


def test_line_ends_that_two_pieces_share(
    fake: Any, stdin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = Terminal()
    monkeypatch.setattr(sys, "stdout", shown)
    deltas = [{"event": "delta", "text": text} for text in ("a\r", "\nb\r", "c\r")]
    assert chat(fake(events(*deltas, USAGE, DONE)), "Hi") == 0
    assert shown.getvalue() == "a\nb\ufffdc\ufffd\n"


@pytest.mark.parametrize("kind", [Terminal, io.StringIO])
def test_answer_that_breaks_off_leaves_the_line_on_a_terminal(
    kind: type[io.StringIO], fake: Any, stdin: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = kind()
    monkeypatch.setattr(sys, "stdout", shown)
    assert chat(fake(events(DELTAS[0])), "Hi") == 1
    assert shown.getvalue() == ("Good \n" if kind is Terminal else "Good ")


def test_interrupt_cancels_the_answer(fake: Any) -> None:
    server = fake(events(*DELTAS, then=hangs))
    process = spawn(server.url, "chat", "Hi", stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.read(4) == "Good"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert errors == "onecard: interrupted\n"
    assert server.cancelled.wait(PATIENCE_S)


def test_reader_that_has_seen_enough_ends_the_answer(fake: Any) -> None:
    """As in `onecard chat ... | head -c 4`."""
    chatter = events(*[DELTAS[0]] * 100_000, then=hangs)
    server = fake(chatter)
    process = spawn(server.url, "chat", "Hi", stdin=subprocess.DEVNULL)
    assert process.stdout is not None
    assert process.stdout.read(4) == "Good"
    process.stdout.close()
    assert process.wait(timeout=PATIENCE_S) == 1
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert server.cancelled.wait(PATIENCE_S)
