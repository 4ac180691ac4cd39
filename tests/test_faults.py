"""Faults, injected for real: each has its own clear answer, and the server goes on serving.

Runs against the shared server, except where a fault would spoil it for the other tests.
"""

from __future__ import annotations

import io
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import wave
from collections.abc import Callable

import numpy as np
import pytest
import requests

from build_scripts import supervisor
from build_scripts.demo import free_ports
from onecard_client import Client, InvalidRequest, OnecardError
from tests import conftest, speech

RATE = speech.RATE
RECOVERY_TIMEOUT_S = 90


@pytest.fixture(scope="module")
def client(server):
    with Client(server.grpc_url) as client:
        yield client


def wav(pcm: np.ndarray) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(pcm.astype("<i2").tobytes())
    return out.getvalue()


def tone(seconds: float) -> np.ndarray:
    return (3000 * np.sin(2 * np.pi * 440 * np.arange(int(seconds * RATE)) / RATE)).astype(np.int16)


def noise(seconds: float) -> np.ndarray:
    return np.random.default_rng(7).normal(0, 2000, int(seconds * RATE)).astype(np.int16)


@pytest.mark.parametrize(
    ("audio", "says"),
    [
        (b"", "empty"),
        (b"this is a letter, not a recording" * 40, "audio"),
        (bytes(range(256)) * 64, "audio"),
        (wav(tone(0.0)), "no sample of sound"),
    ],
    ids=["no bytes", "text", "garbage", "a header alone"],
)
def test_what_is_no_recording_is_refused(client, audio, says):
    with pytest.raises(InvalidRequest, match=rf"(?i){says}"):
        client.transcribe(audio)


