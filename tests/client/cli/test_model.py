"""`--model`: one of the server's Whispers, or a name that WhisperX's command lines have."""

from __future__ import annotations

from onecard_client._cli.arguments import parse
from onecard_client._cli.transcribe_options import choose, notes, request_options


def test_a_model_that_the_server_has_is_asked_for() -> None:
    namespace = parse(["transcribe", "a.wav", "--model", "tiny.en"])
    choose(namespace, lambda: ("base", "tiny.en"))
    assert request_options(namespace) == {"model": "tiny.en"}
    assert notes(namespace) == []


def test_another_one_is_left_out_with_a_note() -> None:
    namespace = parse(["transcribe", "a.wav", "--model", "large-v2", "--device", "cuda"])
    choose(namespace, lambda: ("base", "tiny.en"))
    assert request_options(namespace) == {}
    assert notes(namespace) == [
        "without effect: --device (the server's plan decides)",
        "without effect: --model large-v2 (the server has base, tiny.en)",
    ]


def test_a_command_that_names_none_asks_nobody() -> None:
    def asked() -> tuple[str, ...]:
        raise AssertionError("nobody needs to know")

    choose(parse(["transcribe", "a.wav"]), asked)
