"""Both clients and the command against the real server, on real speech."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import wave
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2_grpc

from onecard.whisper.tokenizer import Tokenizer
from onecard_client import (
    AsyncClient,
    Client,
    DeadlineExceeded,
    InvalidRequest,
    Progress,
    Segments,
    ServerError,
    Transcript,
)
from onecard_client._errors import CallContext
from onecard_client._transport import wire
from onecard_client.writers import ALL_FORMATS, WRITERS
from tests.plans import max_streams
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[3]
PHRASE = "ask not what your country can do for you"
TOKENIZER = Tokenizer(ROOT / "engines" / "cpu" / "whisper" / "tokenizer.json")
# A file with this much in it is beyond every default limit of gRPC and of HTTP servers.
LARGE_BYTES = 70_000_000
# More than any plan lets run at once.
PLACES = max_streams("transcribe_stream")


@pytest.fixture(scope="module")
def speech() -> Path:
    """11 s, one speaker, English."""
    return ROOT / ".samples" / "jfk" / "jfk.wav"


@pytest.fixture(scope="module")
def transcript(server: Any, speech: Path) -> Transcript:
    with Client(server.grpc_url) as client:
        return client.transcribe(speech, language="en")


def test_transcript_of_a_path(transcript: Transcript) -> None:
    assert PHRASE in transcript.text.lower()
    assert transcript.language == "en"
    assert transcript.duration_s == pytest.approx(11.0, abs=0.1)
    assert transcript.speakers == ("SPEAKER_00",)
    assert transcript.options["language"] == "en"


def test_transcript_holds_together(transcript: Transcript) -> None:
    account = transcript.account
    assert account.speech_s + account.silence_s == pytest.approx(account.duration_s, abs=0.01)
    assert account.transcribed_s + account.dropped_s == pytest.approx(account.speech_s, abs=0.01)
    assert account.num_words == len(transcript.words)
    timed = [word for word in transcript.words if word.start is not None]
    assert all(word.start <= word.end <= transcript.duration_s for word in timed)  # type: ignore[operator]
    assert all(one.start <= other.start for one, other in pairwise(timed))  # type: ignore[operator]
    for segment in transcript.segments:
        spoken = "".join(word.word for word in segment.words)
        assert "".join(spoken.split()) == "".join(segment.text.split())
    assert Transcript.from_json(transcript.to_json()) == transcript


def test_segments_have_the_figures_of_their_decoding(transcript: Transcript) -> None:
    for segment in transcript.segments:
        assert -1 < (segment.avg_logprob or 0) < 0
        assert 0.8 < (segment.compression_ratio or 0) < 2.4
        assert 0 < (segment.no_speech_prob or 0) < 0.2
        assert segment.temperature == 0.0
        tokens = TOKENIZER.decode(list(segment.tokens or ()))
        assert tokens.split() == segment.text.split()
        assert not segment.extra


def test_bytes_and_file_objects(
    server: Any, connect: Any, speech: Path, transcript: Transcript
) -> None:
    client = connect(server.grpc_url)
    assert client.transcribe(speech.read_bytes(), language="en").text == transcript.text
    with speech.open("rb") as file:
        assert client.transcribe(file, language="en").text == transcript.text


def test_raw_pcm(server: Any, speech: Path) -> None:
    with wave.open(str(speech)) as file:
        rate, channels = file.getframerate(), file.getnchannels()
        pcm = file.readframes(file.getnframes())
    options = {"encoding": "pcm_s16le", "sample_rate": rate, "channels": channels}
    with Client(server.grpc_url) as client:
        found = client.transcribe(pcm, language="en", diarize=False, **options)
    assert PHRASE in found.text.lower()
    assert found.turns is None


def test_stream(server: Any, connect: Any, speech: Path, transcript: Transcript) -> None:
    *events, last = connect(server.grpc_url).stream(speech, language="en")
    assert isinstance(last, Transcript)
    assert last.text == transcript.text
    assert any(isinstance(event, Progress) for event in events)
    pieces = [event for event in events if isinstance(event, Segments)]
    told = " ".join(segment.text.strip() for piece in pieces for segment in piece.segments)
    assert "".join(told.split()) == "".join(transcript.text.split())


@pytest.mark.parametrize(
    ("audio", "options", "reason"),
    [
        (b"", {}, "empty"),
        (b"this is text, not speech" * 100, {}, "audio"),
        (b"RIFF", {"langage": "en"}, "did you mean `language`"),
        (b"RIFF", {"min_speakers": "two"}, "min_speakers"),
    ],
)
def test_bad_request(audio: bytes, options: Any, reason: str, server: Any, connect: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        connect(server.grpc_url).transcribe(audio, **options)
    assert reason in str(caught.value)
    assert caught.value.status == "INVALID_ARGUMENT"


def test_unknown_model_as_triton_says_it(server: Any) -> None:
    """It arrives as a text without a code: no model was there to begin it with one."""
    (request,) = wire.requests(wire.TRANSCRIBE, b"audio", {}, "r-1")()
    request.model_name = "no_such_model"
    context = CallContext(server.grpc_url, request_id="r-1")
    with grpc.insecure_channel(server.grpc_url) as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        responses = stub.ModelStreamInfer(iter([request]))
        error = wire.error(next(responses), context)
        assert list(responses) == []
    assert type(error) is ServerError
    assert "no_such_model" in str(error)


def test_one_more_than_a_server_has_places_for_waits_for_one(
    server: Any, speech: Path, transcript: Transcript
) -> None:
    with Client(server.grpc_url, max_retries=0) as hasty, Client(server.grpc_url) as patient:
        streams = [hasty.transcribe_stream(speech) for _ in range(PLACES)]
        for stream in streams:
            next(stream)
        leave = threading.Timer(0.2, lambda: [stream.close() for stream in streams])
        leave.start()
        assert patient.transcribe(speech, language="en").text == transcript.text
        leave.join()


def test_large_file_reaches_the_server(server: Any, connect: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        connect(server.grpc_url).transcribe(b"x" * LARGE_BYTES)
    assert caught.value.status == "INVALID_ARGUMENT"  # the model's refusal, not gRPC's


def test_deadline(server: Any, connect: Any, conversation: Path, transcript: Transcript) -> None:
    with pytest.raises(DeadlineExceeded):
        connect(server.grpc_url).transcribe(conversation, timeout_s=0.1)


def test_server_lives_on_after_cancelled_requests(
    server: Any, connect: Any, conversation: Path, speech: Path, transcript: Transcript
) -> None:
    assert isinstance(connect(server.grpc_url).first_event(conversation), Progress)

    async def cancel() -> None:
        async with AsyncClient(server.grpc_url) as client:
            task = asyncio.create_task(client.transcribe(conversation))
            await asyncio.sleep(0.3)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancel())
    assert connect(server.grpc_url).transcribe(speech, language="en").text == transcript.text


def test_health(server: Any, connect: Any) -> None:
    health = connect(server.grpc_url).health()
    assert health.live
    assert health.ready
    folders = {path.name for path in (ROOT / "model_repository").iterdir()}
    assert {model.name for model in health.models} == folders
    assert all(model.ready for model in health.models)
    assert health.server_name == "triton"
    assert health.server_version


# the command


def spawn(server: Any, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "onecard_client", *arguments, "--url", server.grpc_url],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def test_command_writes_every_format(server: Any, speech: Path, tmp_path: Path) -> None:
    garbage = tmp_path / "garbage.wav"
    garbage.write_bytes(b"RIFF and nothing else")
    folder = tmp_path / "out"
    line = ["transcribe", str(garbage), str(speech), "--language", "en", "--output_dir"]
    process = spawn(server, *line, str(folder), "--max_speakers", "2")
    shown, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1, errors
    assert str(garbage) in errors
    assert f"{speech}: 11.0 s of audio, language en, 1 speaker" in shown
    assert {path.name for path in folder.iterdir()} == {f"jfk.{one}" for one in ALL_FORMATS}
    written = Transcript.from_json((folder / "jfk.json").read_text())
    assert PHRASE in written.text.lower()
    assert written.options["max_speakers"] == 2
    for extension in ALL_FORMATS:
        text = (folder / f"jfk.{extension}").read_text()
        assert text == getattr(written, f"to_{extension}")()
    for extension in ("aud", "rttm"):
        process = spawn(server, "transcribe", str(speech), "-f", extension, "-o", str(folder))
        assert process.communicate(timeout=PATIENCE_S)
        assert process.returncode == 0
    assert set(WRITERS) == {path.suffix[1:] for path in folder.iterdir()}


def test_command_is_interrupted(server: Any, conversation: Path, tmp_path: Path) -> None:
    line = ["transcribe", str(conversation), "-o", str(tmp_path), "--print-progress", "True"]
    process = spawn(server, *line)
    assert process.stderr is not None
    process.stderr.readline()  # its first stage has begun
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=PATIENCE_S) == 130
    process.communicate()
    assert list(tmp_path.iterdir()) == []


def test_command_is_killed(
    server: Any, conversation: Path, speech: Path, tmp_path: Path, transcript: Transcript
) -> None:
    line = ["transcribe", str(conversation), "-o", str(tmp_path), "--print-progress", "True"]
    process = spawn(server, *line)
    assert process.stderr is not None
    while "recognize" not in process.stderr.readline():
        assert process.poll() is None
    process.kill()
    process.communicate()
    assert list(tmp_path.iterdir()) == []
    with Client(server.grpc_url) as client:
        assert client.transcribe(speech, language="en").text == transcript.text


def test_command_shows_the_status(server: Any) -> None:
    process = spawn(server, "status")
    shown, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0
    assert f"{server.grpc_url}: ready" in shown
    assert "  transcribe_stream  ready\n" in shown
