"""Several Whispers in one server: a request is decoded by the one that it names, and loads it."""

from __future__ import annotations

import dataclasses
import json
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from build_scripts import paths
from build_scripts.memory.deployment import deploy
from build_scripts.model_repository import render
from build_scripts.plans import plan
from build_scripts.plans.schema import Further
from build_scripts.server.temporary import free_ports
from evaluation import recordings
from onecard_client import Client, Transcript
from tests import conftest
from tests.waiting import PATIENCE_S, until

MODELS = ("recognize", "whisper", "whisper_again", "whisper_one", "whisper_other")
ON_DEMAND = MODELS[3:]
RECORDING = recordings.jfk().path
PHRASE = "ask not what your country can do for you"
CHEAP: dict[str, Any] = {"language": "en", "beam_size": 1, "align": False, "diarize": False}
SAMPLES = recordings.jfk().samples[: 3 * recordings.RATE]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models of a plan that has Whisper base four times."""
    folder = tmp_path_factory.mktemp("two")
    stated = plan.load("cpu")
    on_demand = Further("base", residence="on_demand")
    models = {"again": Further("base"), "one": on_demand, "other": on_demand}
    speech = dataclasses.replace(stated.speech, models=models)
    overrides = {"recognize": {"instances": 2}}
    two = dataclasses.replace(stated, speech=speech, overrides=overrides)
    engines = folder / "engines"
    engines.mkdir()
    for engine in paths.ENGINES.iterdir():
        if engine.name != "whisper":
            (engines / engine.name).symlink_to(engine)
    for name in MODELS[1:]:
        (engines / name).mkdir()
        for file in (paths.ENGINES / "whisper").iterdir():
            (engines / name / file.name).symlink_to(file)
    texts = {
        path: text.replace("engines/cpu/", f"{engines}/")
        for path, text in render.render(deploy(two)).items()
    }
    render.write_copy(texts, folder / "models")
    return folder / "models"


@pytest.fixture(scope="module")
def gateway_port() -> int:
    (port,) = free_ports(1)
    return port


@pytest.fixture(scope="module")
def client(two: conftest.Server) -> Iterator[Client]:
    with Client(two.grpc_url) as one:
        yield one


@pytest.fixture(scope="module")
def two(
    installed_triton: None,
    repository: Path,
    gateway_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[conftest.Server]:
    folder = tmp_path_factory.mktemp("server")
    port = str(gateway_port)
    with conftest.serving(folder, REPOSITORY=str(repository), GATEWAY_PORT=port) as one:
        yield one


def recognized(two: conftest.Server, **options: Any) -> dict[str, Any]:
    speech = {"chunks": [{"start": 0.0, "end": 3.0}]}
    texts = {"SPEECH": speech, "OPTIONS": {"language": "en", "beam_size": 1, **options}}
    inputs = [triton.InferInput("PCM", [1, len(SAMPLES)], "INT16")]
    inputs[0].set_data_from_numpy(SAMPLES[np.newaxis])
    for name, document in texts.items():
        inputs.append(triton.InferInput(name, [1, 1], "BYTES"))
        inputs[-1].set_data_from_numpy(np.array([[json.dumps(document).encode()]], np.object_))
    with two.client() as client:
        answer = client.infer("recognize", inputs)
    found: dict[str, Any] = json.loads(answer.as_numpy("SEGMENTS").reshape(-1)[0])
    return found


def requests(two: conftest.Server) -> list[int]:
    with two.client() as client:
        found = client.get_inference_statistics().model_stats
    counts = {one.name: int(one.inference_stats.success.count) for one in found}
    return [counts[name] for name in MODELS[1:3]]


def loaded(two: conftest.Server) -> list[str]:
    """The models on demand that are there."""
    with two.client() as client:
        return [name for name in ON_DEMAND if client.is_model_ready(name)]


def test_the_engine_that_a_request_names_decodes_it(two: conftest.Server) -> None:
    usual = recognized(two)
    assert usual["engine"]["choice"] == "base"
    assert requests(two) == [1, 0]
    again = recognized(two, model="again")
    assert again["engine"]["choice"] == "again"
    assert again["segments"] == usual["segments"]
    assert requests(two) == [1, 1]


def test_a_name_that_there_is_not_reaches_no_engine(two: conftest.Server) -> None:
    before = requests(two)
    with pytest.raises(InferenceServerException, match="has base, again, one, other; choose one"):
        recognized(two, model="large-v3")
    assert requests(two) == before


def test_callers_reach_neither(two: conftest.Server) -> None:
    with triton.InferenceServerClient(two.grpc_url) as client:
        for model in MODELS[1:]:
            with pytest.raises(InferenceServerException, match="is called by other models alone"):
                client.get_model_config(model)


def test_a_model_on_demand_is_loaded_by_its_first_request_and_stays(two: conftest.Server) -> None:
    assert loaded(two) == []
    assert conftest.is_ready(two.http_url)
    usual = recognized(two)
    assert "model_load_s" not in usual["engine"]
    first, second = (recognized(two, model="one") for _ in range(2))
    assert first["segments"] == second["segments"] == usual["segments"]
    assert first["engine"]["choice"] == "one"
    assert first["engine"]["model_load_s"] > 0
    assert second["engine"]["model_load_s"] == 0
    assert loaded(two) == ["whisper_one"]


def test_callers_are_told_which_are_there_and_which_one_is_loaded(
    two: conftest.Server, client: Client
) -> None:
    recognized(two, model="one")
    known = {one.name: one for one in client.health().speech_models}
    assert {name for name, one in known.items() if one.on_demand} == {"one", "other"}
    assert {name for name, one in known.items() if one.loaded} == {"base", "again", "one"}


def test_the_whole_pipeline_takes_a_model_on_demand(two: conftest.Server, client: Client) -> None:
    recognized(two, model="one")
    found = client.transcribe(RECORDING, model="other", **CHEAP)
    assert PHRASE in found.text.lower()
    assert found.engine["recognize"]["choice"] == "other"
    assert found.engine["recognize"]["model_load_s"] > 0
    assert loaded(two) == ["whisper_other"]


def test_minutes_of_a_recording_take_a_model_on_demand(
    two: conftest.Server, client: Client
) -> None:
    recognized(two, model="other")
    asked = {**CHEAP, "model": "one"}
    events = list(client.minutes_stream(RECORDING, transcription=asked, max_tokens=64))
    heard = next(event for event in events if isinstance(event, Transcript))
    assert heard.engine["recognize"]["choice"] == "one"
    assert heard.engine["recognize"]["model_load_s"] > 0
    assert loaded(two) == ["whisper_one"]


def test_the_gateway_takes_a_model_on_demand(two: conftest.Server, gateway_port: int) -> None:
    recognized(two, model="one")
    url = f"http://127.0.0.1:{gateway_port}"
    until(lambda: httpx.get(f"{url}/readyz", timeout=PATIENCE_S).status_code == 200)
    with RECORDING.open("rb") as file:
        form = {"model": "other", "language": "en", "beam_size": "1", "response_format": "json"}
        answer = httpx.post(
            f"{url}/v1/audio/transcriptions", files={"file": file}, data=form, timeout=PATIENCE_S
        )
    assert answer.status_code == 200, answer.text
    assert PHRASE in answer.json()["text"].lower()
    assert loaded(two) == ["whisper_other"]
    listed = httpx.get(f"{url}/v1/models", timeout=PATIENCE_S).json()["data"]
    assert {"base", "again", "one", "other"} <= {one["id"] for one in listed}


def readiness(two: conftest.Server) -> int:
    """The status of its readiness, however long a busy machine takes to tell."""
    try:
        with urllib.request.urlopen(f"http://{two.http_url}/v2/health/ready") as reply:
            return int(reply.status)
    except urllib.error.HTTPError as error:
        return error.code


def test_models_on_demand_take_turns_and_the_server_is_ready_all_the_while(
    two: conftest.Server,
) -> None:
    done = threading.Event()
    seen: list[tuple[int, int]] = []

    def look() -> None:
        while not done.wait(0.1):
            seen.append((readiness(two), len(loaded(two))))

    with ThreadPoolExecutor(4) as pool:
        looking = pool.submit(look)
        names = ("one", "other", "again")
        found = [pool.submit(recognized, two, model=name) for name in names]
        chosen = [one.result()["engine"]["choice"] for one in found]
        done.set()
        looking.result()
    assert chosen == list(names)
    assert len(seen) > 3
    assert {status for status, _ in seen} == {200}
    assert max(number for _, number in seen) == 1


def test_a_model_on_demand_whose_process_died_is_loaded_anew(two: conftest.Server) -> None:
    recognized(two, model="one")
    (pid,) = two.processes("whisper_one")
    two.kill_some("whisper_one", [pid])
    again = recognized(two, model="one")
    assert again["engine"]["model_load_s"] > 0
    assert two.processes("whisper_one") != [pid]
    two.until_well()


def test_a_load_that_fails_leaves_the_others_as_they_were(
    two: conftest.Server, repository: Path
) -> None:
    weights = repository.parent / "engines" / "whisper_other" / "model.bin"
    recognized(two, model="one")
    there = weights.readlink()
    weights.unlink()
    try:
        with pytest.raises(InferenceServerException, match="`other` could not be loaded") as error:
            recognized(two, model="other")
    finally:
        weights.symlink_to(there)
    assert "UNAVAILABLE" in str(error.value.status())
    assert conftest.is_ready(two.http_url)
    assert recognized(two)["segments"]
    assert recognized(two, model="other")["engine"]["model_load_s"] > 0
