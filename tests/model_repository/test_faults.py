"""Faults, injected for real: each has its own clear answer, and the server of all goes on serving.

What it would not survive is in test_restarts.py.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time

import numpy as np
import pytest
import requests

from build_scripts.memory.deployment import resolve
from build_scripts.model_repository import models
from build_scripts.server.models import supervisor
from evaluation import recordings
from evaluation.metrics import word_errors
from onecard_client import Client, InvalidRequest, OnecardError
from tests.conftest import FEW_WORDS, is_ready
from tests.waiting import PATIENCE_S, until

RATE = recordings.RATE
# What is asked while something is killed: no more work than it takes.
BRIEF = {"language": "en", "beam_size": 1}


@pytest.fixture(scope="module")
def client(server):
    with Client(server.grpc_url) as client:
        yield client


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
        (recordings.wav(tone(0.0)), "no sample of sound"),
    ],
    ids=["no bytes", "text", "garbage", "a header alone"],
)
def test_what_is_no_recording_is_refused(client, audio, says):
    with pytest.raises(InvalidRequest, match=rf"(?i){says}"):
        client.transcribe(audio)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"language": "yue"}, "did you mean `zh`"),
        ({"beam_size": 9}, "`beam_size` is 9"),
        ({"suppress_tokens": "99999"}, "`99999`"),
    ],
)
@pytest.mark.parametrize("model", ["transcribe", "transcribe_stream"])
def test_what_the_model_cannot_do_is_said_ahead_of_any_fault_of_the_recording(
    server, model, options, says
):
    url = f"http://{server.http_url}/v2/models/{model}/generate"
    body = {"AUDIO": "no recording", "OPTIONS": json.dumps({**options, "stream": False})}
    if model == "transcribe":
        body["OPTIONS"] = json.dumps(options)
    answer = requests.post(url, json=body, timeout=PATIENCE_S)
    assert answer.status_code == 400, answer.text
    assert says in answer.text


def test_a_file_cut_in_the_middle_is_worth_what_it_holds_and_says_so(client, conversation):
    whole = conversation.read_bytes()
    half = whole[: len(whole) // 2]
    found = client.transcribe(half, language="en")
    assert found.text
    assert found.account.missing_s == pytest.approx(15.0, abs=0.1)
    assert found.duration_s + found.account.missing_s == pytest.approx(30.0, abs=0.1)
    assert any("cut off" in warning for warning in found.warnings)
    with pytest.raises(InvalidRequest, match=r"AUDIO is cut off"):
        client.transcribe(half, strict=True)


@pytest.mark.parametrize(
    "pcm", [tone(0.05), np.zeros(RATE * 5), noise(5)], ids=["0.05 s", "silence", "noise"]
)
def test_audio_without_speech_has_a_transcript_without_words(client, pcm):
    found = client.transcribe(recordings.wav(pcm))
    assert found.text == ""
    assert found.duration_s == pytest.approx(len(pcm) / RATE, abs=0.001)
    account = found.account
    assert account.silence_s + account.dropped_s == pytest.approx(found.duration_s, abs=0.01)


def test_a_bad_request_among_good_ones_fails_alone(client, server, few_words):
    outcomes: dict[str, object] = {}

    def run(name: str, audio: object, **options: object) -> None:
        try:
            with Client(server.grpc_url) as own:
                outcomes[name] = own.transcribe(audio, **options).text
        except OnecardError as error:
            outcomes[name] = error

    calls = {
        "good 1": (few_words, {}),
        "garbage": (b"x" * 1000, {}),
        "good 2": (few_words, {"language": "en"}),
        "bad option": (few_words, {"beam_size": -1}),
        "good 3": (few_words, {"beam_size": 1}),
    }
    threads = [
        threading.Thread(target=run, args=(name, audio), kwargs=options, daemon=True)
        for name, (audio, options) in calls.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, outcome in outcomes.items():
        if name.startswith("good"):
            assert word_errors(FEW_WORDS, str(outcome)).errors == 0, name
        else:
            assert isinstance(outcome, InvalidRequest), name


def test_a_caller_that_goes_away_leaves_the_server_serving(client, server, conversation, few_words):
    with Client(server.grpc_url) as gone:
        events = gone.transcribe_stream(conversation)
        next(events)
        events.close()
    with Client(server.grpc_url) as gone, pytest.raises(OnecardError):
        gone.transcribe(conversation, timeout_s=0.3)
    assert word_errors(FEW_WORDS, client.transcribe(few_words).text).errors == 0


def in_flight(server) -> float:
    """Requests that wait for or run in any model, from the metrics."""
    text = requests.get(f"http://{server.metrics_url}/metrics", timeout=PATIENCE_S).text
    lines = [x for x in text.splitlines() if x.startswith("nv_inference_pending_request_count{")]
    assert lines
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines)


def test_nothing_waits_when_everybody_was_answered(server):
    until(lambda: in_flight(server) == 0, "somebody waits still")


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
def test_a_killed_process_comes_back_and_nobody_gets_a_wrong_answer(server, model, few_words):
    outcomes: list[str | OnecardError] = []
    has_begun = threading.Event()

    def run() -> None:
        begin = lambda progress: has_begun.set()  # noqa: E731
        try:
            with Client(server.grpc_url) as own:
                found = own.transcribe(few_words, timeout_s=PATIENCE_S, on_progress=begin, **BRIEF)
                outcomes.append(found.text)
        except OnecardError as error:
            outcomes.append(error)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    assert has_begun.wait(PATIENCE_S)
    server.kill(model)
    for thread in threads:
        thread.join()
    assert len(outcomes) == 3  # answered or refused, and none hangs
    for outcome in outcomes:
        if isinstance(outcome, str):
            assert word_errors(FEW_WORDS, outcome).errors == 0
    server.until_well()
    outcomes.clear()
    run()
    assert word_errors(FEW_WORDS, str(outcomes[-1])).errors == 0


SEVERAL = [model.name for model in models.models(resolve("cpu")).values() if model.instances > 1]


def test_one_dead_process_of_several_is_replaced_once_under_load(server, few_words):
    """One of each model that has several; of an idle server: test_supervisor.py."""
    is_over = threading.Event()
    texts: list[str] = []

    def run() -> None:
        with Client(server.grpc_url) as own:
            while not is_over.is_set():
                texts.append(own.transcribe(few_words, timeout_s=PATIENCE_S, **BRIEF).text)

    threads = [threading.Thread(target=run, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    until(lambda: texts)
    assert len(SEVERAL) > 1
    for model in SEVERAL:
        server.kill_some(model, server.processes(model)[:1])
    server.until_well()
    replaced = [server.processes(model) for model in SEVERAL]
    for _ in range(20):  # a second reload would begin at the supervisor's next look
        time.sleep(supervisor.POLL_S)
        assert [server.processes(model) for model in SEVERAL] == replaced
        assert is_ready(server.http_url)
    is_over.set()
    for thread in threads:
        thread.join()
    assert len(texts) >= len(threads)  # the client tries again: nobody's request is lost
    for text in texts:
        assert word_errors(FEW_WORDS, text).errors == 0


def test_a_server_with_a_stopped_process_is_not_ready_and_gets_another(server, client, few_words):
    """Triton says 200 all the while; a transcription would wait for ever."""
    before = server.processes("decode_audio")
    for pid in before:
        os.kill(pid, signal.SIGSTOP)
    until(lambda: server.state()["phase"] == "failing")
    assert "`decode_audio`" in server.state()["why"]
    until(lambda: server.state()["phase"] == "ready")
    assert not {*before} & {*server.processes("decode_audio")}
    found = client.transcribe(few_words, timeout_s=PATIENCE_S, **BRIEF)
    assert word_errors(FEW_WORDS, found.text).errors == 0
