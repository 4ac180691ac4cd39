"""OpenAI's transcriptions in front of a server with a script: fields, formats, events, errors."""

from __future__ import annotations

import base64
import copy
import json
from typing import Any

import pytest
from fake_server import FINISHED, PROGRESS, RESULT, SEGMENTS, events, says

from tests.waiting import until

URL = "/v1/audio/transcriptions"
FILE = {"file": ("file.mp3", b"RIFF of some kind")}
DECODING = {"event": "progress", "stage": "decode_audio", "done": 0, "total": 1}


@pytest.fixture(scope="module")
def behind(lasting_fake: Any) -> Any:
    return lasting_fake(events(DECODING, PROGRESS, SEGMENTS, FINISHED))


def options(behind: Any) -> dict[str, Any]:
    return dict(behind.options())


def test_json_and_text(client: Any, behind: Any) -> None:
    found = client.post(URL, files=FILE, data={"model": "whisper-1"})
    usage = {"type": "duration", "seconds": 2.0}
    assert (found.status_code, found.json()) == (200, {"text": "Hello there.", "usage": usage})
    assert "x-onecard-ignored" not in found.headers
    assert behind.audio() == b"RIFF of some kind"
    assert options(behind) == {"task": "transcribe", "diarize": False, "align": False}
    found = client.post(URL, files=FILE, data={"response_format": "text"})
    assert found.text == "Hello there.\n"
    assert found.headers["content-type"].startswith("text/plain")


def test_fields(client: Any, behind: Any) -> None:
    found = client.post(
        URL,
        files=FILE,
        data={
            "language": "en-US",
            "prompt": "Names: Ann.",
            "temperature": "0.20",
            "timestamp_granularities[]": ["word", "segment"],
            "response_format": "verbose_json",
            "min_silence_duration_ms": "300",
            "max_speakers": "3",
            "vad_filter": "true",
            "hotwords": "",
        },
    )
    assert found.status_code == 200
    assert found.headers["x-onecard-ignored"] == "min_silence_duration_ms"
    assert options(behind) == {
        "task": "transcribe",
        "language": "en-US",
        "initial_prompt": "Names: Ann.",
        "temperature": 0.2,
        "max_speakers": 3,
        "vad_filter": True,
        "diarize": True,
        "align": True,
    }


def reference(content: bytes = b"a voice") -> str:
    return "data:audio/wav;base64," + base64.b64encode(content).decode()


def test_known_speakers(fake: Any, gateway: Any) -> None:
    """The voices are asked for, then the recording, with what has become of them."""
    heard = [{**RESULT, "speaker_embeddings": {"SPEAKER_00": [x, 0.5]}} for x in (0.1, 0.2)]
    told = [{"name": "Ann", "found": True, "distance": 0.07, "max_distance": 0.15}]
    whole = {**json.loads(json.dumps(RESULT).replace("SPEAKER_00", "Ann")), "known_speakers": told}
    steps = [events({"event": "result", "result": result}) for result in (*heard, whole)]
    behind = fake(*steps)
    data = {
        "response_format": "diarized_json",
        "known_speaker_names[]": ["Ann", "Bob"],
        "known_speaker_references[]": [reference(), reference(b"another").partition(",")[2]],
        "known_speaker_distance": "0.2",
    }
    one = gateway(behind.url)
    with one.client() as client:
        found = client.post(URL, files=FILE, data=data)
    # the references too
    until(lambda: one.figure("onecard_gateway_audio_seconds_total") == 6.0)
    assert "x-onecard-ignored" not in found.headers
    assert found.json()["known_speakers"] == told
    assert {segment["speaker"] for segment in found.json()["segments"]} == {"Ann"}
    asked = [behind.options(number) for number in range(3)]
    assert [one["num_speakers"] for one in asked[:2]] == [1, 1]
    assert asked[2]["known_speakers"] == {"Ann": [0.1, 0.5], "Bob": [0.2, 0.5]}
    assert (asked[2]["diarize"], asked[2]["known_speaker_distance"]) == (True, 0.2)
    assert [behind.audio(number) for number in range(2)] == [b"a voice", b"another"]


