"""Directories that are either complete or not there: written aside, renamed into place."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from onecard import manifest
from onecard.manifest import CURE, ManifestError


@dataclass(frozen=True)
class Recipe:
    """What a directory's manifest states, and what its content must be.

    `pinned` maps file names to sha256; `digest` is `content_digest` of all the files together.
    Empty: the content is whatever a pinned source was converted to.
    """

    name: str
    model: str
    backend: str
    precision: str
    licence: str
    pinned: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    def facts(self) -> dict[str, str]:
        """The manifest's fields apart from `files`."""
        names = ("name", "model", "backend", "precision", "licence")
        return {name: getattr(self, name) for name in names}

    def check(self, files: Mapping[str, str]) -> None:
        """Raises ManifestError unless `files` (name -> sha256) are what is pinned."""
        for name, wanted in self.pinned.items():
            found = files.get(name, "no such file")
            if found != wanted:
                raise ManifestError(f"`{name}` has sha256 `{found}`, wanted `{wanted}`: {CURE}")
        found = content_digest(files)
        if self.digest not in ("", found):
            raise ManifestError(
                f"the {len(files)} files of `{self.name}` have the digest `{found}`, "
                f"wanted `{self.digest}`: {CURE}"
            )


def content_digest(files: Mapping[str, str]) -> str:
    """One sha256 for many files: over the lines `<sha256>  <name>`, sorted by name."""
    lines = "".join(f"{digest}  {name}\n" for name, digest in sorted(files.items()))
    return hashlib.sha256(lines.encode()).hexdigest()


def is_complete(directory: Path, recipe: Recipe) -> bool:
    """Whether `directory` verifies and is what `recipe` describes."""
    try:
        found = manifest.verify(directory)
        recipe.check(found.files)
    except ManifestError:
        return False
    return {key: getattr(found, key) for key in recipe.facts()} == recipe.facts()


def build(directory: Path, recipe: Recipe, fill: Callable[[Path], None]) -> bool:
    """Make `directory` by `fill(staging)`; False when it was complete already.

    Killed at any point, this leaves the old directory, none, or the new one; never half of one.
    Raises ManifestError when what `fill` wrote is not what `recipe` pins.
    """
    if is_complete(directory, recipe):
        return False
    staging = directory.with_name(f".{directory.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    fill(staging)
    made = manifest.scan(staging, **recipe.facts())
    recipe.check(made.files)
    manifest.write(staging, made)
    if directory.is_symlink():
        directory.unlink()
    shutil.rmtree(directory, ignore_errors=True)
    staging.rename(directory)
    return True