def test_a_file_cut_in_the_middle_is_refused_and_not_shortened_in_silence(client, conversation):
    whole = conversation.read_bytes()
    with pytest.raises(InvalidRequest, match=r"(?i)truncated|cut"):
        client.transcribe(whole[: len(whole) // 2])


@pytest.mark.parametrize(
    "pcm", [tone(0.05), np.zeros(RATE * 5), noise(5)], ids=["0.05 s", "silence", "noise"]
)
def test_audio_without_speech_has_a_transcript_without_words(client, pcm):
    found = client.transcribe(wav(pcm))
    assert found.text == ""
    assert found.duration_s == pytest.approx(len(pcm) / RATE, abs=0.001)
    account = found.account
    assert account.silence_s + account.dropped_s == pytest.approx(found.duration_s, abs=0.01)


def test_a_bad_request_among_good_ones_fails_alone(client, server):
    clip = speech.jfk().path
    outcomes: dict[str, object] = {}

    def run(name: str, audio: object, **options: object) -> None:
        try:
            with Client(server.grpc_url) as own:
                outcomes[name] = own.transcribe(audio, **options).text
        except OnecardError as error:
            outcomes[name] = error

    calls = {
        "good 1": (clip, {}),
        "garbage": (b"x" * 1000, {}),
        "good 2": (clip, {"language": "en"}),
        "bad option": (clip, {"beam_size": -1}),
        "good 3": (clip, {"beam_size": 1}),
    }
    threads = [
        threading.Thread(target=run, args=(name, audio), kwargs=options)
        for name, (audio, options) in calls.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, outcome in outcomes.items():
        if name.startswith("good"):
            assert speech.word_errors(speech.JFK, str(outcome)) == 0, name
        else:
            assert isinstance(outcome, InvalidRequest), name


def test_a_caller_that_goes_away_leaves_the_server_serving(client, server, conversation):
    with Client(server.grpc_url) as gone:
        events = gone.transcribe_stream(conversation)
        next(events)
        events.close()
    with Client(server.grpc_url) as gone, pytest.raises(OnecardError):
        gone.transcribe(conversation, timeout_s=0.3)
    assert speech.word_errors(speech.JFK, client.transcribe(speech.jfk().path).text) == 0


def in_flight(server) -> float:
    """Requests that wait for or run in any model, from the metrics."""
    text = requests.get(f"http://{server.metrics_url}/metrics", timeout=5).text
    lines = [x for x in text.splitlines() if x.startswith("nv_inference_pending_request_count{")]
    assert lines
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def test_nothing_waits_when_everybody_was_answered(server):
    deadline = time.monotonic() + 30
    while in_flight(server) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert in_flight(server) == 0


def triton_pid(server) -> int:
    """The tritonserver that `build_scripts serve` runs."""
    for folder in os.listdir("/proc"):
        if folder.isdigit() and supervisor.stubs(int(folder)):
            pid = int(folder)
            while pid > 1:
                if pid == server.pid:
                    return int(folder)
                with open(f"/proc/{pid}/stat") as stat:
                    pid = int(stat.read().rpartition(")")[2].split()[1])
    raise AssertionError("no tritonserver below the server's process")


PYTHON_MODELS = [
    "decode_audio",
    "detect_speech",
    "recognize",
    "whisper",
    "align",
    "diarize",
    "label",
    "transcribe_stream",
]


@pytest.mark.parametrize("model", PYTHON_MODELS)
def test_a_killed_process_comes_back_and_nobody_gets_a_wrong_answer(server, model):
    clip = speech.jfk().path
    outcomes: list[str | OnecardError] = []

    def run() -> None:
        try:
            with Client(server.grpc_url) as own:
                outcomes.append(own.transcribe(clip, timeout_s=RECOVERY_TIMEOUT_S).text)
        except OnecardError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    for pid, served in supervisor.stubs(triton_pid(server)).items():
        if served == model:
            os.kill(pid, signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert len(outcomes) == 3  # answered or refused, and none hangs
    for outcome in outcomes:
        if isinstance(outcome, str):
            assert speech.word_errors(speech.JFK, outcome) == 0
    deadline = time.monotonic() + RECOVERY_TIMEOUT_S
    outcomes.clear()
    while not any(isinstance(outcome, str) for outcome in outcomes):
        assert time.monotonic() < deadline, outcomes[-1]
        time.sleep(0.5)
        run()
    assert speech.word_errors(speech.JFK, str(outcomes[-1])) == 0


@pytest.fixture(scope="module")
def spare_server(tmp_path_factory):
    """For what makes Triton start again: `serve` gives up when that happens three times in a row
    within a minute of service each, and other tests have done it to the server of all."""
    with conftest.serving(tmp_path_factory.mktemp("spare")) as one:
        yield one


@pytest.mark.parametrize("model", ["llm", "chat"])
def test_a_killed_language_model_leaves_nobody_waiting_and_comes_back(spare_server, model):
    """A stream whose process died is cut off, not left open; afterwards all is as before."""
    server = spare_server
    asked = {"max_tokens": 400, "min_tokens": 400, "temperature": 0.0}
    outcomes: list[object] = []

    def run(work: Callable[[Client], object]) -> None:
        try:
            with Client(server.grpc_url) as own:
                outcomes.append(work(own))
        except OnecardError as error:
            outcomes.append(error)

    def chat(own: Client) -> object:
        return "".join(own.chat("Hello", timeout_s=RECOVERY_TIMEOUT_S, **asked))

    def triage(own: Client) -> object:
        mails = [{"id": str(number), "body": "Lunch on Friday?"} for number in range(4)]
        return list(own.triage(mails, timeout_s=RECOVERY_TIMEOUT_S))

    threads = [threading.Thread(target=run, args=(work,)) for work in (chat, triage, chat)]
    for thread in threads:
        thread.start()
    time.sleep(0.5)
    for pid, served in supervisor.stubs(triton_pid(server)).items():
        if served == model:
            os.kill(pid, signal.SIGKILL)
    for thread in threads:
        thread.join()
    assert len(outcomes) == 3
    deadline = time.monotonic() + RECOVERY_TIMEOUT_S
    asked = {"max_tokens": 5}
    for work in (chat, triage):
        outcomes.clear()
        while not any(isinstance(outcome, str | list) for outcome in outcomes):
            assert time.monotonic() < deadline, outcomes
            time.sleep(0.5)
            run(work)


@pytest.mark.parametrize("damage", ["missing", "changed"])
def test_a_damaged_model_file_keeps_the_server_from_starting(tmp_path, damage):
    """The checksum is verified when the model loads, and the message says what to do."""
    engine = tmp_path / "whisper-engine"
    shutil.copytree("engines/cpu/whisper", engine)
    broken = engine / "tokenizer.json"
    if damage == "missing":
        broken.unlink()
    else:
        broken.write_bytes(broken.read_bytes()[:-1] + b" ")
    shutil.copytree("model_repository/whisper", tmp_path / "models" / "whisper")
    config = tmp_path / "models" / "whisper" / "config.pbtxt"
    config.write_text(config.read_text().replace("engines/cpu/whisper", str(engine)))
    flags = ("--http-port", "--grpc-port", "--metrics-port")
    ports = [text for flag, port in zip(flags, free_ports(3), strict=True) for text in (flag, port)]
    ran = subprocess.run(
        [sys.executable, "-m", "build_scripts", "serve", "--repository", tmp_path / "models"]
        + [str(port) for port in ports],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert ran.returncode != 0
    said = ran.stdout + ran.stderr
    assert "tokenizer.json" in said
    assert "make setup" in said
    assert ("is missing" if damage == "missing" else "sha256") in said