@pytest.mark.parametrize(
    ("names", "recordings", "says"),
    [
        (["Ann"], [], "1 `known_speaker_names` and 0 `known_speaker_references`"),
        ([], [reference()], "there are 0 `known_speaker_names`"),
        (["Ann", "Ann"], [reference()] * 2, "different names"),
        ([str(number) for number in range(5)], [reference()] * 5, "must be 1 to 4"),
        (["Ann"], ["https://example.org/a.wav"], "must be a data URL"),
        (["Ann"], ["data:audio/wav,RIFF"], "must be a data URL"),
        (["Ann"], ["data:audio/wav;base64,"], "must be a data URL"),
    ],
)
def test_what_is_no_reference_is_refused(
    refusing: Any, names: list[str], recordings: list[str], says: str
) -> None:
    data = {"known_speaker_names[]": names, "known_speaker_references[]": recordings}
    found = refusing.post(URL, files=FILE, data=data)
    assert found.status_code == 400
    assert says in found.json()["error"]["message"]
    assert found.json()["error"]["param"] == "known_speaker_references"


def test_a_reference_without_a_voice_is_named(fake: Any, gateway: Any) -> None:
    data = {"known_speaker_names": "Ann", "known_speaker_references": reference(), "stream": "true"}
    with gateway(fake(events(FINISHED)).url).client() as client:
        found = client.post(URL, files=FILE, data=data)
    assert found.status_code == 400
    assert "recording of `Ann` cannot be used: " in found.json()["error"]["message"]


def test_verbose(client: Any) -> None:
    data = {"response_format": "verbose_json", "timestamp_granularities": "word,segment"}
    found = client.post(URL, files=FILE, data=data).json()
    assert (found["task"], found["language"], found["duration"]) == ("transcribe", "english", 2.0)
    [segment] = found["segments"]
    assert (segment["id"], segment["avg_logprob"], segment["speaker"]) == (0, -0.25, "SPEAKER_00")
    # what the server does not tell is not there: a zero would be taken for a figure
    assert not {"tokens", "temperature", "no_speech_prob", "compression_ratio"} & segment.keys()
    assert found["words"] == segment["words"]
    assert found["words"][0]["probability"] == found["words"][0]["score"] == 0.9
    assert found["speakers"] == ["SPEAKER_00"]


def test_verbose_has_the_figures_of_a_server_that_tells_them(gateway: Any, fake: Any) -> None:
    result = copy.deepcopy(RESULT)
    figures = {
        "tokens": [1, 2],
        "temperature": 0.0,
        "compression_ratio": 1.2,
        "no_speech_prob": 0.0,
    }
    result["segments"][0] |= figures
    with gateway(fake(events({"event": "result", "result": result})).url).client() as client:
        found = client.post(URL, files=FILE, data={"response_format": "verbose_json"}).json()
    assert found["segments"][0].items() >= figures.items()
    assert "words" not in found


def test_subtitles(client: Any) -> None:
    vtt = client.post(URL, files=FILE, data={"response_format": "vtt"})
    assert vtt.text.startswith("WEBVTT\n\n00:00:00.100 --> 00:00:0")
    assert vtt.headers["content-type"].startswith("text/vtt")
    srt = client.post(URL, files=FILE, data={"response_format": "srt"})
    assert srt.text.startswith("1\n00:00:00,100 --> ")


@pytest.mark.parametrize(
    "data", [{"model": "gpt-4o-transcribe-diarize"}, {"response_format": "diarized_json"}]
)
def test_speakers_are_told_apart_where_they_are_asked_for(
    client: Any, behind: Any, data: dict[str, str]
) -> None:
    client.post(URL, files=FILE, data=data)
    assert options(behind)["diarize"] is True
    client.post(URL, files=FILE, data={**data, "diarize": "false"})
    assert options(behind)["diarize"] is False


