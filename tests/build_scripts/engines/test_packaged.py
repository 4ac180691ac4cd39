"""Directories that are complete or absent, and the two checkpoints that are pickles."""

from __future__ import annotations

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from build_scripts import paths
from build_scripts.engines import cpu_whisper, packaged
from build_scripts.engines.checkpoints import safetensors
from build_scripts.errors import DownloadError
from build_scripts.fetch import directory, pip
from build_scripts.fetch.directory import Recipe
from onecard import manifest
from onecard.detection import segmentation
from onecard.manifest import ManifestError

RECIPE = Recipe("demo", "a model", "torch", "float32", "MIT")
PINNED = Recipe(
    "demo",
    "a model",
    "torch",
    "float32",
    "MIT",
    pinned={"model": "9c56cc51b374c3ba189210d5b6d4bf57790d351c96c47c02190ecf1e430635ab"},  # "1"
)


def writing(text: str) -> Callable[[Path], None]:
    def fill(into: Path) -> None:
        (into / "model").write_text(text)

    return fill


def forbidden(into: Path) -> None:
    raise AssertionError("was complete already")


def interrupted(into: Path) -> None:
    (into / "model").write_text("half")
    raise KeyboardInterrupt


def test_a_second_build_does_nothing(tmp_path: Path) -> None:
    assert directory.build(tmp_path / "demo", RECIPE, writing("1"))
    assert not directory.build(tmp_path / "demo", RECIPE, forbidden)


def test_an_interrupted_build_leaves_no_directory_and_is_taken_up(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        directory.build(tmp_path / "demo", RECIPE, interrupted)
    assert not (tmp_path / "demo").exists()
    assert directory.build(tmp_path / "demo", RECIPE, writing("1"))
    assert [path.name for path in tmp_path.iterdir()] == ["demo"]


def test_a_damaged_directory_is_built_again(tmp_path: Path) -> None:
    directory.build(tmp_path / "demo", RECIPE, writing("1"))
    (tmp_path / "demo" / "model").write_text("2")
    assert directory.build(tmp_path / "demo", RECIPE, writing("1"))
    assert (tmp_path / "demo" / "model").read_text() == "1"


def test_a_directory_of_another_recipe_is_built_again(tmp_path: Path) -> None:
    directory.build(tmp_path / "demo", RECIPE, writing("1"))
    newer = Recipe("demo", "a newer model", "torch", "float32", "MIT")
    assert directory.build(tmp_path / "demo", newer, writing("2"))
    assert manifest.verify(tmp_path / "demo").model == "a newer model"


def test_content_that_is_not_the_pinned_one_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="`model` has sha256"):
        directory.build(tmp_path / "demo", PINNED, writing("2"))
    assert not (tmp_path / "demo").exists()


def test_files_are_pinned_together_by_a_digest(tmp_path: Path) -> None:
    directory.build(tmp_path / "demo", RECIPE, writing("1"))
    digest = directory.content_digest(manifest.verify(tmp_path / "demo").files)
    pinned = Recipe("demo", "a model", "torch", "float32", "MIT", digest=digest)
    assert directory.is_complete(tmp_path / "demo", pinned)
    with pytest.raises(ManifestError, match="digest"):
        directory.build(tmp_path / "other", pinned, writing("2"))


class Evil:
    """Runs a command when it is unpickled by a loader that allows everything."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_with_code_in_it_is_refused(tmp_path: Path, zipped: bool) -> None:
    document = {"state_dict": {"w": torch.zeros(2)}, "evil": Evil(tmp_path / "ran")}
    torch.save(document, tmp_path / "evil.bin", _use_new_zipfile_serialization=zipped)
    with pytest.raises(pickle.UnpicklingError, match="not allowed"):
        safetensors.load_restricted(tmp_path / "evil.bin")
    assert not (tmp_path / "ran").exists()


def test_a_class_of_the_checkpoint_becomes_a_record(tmp_path: Path) -> None:
    torch.save({"w": torch.arange(3.0)}, tmp_path / "plain.bin")
    loaded = safetensors.load_restricted(tmp_path / "plain.bin")
    assert torch.equal(loaded["w"], torch.arange(3.0))
    record = safetensors.Record(1, 2)
    record.__setstate__({"duration": 5.0})
    assert (record.args, record.state) == ((1, 2), {"duration": 5.0})


needs_setup = pytest.mark.skipif(
    not (paths.ENGINES / "segmentation").is_dir(), reason="no models here: `make setup`"
)


@needs_setup
def test_the_segmentation_model_has_the_tensors_of_whisperx_s_checkpoint() -> None:
    checkpoint = safetensors.load_restricted(paths.site_packages() / packaged.SEGMENTATION_ASSET)
    converted = load_file(paths.ENGINES / "segmentation" / "model.safetensors")
    assert converted.keys() == checkpoint["state_dict"].keys()
    for name, tensor in checkpoint["state_dict"].items():
        assert torch.equal(converted[name], tensor), name


@needs_setup
def test_the_segmentation_configuration_is_enough_to_build_the_network() -> None:
    network = segmentation.load(paths.ENGINES / "segmentation")
    assert network.num_speakers == 3
    assert segmentation.frames(network).window_s == 5.0


@needs_setup
def test_the_embedding_configuration_describes_its_tensors() -> None:
    folder = paths.ENGINES / "embedding"
    config = json.loads((folder / "config.json").read_text())
    tensors = load_file(folder / "model.safetensors")
    lstm = torch.nn.LSTM(config["num_mels"], config["hidden_size"], config["num_layers"])
    expected = {f"lstm.{name}": value.shape for name, value in lstm.named_parameters()}
    found = {name: value.shape for name, value in tensors.items() if name.startswith("lstm.")}
    assert found == expected
    assert tensors["linear.weight"].shape == (config["embedding_size"], config["hidden_size"])


@needs_setup
@pytest.mark.parametrize("recipe", [cpu_whisper.BASE, packaged.SEGMENTATION, packaged.EMBEDDING])
def test_every_model_that_setup_made_is_complete(recipe: Recipe) -> None:
    assert directory.is_complete(paths.ENGINES / recipe.name, recipe)


def test_a_wrong_hash_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "pretrained.pt").write_bytes(b"not it")
    with pytest.raises(DownloadError, match="wanted `39373b86"):
        pip.check(tmp_path / "pretrained.pt", packaged.EMBEDDING_SHA256)
