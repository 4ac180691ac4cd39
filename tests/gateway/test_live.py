"""Every API in front of the real server, on real speech, by the clients that people use."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import shutil
import subprocess
import wave
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import ollama
import openai
import pytest

from onecard_gateway.speech import ahead
from tests.gateway.speech.sent_slowly import FILE, SlowForm, field
from tests.tool_offers import WEATHER, named
from tests.waiting import PATIENCE_S, until

SPEECH = Path(__file__).parents[2] / ".samples" / "jfk" / "jfk.wav"
PHRASE = "ask not what your country can do for you"
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 12}},
    "required": ["city"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def sdk(live: Any) -> Any:
    arguments = {"base_url": f"{live.url}/v1", "api_key": "none", "timeout": PATIENCE_S}
    with openai.OpenAI(**arguments) as client:
        yield client


@pytest.fixture(scope="module")
def http(live: Any) -> Any:
    with live.client() as client:
        yield client


def test_the_server_is_ready(http: httpx.Client) -> None:
    until(lambda: http.get("/readyz").status_code == 200)
    assert http.get("/health").json()["models"]["transcribe_stream"] is True


def test_verbose_json(sdk: openai.OpenAI) -> None:
    with SPEECH.open("rb") as file:
        found: Any = sdk.audio.transcriptions.create(
            model="whisper-1",
            file=file,
            language="en-US",
            response_format="verbose_json",
            timestamp_granularities=["word", "segment"],
            extra_body={"formats": "srt,rttm", "segments": '[{"start": 0, "end": 11}]'},
        )
    assert found.formats["srt"].startswith("1\n00:00:0")
    assert found.formats.keys() == {"srt", "rttm"}
    assert PHRASE in found.text.lower()
    assert found.duration == pytest.approx(11.0, abs=0.1)
    assert found.language == "english"
    assert all(segment.avg_logprob < 0 for segment in found.segments)
    starts = [word.start for word in found.words]
    assert all(one <= other for one, other in pairwise(starts))
    spoken = "".join(word.word for word in found.words)
    assert spoken.replace(" ", "") == found.text.replace(" ", "")


def test_the_server_has_the_first_part_before_the_last_byte_has_gone(
    live: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It refuses the language that came with it, while more of the recording still comes."""
    monkeypatch.setattr(ahead, "PART_S", PATIENCE_S)
    form = SlowForm(live.url)
    form.send(field("language", "klingon"), FILE, b"\0" * (2**20 + 1))
    status, found = form.trickle(b"more of it")
    assert (status, found["error"]["param"]) == (400, "language")
    assert "klingon" in found["error"]["message"]


def test_stream_of_speech(live: Any, sdk: openai.OpenAI) -> None:
    with SPEECH.open("rb") as file:
        stream = sdk.audio.transcriptions.create(
            model="gpt-4o-transcribe-diarize",
            file=file,
            response_format="diarized_json",
            stream=True,
        )
        *told, last = stream
    deltas = [event.delta for event in told if event.type == "transcript.text.delta"]
    segments: list[Any] = [event for event in told if event.type == "transcript.text.segment"]
    assert last.type == "transcript.text.done"
    assert "".join(deltas) == last.text
    assert PHRASE in last.text.lower()
    assert {segment.speaker for segment in segments} == {"SPEAKER_00"}
    assert live.figure("onecard_gateway_audio_seconds_total") >= 11


def test_curl_and_subtitles(live: Any) -> None:
    if shutil.which("curl") is None:
        pytest.skip("curl is not installed")
    url = f"{live.url}/v1/audio/transcriptions"
    line = ["curl", "-sS", url, "-F", f"file=@{SPEECH}", "-F", "response_format=vtt"]
    found = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert found.startswith("WEBVTT\n\n00:00:")
    assert "country" in found


def test_raw_samples(http: httpx.Client) -> None:
    """Bazarr's two calls."""
    with wave.open(str(SPEECH)) as file:
        assert (file.getframerate(), file.getnchannels()) == (16_000, 1)
        samples = {"audio_file": file.readframes(file.getnframes())}
    query = {"encode": "false", "video_file": "film.mkv"}
    found = http.post("/detect-language", params=query, files=samples).json()
    assert (found["detected_language"], found["language_code"]) == ("english", "en")
    assert 0.5 < found["confidence"] <= 1
    query |= {"task": "transcribe", "language": "en", "output": "srt"}
    found = http.post("/asr", params=query, files=samples)
    assert found.text.startswith("1\n00:00:")
    assert "country" in found.text


