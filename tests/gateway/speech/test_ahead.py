"""Recordings go on to a server while their form comes, and from disk where that does not do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_server import FINISHED, PROGRESS, Step, events, hangs

from onecard_gateway.speech import ahead, uploads
from tests.gateway.speech.sent_slowly import FILE, SlowForm, WatchedServer, field
from tests.waiting import PATIENCE_S, until

MIB = 2**20
AUDIO = os.urandom(3 * MIB + 5)
MOST, REST = AUDIO[: 5 * MIB // 2], AUDIO[5 * MIB // 2 :] + b"\r\n"  # two parts, and what follows
FIELDS = field("language", "en")
# A fraction of a second, on a machine that does nothing else; the fakes wait much longer.
SOON_S = 10.0


@pytest.fixture(autouse=True)
def _patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead, "PART_S", PATIENCE_S)


@pytest.fixture
def watched() -> Iterator[Callable[..., WatchedServer]]:
    with contextlib.ExitStack() as stack:

        def start(*script: Step) -> WatchedServer:
            one = WatchedServer(*script)
            stack.callback(one.stop)
            return one

        yield start


def num_kept() -> int:
    """Files without a name that this process holds."""
    found = 0
    for one in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += "(deleted)" in str(one.readlink())
    return found


@pytest.mark.parametrize("stream", ["false", "true"])
def test_parts_go_on_as_they_come(gateway: Any, watched: Any, stream: str) -> None:
    behind = watched(events(PROGRESS, FINISHED))
    form = SlowForm(gateway(behind.url).url, x_request_id="r-1")
    form.send(FIELDS, field("stream", stream), FILE, MOST)
    until(lambda: behind.streams and len(behind.streams[0]) == 2)
    status, found = form.end(REST)
    assert status == 200
    assert "Hello there." in str(found)
    assert len(behind.requests) == len(behind.streams) == 1  # nothing went twice
    assert behind.audio() == AUDIO
    assert [len(part) for part in behind.streams[0]] == [MIB, MIB, MIB, 5]
    assert (behind.options()["language"], behind.requests[0].id) == ("en", "r-1")


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/asr?output=json", "audio_file"),
        ("/transcribe?language=en", "file"),
        ("/detect-language?a=b", "audio_file"),
    ],
)
def test_a_query_is_known_before_the_form(gateway: Any, watched: Any, path: str, name: str) -> None:
    behind = watched(events(FINISHED))
    form = SlowForm(gateway(behind.url).url, path)
    form.send(FILE.replace(b'"file"', f'"{name}"'.encode()), MOST)
    until(lambda: behind.streams and len(behind.streams[0]) == 2)
    assert form.end(REST)[0] == 200
    assert behind.audio() == AUDIO
    assert len(behind.streams) == 1


@pytest.mark.parametrize(
    ("behind_it", "language", "num_streams"),
    [(field("language", "de"), "de", 2), (field("user", "ann"), "en", 1)],
    ids=["another option", "nothing of the server's"],
)
def test_fields_behind_the_recording(
    gateway: Any, watched: Any, behind_it: bytes, language: str, num_streams: int
) -> None:
    behind = watched(events(FINISHED))
    form = SlowForm(gateway(behind.url).url)
    form.send(FIELDS, FILE, MOST)
    until(lambda: behind.streams)
    assert form.end(REST, behind_it)[0] == 200
    assert len(behind.streams) == num_streams
    assert (behind.audio(), behind.options()["language"]) == (AUDIO, language)


def test_a_recording_before_all_fields_is_kept(gateway: Any, watched: Any) -> None:
    behind = watched(events(FINISHED))
    one = gateway(behind.url)
    form = SlowForm(one.url)
    form.send(FILE, MOST)
    with one.client() as client:
        client.get("/")
    assert behind.streams == []
    assert form.end(REST, FIELDS)[0] == 200
    assert (behind.audio(), behind.options()["language"]) == (AUDIO, "en")


def test_no_more_than_the_server_has_room_for(
    gateway: Any, watched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_AHEAD", 1)
    behind = watched(events(FINISHED))
    one = gateway(behind.url)
    first, second = SlowForm(one.url), SlowForm(one.url)
    first.send(FIELDS, FILE, MOST)
    until(lambda: behind.streams)
    second.send(FIELDS, FILE, MOST)
    assert second.end(REST)[0] == 200
    assert first.end(REST)[0] == 200
    assert [sum(map(len, stream)) for stream in behind.streams] == [len(AUDIO)] * 2
    third = SlowForm(one.url)  # the place is free again
    third.send(FIELDS, FILE, MOST)
    until(lambda: len(behind.streams) == 3)
    assert third.end(REST)[0] == 200


@pytest.mark.parametrize(("name", "value"), [("response_format", "xml"), ("stream", "perhaps")])
def test_a_wrong_field_is_refused_before_the_recording(
    gateway: Any, watched: Any, name: str, value: str
) -> None:
    behind = watched(events(FINISHED))
    form = SlowForm(gateway(behind.url).url)
    form.send(field(name, value), FILE, b"RIFF")
    status, found = form.answer()
    assert (status, found["error"]["param"]) == (400, name)
    assert behind.streams == []


def test_what_fields_behind_complete_is_not_refused(gateway: Any, watched: Any) -> None:
    behind = watched(events(FINISHED))
    form = SlowForm(gateway(behind.url).url, "/asr")
    form.send(field("formats", "srt"), FILE.replace(b'"file"', b'"audio_file"'), MOST)
    assert form.end(REST, field("output", "json"))[0] == 200
    assert behind.options()["formats"] == ["srt"]


def test_a_language_that_the_server_has_not(gateway: Any, watched: Any) -> None:
    behind = watched()
    behind.refusal = "INVALID_ARG: option `language` is `xx`, must be one of Whisper's"
    form = SlowForm(gateway(behind.url).url)
    form.send(field("language", "xx"), FILE, MOST)
    status, found = form.trickle(b"more of it")
    assert (status, found["error"]["param"]) == (400, "language")


def test_who_sends_slowly_holds_nothing_of_the_server(
    gateway: Any, watched: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "PART_S", 0.2)
    behind = watched(events(FINISHED))
    form = SlowForm(gateway(behind.url).url)
    form.send(FIELDS, FILE, MOST)
    assert behind.left.wait(PATIENCE_S)
    monkeypatch.setattr(ahead, "PART_S", PATIENCE_S)
    assert form.end(REST)[0] == 200
    assert len(behind.streams) == 2
    assert behind.audio() == AUDIO


def test_a_server_that_is_lost_amid_an_upload(gateway: Any, watched: Any) -> None:
    first, second = watched(hangs), watched(events(FINISHED))
    form = SlowForm(gateway(first.url, second.url).url)
    form.send(FIELDS, FILE, MOST)
    until(lambda: first.streams and len(first.streams[0]) == 2)
    first.stop()
    assert form.end(REST)[0] == 200
    assert second.audio() == AUDIO


@pytest.mark.parametrize("stage", ["amid the recording", "amid the fields behind", "at the end"])
def test_who_leaves_frees_the_server_and_the_disk(gateway: Any, watched: Any, stage: str) -> None:
    behind = watched(events(PROGRESS, then=hangs))
    one = gateway(behind.url)
    before = num_kept()
    form = SlowForm(one.url)
    form.send(FIELDS, FILE, MOST)
    until(lambda: behind.streams)
    if stage == "amid the fields behind":
        form.send(REST, field("user", "ann"))
    elif stage == "at the end":
        form.finish(REST)
    is_whole = stage != "amid the recording"
    until(lambda: behind.requests or not is_whole)
    assert num_kept() > before
    form.leave()
    assert (behind.cancelled if is_whole else behind.left).wait(SOON_S)
    until(lambda: num_kept() <= before)
    assert one.figure("onecard_gateway_requests_in_flight") == 1  # the one that asks


def test_audio_counts_once_for_a_key(gateway: Any, watched: Any, keys: Any) -> None:
    key = keys.add("notes", audio_seconds_a_day=3)
    behind = watched(events(FINISHED))
    one = gateway(behind.url, keys_file=keys.path)
    for _ in range(2):  # 2 s each
        form = SlowForm(one.url, authorization=f"Bearer {key}")
        form.send(FIELDS, FILE, MOST)
        assert form.end(REST)[0] == 200
    with one.client(headers={"authorization": f"Bearer {key}"}) as client:
        assert client.post("/v1/audio/transcriptions", files={"file": b"RIFF"}).status_code == 429
    assert len(behind.streams) == 2


def test_a_job_is_kept_first(gateway: Any, watched: Any, tmp_path: Path) -> None:
    behind = watched(events(FINISHED))
    one = gateway(behind.url, jobs_folder=tmp_path / "jobs")
    form = SlowForm(one.url, "/v1/jobs")
    form.send(FIELDS, FILE, MOST)
    with one.client() as client:
        client.get("/")
    assert behind.streams == []
    assert form.end(REST)[0] == 202
    until(lambda: behind.requests)
    assert behind.audio() == AUDIO
