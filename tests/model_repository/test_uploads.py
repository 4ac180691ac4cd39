"""Recordings in parts and on disk, against the real server: whole or refused, and never left over.

What an upload is, step by step, is in tests/onecard/python_backend/test_uploads.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path

import av
import grpc
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.grpc import service_pb2_grpc
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

from build_scripts.server.models import supervisor
from evaluation import recordings
from onecard import audio
from onecard_client import AsyncClient, Client
from onecard_client._transport import wire
from tests.plans import max_streams
from tests.spools import open_spools
from tests.waiting import PATIENCE_S, until

MAX_STREAMS = max_streams("transcribe_stream")


@pytest.fixture(scope="module")
def stub(server):
    with grpc.insecure_channel(server.grpc_url) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


@pytest.fixture(scope="module")
def large(conversation):
    """The conversation with 32 bits a sample, two of the client's parts; its samples are the same.

    The two low bytes are what decoding takes off again.
    """
    pcm, _ = audio.decode(conversation.read_bytes(), audio.Limits(60.0, 2**24))
    data = recordings.wav(pcm)
    header = bytearray(data[:44])
    for offset, value in ((4, 36 + 4 * len(pcm)), (28, 64_000), (40, 4 * len(pcm))):
        header[offset : offset + 4] = value.to_bytes(4, "little")
    header[32:36] = (4).to_bytes(2, "little") + (32).to_bytes(2, "little")
    return bytes(header) + (pcm.astype(np.int32) << 16).tobytes()


def parts(content: bytes):
    found = list(wire.requests(wire.TRANSCRIBE, content, {"language": "en"}, "r-1")())
    assert len(found) == 2
    return found


def spools(server) -> list[str]:
    """What the streaming model has open."""
    found = supervisor.stubs(server.triton_pid())
    (pid,) = (pid for pid, model in found.items() if model == "transcribe_stream")
    return open_spools(pid)


def wait_for_no_spool(server) -> None:
    until(lambda: not spools(server), lambda: spools(server))


def last_error(stub, requests) -> str:
    return [one.error_message for one in stub.ModelStreamInfer(iter(requests))][-1]


def test_parts_make_the_transcript_that_the_whole_makes(server, large, conversation):
    with Client(server.grpc_url) as client:
        in_parts = client.transcribe(large, language="en")
        whole = client.transcribe(conversation, language="en")
    assert in_parts.clip["codec"] == "pcm_s32le"
    assert in_parts.segments == whole.segments
    assert in_parts.turns == whole.turns


async def in_parts_too(url: str, content: bytes):
    async with AsyncClient(url) as client:
        return await client.transcribe(content, language="en", diarize=False)


def test_so_they_do_from_asyncio(server, large):
    found = asyncio.run(in_parts_too(server.grpc_url, large))
    assert found.duration_s == pytest.approx(30.0, abs=0.1)
    assert found.text


def test_one_large_message_does_as_well(server, stub, large):
    """As other clients send it."""
    request = wire._request(wire.TRANSCRIBE, large, b'{"diarize": false}', "r-1")
    answers = list(stub.ModelStreamInfer(iter([request])))
    assert [one.error_message for one in answers] == [""] * len(answers)
    assert b'"event": "result"' in answers[-1].infer_response.raw_output_contents[0]
    wait_for_no_spool(server)


def test_a_recording_in_pieces_is_told_as_the_ensemble_tells_it_whole(server, conversation):
    """More than `windows_per_piece`; the steps then get files in place of what they hold."""
    talk, _ = audio.decode(conversation.read_bytes(), audio.Limits(60.0, 2**24))
    speech, _ = audio.decode(recordings.jfk().path.read_bytes(), audio.Limits(60.0, 2**24))
    content = recordings.wav(np.concatenate([talk, speech, talk]))
    inputs = [triton.InferInput(name, [1, 1], "BYTES") for name in ("AUDIO", "OPTIONS")]
    inputs[0].set_data_from_numpy(np.array([[content]], object))
    inputs[1].set_data_from_numpy(np.array([[b'{"language": "en"}']], object))
    with triton.InferenceServerClient(server.grpc_url) as client:
        answer = client.infer("transcribe", inputs, client_timeout=PATIENCE_S)
    whole = json.loads(answer.as_numpy("RESULT")[0, 0])
    with Client(server.grpc_url) as client:
        in_pieces = client.transcribe(content, language="en").to_dict()
    assert in_pieces["turns"] == whole["turns"]
    assert in_pieces["speakers"] == whole["speakers"]
    assert len(whole["speakers"]) >= 2
    words = [word["word"] for word in whole["word_segments"]]
    assert [word["word"] for word in in_pieces["word_segments"]] == words


def test_who_hangs_up_in_the_middle_leaves_nothing(server, stub, large):
    first, _ = parts(large)
    wait_for_no_spool(server)

    is_noticed = threading.Event()

    def half():
        yield first
        is_noticed.wait(PATIENCE_S)

    call = stub.ModelStreamInfer(half())
    until(lambda: spools(server))
    call.cancel()
    wait_for_no_spool(server)
    is_noticed.set()


def silence(duration_s: int) -> bytes:
    """Hours of it are some kilobytes, and seconds of work for whoever decodes them."""
    out = io.BytesIO()
    with av.open(out, "w", format="flac") as file:
        track = file.add_stream("flac", rate=16_000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16_000), np.int16), "s16", "mono")
        frame.sample_rate = 16_000
        for second in range(duration_s):
            frame.pts = second * 16_000
            file.mux(track.encode(frame))
        file.mux(track.encode(None))
    return out.getvalue()


def below(pid: int) -> list[int]:
    """Children of a process, whichever of its threads started them."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def decoding(server) -> list[int]:
    """Processes that decode a recording now."""
    stubs = supervisor.stubs(server.triton_pid())
    nurseries = [n for pid, model in stubs.items() if model == "decode_audio" for n in below(pid)]
    assert len(nurseries) == 2
    return [pid for nursery in nurseries for pid in below(nursery)]