def test_transcribe_and_health(http: httpx.Client) -> None:
    with SPEECH.open("rb") as file:
        data = {"language": "auto", "max_speakers": "2"}
        found = http.post("/transcribe", files={"file": file}, data=data).json()
    assert (found["status"], found["language"], found["num_speakers"]) == ("success", "en", 1)
    assert http.get("/health").json()["device"] == found["diarization_device"] == "cpu"


@pytest.mark.parametrize(
    ("data", "content", "reason"),
    [
        ({"language": "klingon"}, b"RIFF", "klingon"),
        ({"temperature": "7"}, b"RIFF", "temperature"),
        ({}, b"this is text, not speech" * 100, "audio"),
        ({}, b"", "empty"),
    ],
)
def test_what_the_server_refuses(
    sdk: openai.OpenAI, data: dict[str, Any], content: bytes, reason: str
) -> None:
    with pytest.raises(openai.BadRequestError, match=reason) as caught:
        sdk.audio.transcriptions.create(model="whisper-1", file=("a.wav", content), **data)
    assert caught.value.type == "invalid_request_error"
    assert caught.value.request_id


def test_chat(sdk: openai.OpenAI) -> None:
    answer = sdk.chat.completions.create(
        model="any", messages=QUESTION, max_completion_tokens=8, temperature=0, logprobs=True
    )
    choice = answer.choices[0]
    assert choice.message.content
    assert choice.finish_reason in ("stop", "length")
    assert len(choice.logprobs.content) == answer.usage.completion_tokens <= 8
    other = sdk.completions.create(
        model="any", prompt=QUESTION[0]["content"], max_tokens=8, temperature=0
    )
    assert other.choices[0].text == choice.message.content
    response = sdk.responses.create(
        model="any", input=QUESTION[0]["content"], max_output_tokens=8, temperature=0
    )
    assert response.output_text == choice.message.content


def test_chats_as_they_come(live: Any, sdk: openai.OpenAI) -> None:
    options: Any = {"model": "any", "max_tokens": 8, "seed": 7, "temperature": 1.0}
    whole = sdk.chat.completions.create(messages=QUESTION, **options)

    async def at_once() -> list[Any]:
        url = f"{live.url}/v1"
        async with openai.AsyncOpenAI(base_url=url, api_key="none") as client:
            stream = await client.chat.completions.create(
                messages=QUESTION, stream=True, stream_options={"include_usage": True}, **options
            )
            return [chunk async for chunk in stream]

    *chunks, last = asyncio.run(at_once())
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    assert text == whole.choices[0].message.content
    assert last.usage == whole.usage


def test_schema(sdk: openai.OpenAI) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "city", "schema": SCHEMA}}
    answer = sdk.chat.completions.create(model="any", messages=QUESTION, response_format=form)
    assert set(json.loads(answer.choices[0].message.content or "")) == {"city"}


def test_tools(live: Any, sdk: openai.OpenAI) -> None:
    """Whole and as it comes, and the result told back; by Ollama's package as well."""
    arguments: Any = {"model": "any", "tools": [WEATHER], "max_tokens": 60, "seed": 1}
    arguments |= {"parallel_tool_calls": False, "tool_choice": named("get_weather")}
    answer = sdk.chat.completions.create(messages=QUESTION, **arguments).choices[0]
    assert (answer.finish_reason, answer.message.content) == ("tool_calls", None)
    (call,) = answer.message.tool_calls or ()
    jsonschema.validate(json.loads(call.function.arguments), WEATHER["function"]["parameters"])
    result: Any = {"role": "tool", "tool_call_id": call.id, "content": "Rain."}
    told: Any = [*QUESTION, answer.message.to_dict(), result]
    with sdk.chat.completions.stream(messages=told, **arguments) as stream:
        parts = [event for event in stream if event.type == "tool_calls.function.arguments.delta"]
        other = stream.get_final_completion().choices[0]
    assert other.finish_reason == "tool_calls"
    (again,) = other.message.tool_calls or ()
    assert len(parts) > 1  # tokens of 0.1 s go together
    assert "".join(part.arguments_delta for part in parts) == again.function.arguments
    assert (again.function.name, again.id == call.id) == ("get_weather", False)
    response = sdk.responses.create(
        model="any",
        input=QUESTION,
        tools=[{"type": "function", **WEATHER["function"]}],
        tool_choice="required",
        parallel_tool_calls=False,
    )
    assert [item.type for item in response.output] == ["function_call"]