def test_diarized(client: Any) -> None:
    data = {"response_format": "diarized_json", "chunking_strategy": "auto"}
    found = client.post(URL, files=FILE, data=data).json()
    [segment] = found["segments"]
    assert (segment["type"], segment["speaker"]) == ("transcript.text.segment", "SPEAKER_00")
    assert [word["word"] for word in found["word_segments"]] == ["Hello", "there."]


def test_own_segments_and_texts_that_the_server_makes(gateway: Any, fake: Any) -> None:
    texts = {"srt": "1\n00:00:00,100 --> ", "rttm": "SPEAKER talk 1 0.100"}
    behind = fake(events({"event": "result", "result": {**RESULT, "formats": texts}}))
    given = {"formats[]": ["srt, rttm", "txt"], "segments": '[{"start": 1, "end": 2.5}, [3, 4]]'}
    with gateway(behind.url).client() as client:
        for name in ("json", "verbose_json", "diarized_json", "result"):
            found = client.post(URL, files=FILE, data={**given, "response_format": name})
            assert found.json()["formats"] == texts
        streamed = client.post(URL, files=FILE, data={**given, "stream": "true"})
        document = client.post("/transcribe", files=FILE, data=given).json()
    assert "x-onecard-ignored" not in found.headers
    assert told(streamed.text)[-2]["formats"] == document["formats"] == texts
    asked = options(behind)
    assert (asked["formats"], behind.options(0)["align"]) == (["srt", "rttm", "txt"], True)
    assert asked["segments"] == [{"start": 1, "end": 2.5}, [3, 4]]


def test_translations(client: Any, behind: Any) -> None:
    data = {"response_format": "verbose_json"}
    found = client.post("/v1/audio/translations", files=FILE, data=data)
    assert found.json()["task"] == options(behind)["task"] == "translate"


def told(text: str) -> list[Any]:
    blocks = [block.removeprefix("data: ") for block in text.strip().split("\n\n")]
    return [json.loads(block) if block.startswith("{") else block for block in blocks]


def test_stream(gateway: Any, fake: Any) -> None:
    second = {**SEGMENTS["segments"][0], "text": " And on."}
    script = events(DECODING, SEGMENTS, {"event": "segments", "segments": [second]}, FINISHED)
    with gateway(fake(script).url).client() as client:
        found = client.post(URL, files=FILE, data={"stream": "true"})
        with_speakers = client.post(
            URL, files=FILE, data={"stream": "true", "response_format": "diarized_json"}
        )
    assert found.headers["content-type"].startswith("text/event-stream")
    one, two, done, end = told(found.text)
    assert one == {"type": "transcript.text.delta", "delta": "Hello there."}
    assert two == {"type": "transcript.text.delta", "delta": " And on."}
    assert done == {"type": "transcript.text.done", "text": "Hello there."}
    assert end == "[DONE]"
    kinds = [event["type"] for event in told(with_speakers.text)[:-1]]
    assert kinds == [
        *["transcript.text.delta"] * 2,
        "transcript.text.segment",
        "transcript.text.done",
    ]


def test_error_before_and_in_a_stream(gateway: Any, fake: Any) -> None:
    refused = says("INVALID_ARG: the audio is no audio, must be; send some")
    behind = fake(events(DECODING, then=refused), events(DECODING, PROGRESS, then=refused))
    with gateway(behind.url).client() as client:
        early = client.post(URL, files=FILE, data={"stream": "true"})
        late = client.post(URL, files=FILE, data={"stream": "true"})
    assert early.status_code == 400
    assert "send some" in early.json()["error"]["message"]
    error, _ = told(late.text)
    assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")


