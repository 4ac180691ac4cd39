"""Two Whispers in one server: a request is decoded by the one that it names."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from build_scripts import paths
from build_scripts.memory.deployment import deploy
from build_scripts.model_repository import render
from build_scripts.plans import plan
from build_scripts.plans.schema import Further
from evaluation import recordings
from tests import conftest

MODELS = ("recognize", "whisper", "whisper_again")
SAMPLES = recordings.jfk().samples[: 3 * recordings.RATE]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The models between chunks and text, of a plan that has Whisper base twice."""
    folder = tmp_path_factory.mktemp("two")
    stated = plan.load("cpu")
    speech = dataclasses.replace(stated.speech, models={"again": Further("base")})
    overrides = {"recognize": {"instances": 1}}
    two = dataclasses.replace(stated, speech=speech, overrides=overrides)
    engines = folder / "engines"
    engines.mkdir()
    for name in ("whisper", "whisper_again"):
        (engines / name).symlink_to(paths.ENGINES / "whisper")
    for path, text in render.render(deploy(two)).items():
        if path.parts[0] in MODELS:
            model = folder / "models" / path.parts[0]
            model.mkdir(parents=True)
            (model / path.name).write_text(text.replace("engines/cpu/", f"{engines}/"))
            code = paths.MODEL_REPOSITORY / model.name / "1"
            (model / "1").symlink_to(code) if code.is_dir() else (model / "1").mkdir()
    return folder / "models"


@pytest.fixture(scope="module")
def two(
    installed_triton: None, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[conftest.Server]:
    folder = tmp_path_factory.mktemp("server")
    with conftest.serving(folder, REPOSITORY=str(repository)) as one:
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
    return [counts[name] for name in MODELS[1:]]


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
    with pytest.raises(InferenceServerException, match="this server has base, again; choose one"):
        recognized(two, model="large-v3")
    assert requests(two) == before


def test_callers_reach_neither(two: conftest.Server) -> None:
    with triton.InferenceServerClient(two.grpc_url) as client:
        for model in MODELS[1:]:
            with pytest.raises(InferenceServerException, match="is called by other models alone"):
                client.get_model_config(model)