def test_tools_of_ollama(live: Any) -> None:
    tools: Any = [WEATHER]
    with ollama.Client(host=live.url) as client:
        answer = client.chat("mistral", QUESTION, tools=tools, options={"num_predict": 60})
        calls = answer.message.tool_calls or []
        for call in calls:
            jsonschema.validate(dict(call.function.arguments), WEATHER["function"]["parameters"])
        assert bool(calls) != bool(answer.message.content) or answer.done_reason == "length"
        past = {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
        told = [
            *QUESTION,
            {"role": "assistant", "tool_calls": [past]},
            {"role": "tool", "content": "Rain.", "tool_name": "get_weather"},
        ]
        assert client.chat("mistral", told, options={"num_predict": 8}).message.content


def test_too_much_for_the_context(sdk: openai.OpenAI) -> None:
    context = sdk.models.retrieve("onecard-chat").model_extra["context_length"]
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(
            model="any", messages=[{"role": "user", "content": "word " * (context + 1)}]
        )
    assert caught.value.code == "context_length_exceeded"
    assert str(context) in caught.value.message


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function", "function": {"name": "f g"}}]}, "tools"),
        ({"extra_body": {"min_p": 0.1}}, "min_p"),
        ({"extra_body": {"temprature": 1}}, "temprature"),
    ],
)
def test_options_that_cannot_be_followed(sdk: openai.OpenAI, options: Any, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        sdk.chat.completions.create(model="any", messages=QUESTION, **options)
    assert caught.value.param == param


def test_ollama(live: Any) -> None:
    with ollama.Client(host=live.url) as client:
        options = {"num_predict": 8, "temperature": 0}
        answer = client.chat("mistral", QUESTION, options=options)
        pieces = list(
            client.generate("mistral", QUESTION[0]["content"], options=options, stream=True)
        )
        form = client.chat("mistral", QUESTION, format=SCHEMA)
    assert answer.message.content
    assert "".join(piece.response for piece in pieces) == answer.message.content
    assert pieces[-1].eval_count == answer.eval_count > 0
    assert set(json.loads(form.message.content or "")) == {"city"}


def test_known_speakers(sdk: openai.OpenAI, conversation: Path) -> None:
    """Two people on a telephone line, and 4 and 6 s of their voices, in OpenAI's own fields."""
    excerpts = {"caller": (10.6, 14.4), "agent": (22.0, 27.8)}
    with wave.open(str(conversation)) as file:
        parameters, rate = file.getparams(), file.getframerate()
        samples = file.readframes(file.getnframes())
    num_bytes = parameters.nchannels * parameters.sampwidth

    def recording(start_s: float, end_s: float) -> bytes:
        content = io.BytesIO()
        with wave.open(content, "wb") as file:
            file.setparams(parameters)
            file.writeframes(
                samples[int(start_s * rate) * num_bytes : int(end_s * rate) * num_bytes]
            )
        return content.getvalue()

    references = [
        "data:audio/wav;base64," + base64.b64encode(recording(*span)).decode()
        for span in excerpts.values()
    ]
    found: Any = sdk.audio.transcriptions.create(
        model="gpt-4o-transcribe-diarize",
        file=("talk.wav", recording(6.0, 30.0)),
        response_format="diarized_json",
        language="en",
        known_speaker_names=list(excerpts),
        known_speaker_references=references,
    )
    assert {segment.speaker for segment in found.segments} == {"caller", "agent"}
    at_20_s = [one for one in found.segments if one.start <= 19.0 <= one.end]
    assert {one.speaker for one in at_20_s} == {"agent"}
    for one in found.known_speakers:
        assert one["found"]
        assert one["distance"] < one["max_distance"] == 0.15
