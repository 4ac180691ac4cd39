"""What `serve` says as a log of JSON lines, and what it passes on of its models."""

from __future__ import annotations

import json

import pytest

from build_scripts import console
from build_scripts.commands import serve
from build_scripts.errors import ServerError
from build_scripts.server.logs import reader, redacted

REQUEST = '{"time": "2026-01-02T03:04:05+00:00", "source": "model", "id": "call-7"}'


@pytest.mark.parametrize(
    ("said", "level"),
    [("ready after 5 s", "info"), ("warning: little room", "warning"), ("error: no", "error")],
)
def test_a_line_is_an_object_with_its_level(
    said: str, level: str, capsys: pytest.CaptureFixture[str]
) -> None:
    console.say_json(said)
    found = json.loads(capsys.readouterr().out)
    assert (found["message"], found["level"], found["source"]) == (said, level, "serve")


def test_the_line_of_a_model_comes_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    shown = reader.Reader().read(REQUEST)
    assert shown == REQUEST
    console.say_json(shown)
    assert capsys.readouterr().out == REQUEST + "\n"


def test_requests_are_no_part_of_a_report() -> None:
    assert list(redacted.kept([REQUEST])) == ["(1 lines left out)"]


def test_an_unknown_format_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOG_FORMAT", "xml")
    with pytest.raises(ServerError, match="`LOG_FORMAT` is `xml`, wanted one of text, json"):
        serve.main("serve", ["--http-port", "1"])