def test_who_hangs_up_while_it_is_decoded_ends_that_and_leaves_nothing(server, stub):
    wait_for_no_spool(server)
    request = wire._request(wire.TRANSCRIBE, silence(5 * 3600), b"{}", "r-1")
    call = stub.ModelStreamInfer(iter([request]))
    until(lambda: decoding(server))
    call.cancel()
    until(lambda: not decoding(server))
    wait_for_no_spool(server)


def test_a_killed_decoder_costs_its_own_recording_alone(server, stub, conversation):
    request = wire._request(wire.TRANSCRIBE, silence(5 * 3600), b"{}", "r-1")
    answers = stub.ModelStreamInfer(iter([request]))
    found = until(lambda: decoding(server))
    os.kill(found[0], signal.SIGKILL)
    said = [answer.error_message for answer in answers][-1]
    assert said.startswith("UNAVAILABLE: the process that decoded AUDIO was killed")
    with Client(server.grpc_url) as client:
        assert client.transcribe(conversation, language="en", diarize=False).text


def test_a_rate_of_no_recording_is_refused_at_once(server, stub, conversation):
    data = bytearray(conversation.read_bytes())
    data[24:28] = (240_000_017).to_bytes(4, "little")
    request = wire._request(wire.TRANSCRIBE, bytes(data), b"{}", "r-1")
    assert "must have 1000 to 768000; correct its header" in last_error(stub, [request])


def test_what_is_sent_out_of_order_is_refused(server, stub, large):
    first, second = parts(large)
    third = type(first)()
    third.CopyFrom(first)
    third.parameters["part"].int64_param = 2
    assert last_error(stub, [second]).startswith("INVALID_ARG: there is no upload")
    assert "part 2 of the upload came, must be part 1" in last_error(stub, [first, third])
    second.parameters.pop("is_last")
    assert "`is_last` (a boolean)" in last_error(stub, [second])
    wait_for_no_spool(server)


def test_a_refused_upload_ends_the_stream_and_is_not_sent_to_its_end(server):
    """The server refuses the options in the first part; the client sends no gigabyte after it."""
    sent = []

    def counted(make):
        for request in make():
            sent.append(request)
            time.sleep(0.01)
            yield request

    requests = wire.requests
    content = bytes(400 * wire.PART_BYTES)
    with Client(server.grpc_url) as client, pytest.MonkeyPatch.context() as patched:
        patched.setattr(wire, "requests", lambda *args: partial(counted, requests(*args)))
        with pytest.raises(Exception, match="did you mean `language`"):
            client.transcribe(content, langage="en")
    assert 0 < len(sent) < 350
    wait_for_no_spool(server)


def test_as_many_streams_as_are_served_leave_nothing_either(server, large):
    """One more would wait for a place; too many uploads are refused, see tests/onecard."""
    with Client(server.grpc_url, max_retries=0) as client:
        streams = [client.transcribe_stream(large, language="en") for _ in range(MAX_STREAMS)]
        for stream in streams:
            next(stream)
        for stream in streams:
            stream.close()
    wait_for_no_spool(server)


@pytest.mark.parametrize(
    ("model", "texts", "numbers", "says"),
    [
        ("decode_audio", {"AUDIO_FILE": f"1/1/onecard-{'0' * 32}"}, {}, "internal error"),
        ("decode_audio", {"AUDIO_FILE": "/etc/passwd"}, {}, "no reference of a spool"),
        ("decode_audio", {}, {}, "input `AUDIO` is missing"),
        ("detect_speech", {}, {"NUM_SAMPLES": np.array([[9]])}, "PCM is missing"),
        ("detect_speech", {}, {}, "input `PCM` is missing"),
        (
            "detect_speech",
            {},
            {"NUM_SAMPLES": np.array([[9]]), "PCM": np.zeros((1, 9), np.int16)},
            "come without PCM",
        ),
        ("detect_speech", {}, {"NUM_SAMPLES": np.array([[-9]])}, "at least 0"),
        (
            "diarize",
            {},
            {"NUM_SAMPLES": np.array([[9]]), "SCORES": np.zeros((1, 0, 0, 0), np.float32)},
            "PCM is missing",
        ),
        (
            "diarize",
            {"SCORES_FILE": f"1/1/onecard-{'0' * 32}:1x293x3"},
            {"NUM_SAMPLES": np.array([[9]])},
            "internal error",
        ),
    ],
)
def test_a_step_says_what_it_lacks(server, model, texts, numbers, says):
    inputs = []
    for name, text in {"OPTIONS": "{}", **texts}.items():
        inputs.append(triton.InferInput(name, [1, 1], "BYTES"))
        inputs[-1].set_data_from_numpy(np.array([[text.encode()]], object))
    for name, array in numbers.items():
        dtype = np_to_triton_dtype(array.dtype)
        inputs.append(triton.InferInput(name, list(array.shape), dtype))
        inputs[-1].set_data_from_numpy(array)
    with (
        server.client() as client,
        pytest.raises(InferenceServerException, match=says),
    ):
        client.infer(model, inputs)
