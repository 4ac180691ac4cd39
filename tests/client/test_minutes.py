"""Minutes in the client: what is sent, returned and shown; the server is a fake."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from typing import Any, get_args

import pytest
from fake_server import RESULT, FakeServer, events

from onecard.minutes.options import MinutesOptions, Template
from onecard_client import (
    AsyncClient,
    Client,
    Minutes,
    MinutesProgress,
    Note,
    OnecardError,
    Segments,
    Transcript,
)
from onecard_client._cli import minutes_command
from onecard_client._cli.arguments import parse
from onecard_client._cli.parser import given
from onecard_client._minutes import FORMATS, answer_text
from onecard_client.minutes import event_to_dict

CITED = {"segments": [0], "start": 0.1, "end": 61.0}
MINUTES: dict[str, Any] = {
    "version": "1",
    "template": "meeting",
    "language": "en",
    "title": "<b>Hello</b>",
    "summary": "Somebody said *hello*.",
    "topics": [],
    "decisions": [{"text": "we say [hello](http://x)", **CITED}],
    "action_items": [
        {"what": "answer", "who": "Bob", "due": "Friday", "priority": "high", **CITED}
    ],
    "open_questions": [],
    "quotes": [{"text": "Hello there.", "speaker": "SPEAKER_00", **CITED}],
}
SUMMARY: dict[str, Any] = {
    "parts": [], "calls": [], "complete": True, "speech_s": 0.9, "covered_s": 0.9, "findings": 3,
    "dropped": 0, "prompt_tokens": 12, "completion_tokens": 3, "seconds": 0.1, "waited_s": 0.0,
}  # fmt: skip
TOLD = [
    {"event": "progress", "stage": "minutes", "done": 0, "total": 1, "waiting_for": None},
    {"event": "note", "note": {"part": 1, "kind": "decision", "text": "we say hello", **CITED}},
    {"event": "minutes", "minutes": MINUTES},
    {"event": "summary", "summary": SUMMARY},
]
ANSWER = {
    "version": "1", "question": "Who?", "language": "en", "answer": "Bob.", **CITED, "found": [],
}  # fmt: skip


def test_minutes_of_a_transcript_and_of_its_file(fake: Any, tmp_path: Any) -> None:
    path = tmp_path / "talk.json"
    path.write_text(json.dumps(RESULT))
    told: list[Any] = []
    for source in (RESULT, Transcript.from_dict(RESULT), path, str(path)):
        server: FakeServer = fake(events(*TOLD))
        with Client(server.url) as client:
            made = client.minutes(
                source, template="call", on_note=told.append, on_progress=told.append
            )
        assert isinstance(made, Minutes)
        assert made.action_items[0].due == "Friday"
        assert made.account is not None
        assert made.account.complete
        assert server.options() == {"template": "call"}
        assert server.document() == {
            "language": "en",
            "duration_s": 2.0,
            "segments": [
                {"start": 0.1, "end": 1.0, "text": "Hello there.", "speaker": "SPEAKER_00"}
            ],
        }
    assert [type(one) for one in told[:2]] == [MinutesProgress, Note]


def test_audio_is_transcribed_first(fake: Any) -> None:
    server = fake(events({"event": "result", "result": RESULT}), events(*TOLD))
    with Client(server.url) as client:
        made = client.minutes(b"RIFF", transcription={"language": "en"})
    assert made.quotes[0].text == "Hello there."


def test_audio_may_be_sent_for_minutes_in_one_request(fake: Any) -> None:
    heard = [
        {"event": "progress", "stage": "recognize", "done": 0, "total": 1},
        {"event": "segments", "segments": RESULT["segments"], "language": "en"},
        {"event": "result", "result": RESULT},
    ]
    server = fake(events(*heard, *TOLD))
    options = {"transcription": {"language": "en"}, "schema": {"type": "object"}}
    with Client(server.url) as client:
        told = list(client.minutes_stream(b"RIFF", **options))
    assert server.audio() == b"RIFF"
    assert server.options() == options
    kinds = [MinutesProgress, Segments, Transcript, MinutesProgress, Note, Minutes]
    assert [type(one) for one in told[:6]] == kinds
    assert event_to_dict(told[2])["result"]["segments"][0]["text"] == "Hello there."

    async def first() -> Any:
        async with AsyncClient(fake(events(*heard, *TOLD)).url) as client:
            async for event in client.minutes_stream(b"RIFF"):
                return event

    assert asyncio.run(first()) == told[0]


def test_a_question_is_asked_by_both_clients(fake: Any) -> None:
    steps = [{"event": "answer", "answer": ANSWER}, {"event": "summary", "summary": SUMMARY}]
    server = fake(events(*steps))
    with Client(server.url) as client:
        found = client.ask(RESULT, "Who?", seed=1)
    assert server.options() == {"seed": 1, "question": "Who?"}
    assert answer_text(found) == "Bob. (00:00-01:01, segment 0)\n"
    again = fake(events(*steps))

    async def ask() -> Any:
        async with AsyncClient(again.url) as client:
            return await client.ask(RESULT, "Who?")

    assert asyncio.run(ask()) == found


def test_minutes_without_an_account_are_not_whole(fake: Any) -> None:
    server = fake(events(*TOLD[:3]))
    with Client(server.url, max_retries=0) as client, pytest.raises(OnecardError):
        client.minutes(RESULT)


@pytest.mark.parametrize("source", [{"text": "x"}, {"segments": "x"}])
def test_what_is_no_transcript_is_not_sent(source: Any) -> None:
    with Client("localhost:1") as client, pytest.raises(ValueError, match="no list `segments`"):
        client.minutes(source)


@pytest.fixture
def made() -> Minutes:
    return Minutes(**{**MINUTES, **_items()})


def _items() -> dict[str, Any]:
    from onecard_client import ActionItem, Item, Quote

    def of(kind: Any, place: str) -> Any:
        return tuple(kind(**{**one, "segments": tuple(one["segments"])}) for one in MINUTES[place])

    kinds = {"topics": Item, "decisions": Item, "action_items": ActionItem,
             "open_questions": Item, "quotes": Quote}  # fmt: skip
    return {place: of(kind, place) for place, kind in kinds.items()}


def test_markdown_shows_what_was_said_and_no_markup_of_the_model(made: Minutes) -> None:
    text = FORMATS["md"](made)
    assert "- Bob: answer, by Friday \\[high\\] (00:00-01:01, segment 0)" in text
    assert "we say \\[hello\\](http://x)" in text
    assert "<b>" not in text.replace("\\<b\\>", "")
    assert "## Topics" not in text


def test_html_shows_it_as_text(made: Minutes) -> None:
    text = FORMATS["html"](made)
    assert "<b>" not in text
    assert '<time data-start="0.1" data-segments="0">' in text


def test_a_document_of_one_s_own_schema_is_shown_as_text(made: Minutes) -> None:
    with_one = dataclasses.replace(made, document={"risk": "<b>```</b>"})
    assert "````json" in FORMATS["md"](with_one)
    assert "&lt;b&gt;" in FORMATS["html"](with_one)
    assert "## Document" not in FORMATS["md"](made)


def test_json_is_what_the_server_sent(made: Minutes) -> None:
    assert json.loads(FORMATS["json"](made)) == MINUTES


def test_every_option_of_minutes_has_one_here(tmp_path: Any) -> None:
    fields = {field.name for field in dataclasses.fields(MinutesOptions)}
    elsewhere = {"template", "question", "schema", "speakers", "stream", "transcription"}
    assert set(minutes_command.REQUEST_OPTIONS) == fields - elsewhere
    assert get_args(Template) == minutes_command.TEMPLATES
    file = tmp_path / "a.json"
    file.write_text("{}")
    namespace = parse(["minutes", str(file), "--seed", "1", "--speaker", "SPEAKER_00=Anna"])
    assert given(namespace, minutes_command.REQUEST_OPTIONS) == {"seed": 1}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("minutes no-such-file", "is no file"),
        ("minutes pyproject.toml --template party", "invalid choice"),
        ("minutes pyproject.toml --speaker Anna", "LABEL=NAME"),
        ("minutes pyproject.toml -o no/such/folder", "a folder that exists"),
        ("minutes pyproject.toml --schema pyproject.toml", "holds no JSON"),
        ("ask pyproject.toml", "QUESTION"),
    ],
)
def test_wrong_usage_is_told(line: str, message: str, capsys: Any) -> None:
    with pytest.raises(SystemExit):
        parse(line.split())
    assert message in capsys.readouterr().err