@pytest.mark.parametrize(
    ("files", "data", "param"),
    [
        (FILE, {"response_format": "xml"}, "response_format"),
        (FILE, {"temperature": "warm"}, "temperature"),
        (FILE, {"max_speakers": "2.5"}, "max_speakers"),
        (FILE, {"stream": "perhaps"}, "stream"),
        (FILE, {"stream": "1", "response_format": "srt"}, "stream"),
        (FILE, {"segments": "1-2"}, "segments"),
        (FILE, {"segments": '{"start": 1, "end": 2}'}, "segments"),
        (FILE, {"formats": "rttm", "response_format": "text"}, "formats"),
        ({"other": ("a", b"b")}, {}, "file"),
        ([("file", ("a", b"b")), ("file", ("a", b"b"))], {}, "file"),
        ({"other": ("a", b"b")}, {"file": "text"}, "file"),
    ],
)
def test_wrong_fields(refusing: Any, files: Any, data: Any, param: str) -> None:
    found = refusing.post(URL, files=files, data=data)
    assert found.status_code == 400
    error = found.json()["error"]
    assert (error["type"], error["param"]) == ("invalid_request_error", param)


def test_samples_without_a_header(client: Any, behind: Any) -> None:
    raw = {"encoding": "pcm_alaw", "sample_rate": "8000", "channels": "1"}
    found = client.post(URL, files=FILE, data=raw)
    assert options(behind).items() >= {**raw, "sample_rate": 8000, "channels": 1}.items()
    assert "x-onecard-ignored" not in found.headers
    found = client.post(URL, files=FILE, data={"sample_rate": "8000"})
    assert "sample_rate" not in options(behind)
    assert found.headers["x-onecard-ignored"] == "sample_rate"


def test_no_form(client: Any) -> None:
    assert client.post(URL, json={"file": "x"}).status_code == 415
    kind = {"content-type": "multipart/form-data; boundary=b"}
    assert client.post(URL, content=b"no form", headers=kind).status_code == 400
    found = client.post(URL, content=b"x", headers={"content-type": "multipart/form-data"})
    assert found.status_code == 400
    assert "leave the header to the library" in found.json()["error"]["message"]


def test_a_busy_server(gateway: Any, fake: Any) -> None:
    with gateway(fake(says("UNAVAILABLE: all places are taken; try later")).url).client() as client:
        found = client.post(URL, files=FILE)
    assert (found.status_code, found.headers["retry-after"]) == (503, "2")
    assert found.json()["error"]["message"] == "all places are taken; try later"


def test_a_large_file_goes_on_in_parts(client: Any, behind: Any) -> None:
    data = bytes(range(256)) * 16_384  # 4 MiB
    assert client.post(URL, files={"file": ("a", data)}).status_code == 200
    assert behind.audio() == data


def test_the_whole_result(client: Any, behind: Any) -> None:
    found = client.post(URL, files=FILE, data={"response_format": "result"})
    assert found.json() == RESULT
    assert options(behind)["align"] is True
    form = {"response_format": "result", "stream": "true", "diarize": "true"}
    lines = client.post(URL, files=FILE, data=form).text.split("\n\n")
    told = [json.loads(line.removeprefix("data: ")) for line in lines[:-2]]
    assert lines[-2:] == ["data: [DONE]", ""]
    assert [event["type"] for event in told] == [
        "transcript.progress",
        "transcript.progress",
        "transcript.segments",
        "transcript.result",
    ]
    assert told[1] == {"type": "transcript.progress", "stage": "recognize", "done": 1, "total": 4}
    assert told[2]["segments"] == [{"start": 0.1, "end": 1.0, "text": "Hello there."}]
    assert told[3]["result"] == RESULT


@pytest.mark.parametrize(("asked", "sent"), [("tiny.en", "tiny.en"), ("gpt-4o", None)])
def test_a_model_of_the_server_is_chosen_by_its_name(
    client: Any, behind: Any, asked: str, sent: str | None
) -> None:
    behind.parameters["speech_models"] = "base,tiny.en"
    assert client.post(URL, files=FILE, data={"model": asked}).status_code == 200
    assert options(behind).get("model") == sent
    found = {model["id"]: model for model in client.get("/v1/models").json()["data"]}
    assert {"whisper-1", "base", "tiny.en"} <= set(found)
    assert (found["tiny.en"]["residence"], found["tiny.en"]["loaded"]) == ("resident", True)
