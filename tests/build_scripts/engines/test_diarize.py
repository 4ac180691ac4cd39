"""pyannote's own pipeline: fetched, loaded once, assembled; or done without, and said.

The hub is a fake on this machine; its client, the commands and pyannote are the real ones.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from build_scripts.doctor import engines as doctor_engines
from build_scripts.engines import build, diarize
from build_scripts.engines.checkpoints import sources
from build_scripts.engines.checkpoints.sources import Repository
from build_scripts.memory.deployment import deploy
from build_scripts.model_repository import models
from build_scripts.plans import plan, speaker_pipeline
from build_scripts.plans.schema import Plan
from onecard import manifest
from onecard.diarization import diarizer
from onecard.options import parameters
from tests.build_scripts import fake_hub
from tests.build_scripts.fake_hub import COMMIT, FakeHub
from tests.onecard import pipelines

NAME = sources.DIARIZATION.name
TOKEN = "hf_accepted"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Of the repository, by their published names."""
    made = pipelines.make(tmp_path_factory.mktemp("made"))
    pipelines.write(made, pipelines.config("VBxClustering"))
    return {name: (made / name).read_bytes() for name in sources.DIARIZATION.files}


@pytest.fixture
def hub(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeHub]:
    """Gated, as the real repository is; what this project states are its files' hashes."""
    sha256 = tuple((name, hashlib.sha256(text).hexdigest()) for name, text in files.items())
    stated = Repository(NAME, COMMIT, tuple(files), sha256=sha256)
    monkeypatch.setattr(sources, "DIARIZATION", stated)
    with fake_hub.serving(NAME, dict(files)) as server:
        server.token = TOKEN
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield server


@pytest.fixture
def rtx3090(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return plan.load("rtx3090")


def test_the_plans_of_cards_want_it_and_the_one_without_does_not() -> None:
    plans = [plan.load(name) for name in plan.names()]
    assert {one.name for one in plans if not speaker_pipeline.is_wanted(one)} == {
        "cpu",
        "cpu-models",
    }
    assert diarize.steps(plan.load("cpu")) == []
    own = dataclasses.replace(plans[0].diarize, pipeline="/models/mine")
    found = models.models(deploy(dataclasses.replace(plans[0], diarize=own)))["diarize"].parameters
    assert (found["pipeline"], found["pipeline_is_optional"]) == ("/models/mine", "false")


def test_only_what_the_repository_is_known_to_hold_is_fetched_by_commit_and_hash() -> None:
    fetch, check, assembly = diarize.steps(plan.load("rtx3090"))
    assert sources.DIARIZATION.revision in fetch.argv
    stated = [one for one in fetch.argv if one.startswith("--sha256=")]
    assert len(stated) == len(sources.DIARIZATION.files) == 5
    assert check.outputs[0] in assembly.inputs  # nothing is served that did not load
    assert assembly.outputs == ("engines/rtx3090/diarization",)
    assert fetch in build.steps(plan.load("rtx3090"))
    assert assembly.outputs[0] not in build.directories(plan.load("rtx3090"))


def test_with_a_token_it_is_made_and_the_model_loads_it(
    hub: FakeHub, rtx3090: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    said: list[str] = []
    assert diarize.build(rtx3090, said.append, root=tmp_path), said
    made = tmp_path / speaker_pipeline.directory(rtx3090)
    found = manifest.verify(made)
    assert (found.model, found.licence) == (f"{NAME} ({COMMIT[:12]})", "cc-by-4.0")
    assert set(found.files) == set(sources.DIARIZATION.files)
    assert speaker_pipeline.lack(rtx3090, tmp_path) == ""
    (finding,) = doctor_engines.Engines(rtx3090, tmp_path).speakers()
    assert (finding.status, finding.found) == ("pass", found.model)

    hub.asked.clear()
    assert diarize.build(rtx3090, said.append, root=tmp_path)
    assert hub.asked == []  # a second run asks nobody

    table = models.models(deploy(rtx3090))["diarize"].parameters
    table |= {"pipeline": str(made), "device": "cpu"}
    loaded = diarizer.Diarizer(parameters.parse(diarizer.Config, table), num_threads=1)
    assert loaded.engine["pipeline"] == found.model
    assert loaded.engine["clustering"] == "VBxClustering"
    assert loaded.warnings == []


@pytest.mark.parametrize("token", ["", "hf_somebody"])
def test_without_the_terms_accepted_it_says_how_and_nothing_stops(
    hub: FakeHub, rtx3090: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("HF_TOKEN", token)
    said: list[str] = []
    assert not diarize.build(rtx3090, said.append, root=tmp_path)
    how = [one for one in said if f"accept its terms at {hub.url}/{NAME}" in one]
    assert len(how) == 1  # once
    assert "docker/.env" in how[0]
    assert "the rest goes on" in said[-1]
    assert not (tmp_path / speaker_pipeline.directory(rtx3090)).exists()
    assert "is not made yet: until then speakers" in speaker_pipeline.lack(rtx3090, tmp_path)
    (finding,) = doctor_engines.Engines(rtx3090, tmp_path).speakers()
    assert finding.status == "warn"
    assert "HF_TOKEN" in finding.cure


def test_a_file_that_is_another_is_not_served(
    hub: FakeHub, rtx3090: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    hub.files["plda/plda.npz"] = b"another"  # and the hub says that it is right
    said: list[str] = []
    assert not diarize.build(rtx3090, said.append, root=tmp_path)
    assert any("`plda/plda.npz`" in one and "wanted" in one for one in said)
    assert not (tmp_path / speaker_pipeline.directory(rtx3090)).exists()


def test_what_does_not_load_is_not_served(
    hub: FakeHub, rtx3090: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    name = "embedding/pytorch_model.bin"
    hub.files[name] = b"no checkpoint of torch's"
    stated = dict(sources.DIARIZATION.sha256)
    stated[name] = hashlib.sha256(hub.files[name]).hexdigest()
    changed = dataclasses.replace(sources.DIARIZATION, sha256=tuple(stated.items()))
    monkeypatch.setattr(sources, "DIARIZATION", changed)
    said: list[str] = []
    assert not diarize.build(rtx3090, said.append, root=tmp_path)
    assert any("does not load" in one for one in said), said
    assert not (tmp_path / speaker_pipeline.directory(rtx3090)).exists()
