"""A directory of files and the `manifest.json` that says what they are and what they hash to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Protocol

FILENAME = "manifest.json"
CURE = "run `make setup`"

# Which `tensorrtllm` backend answers for engines of a manifest's `backend`. Of what lies there, not
# of the plan: one made for a GPU may be served with engines for the CPU in its place.
SERVED_BY = {
    "tensorrtllm": "tensorrtllm (NVIDIA, TensorRT-LLM)",
    "ctranslate2": "tensorrtllm (onecard, CTranslate2 on the CPU)",
    "openvino": "tensorrtllm (onecard, OpenVINO on the CPU)",
    "llama.cpp": "tensorrtllm (onecard, llama.cpp)",
}


class ManifestError(Exception):
    """A directory does not hold what its manifest says: names the file, found, wanted, the cure."""


@dataclass(frozen=True)
class Manifest:
    """The description of one directory.

    `files` maps a path relative to the directory to its sha256 in lower-case hex.
    """

    name: str
    model: str
    backend: str
    precision: str
    licence: str
    files: dict[str, str]


class Engine(Protocol):
    """A model's parameters, as far as they say which engine it calls."""

    @property
    def engine_dir(self) -> str: ...  # with the manifest
    @property
    def engine_backend(self) -> str: ...  # the manifest's `backend` that the plan counts on
    @property
    def engine_precision(self) -> str: ...  # in which that one computes


def engine(config: Engine) -> dict[str, str]:
    """The description of an engine, for the answers that it makes.

    Raises ManifestError: a file of it is missing or is not the one that was built.
    """
    built = verify(config.engine_dir)
    as_planned = built.backend == config.engine_backend
    return {
        "name": built.name,
        "model": built.model,
        "library": built.backend,
        "weights": built.precision,
        "backend": SERVED_BY.get(built.backend, built.backend),
        "precision": config.engine_precision if as_planned else built.precision,
    }


def verify(directory: Path | str, cure: str = CURE) -> Manifest:
    """Read the manifest of `directory` and hash every file it names.

    Raises ManifestError for a missing or unreadable manifest, a missing file or another content.
    """
    directory = Path(directory)
    manifest = read(directory, cure)
    for name, wanted in manifest.files.items():
        path = directory / name
        if not path.is_file():
            raise ManifestError(f"`{path}` is missing; its manifest names it: {cure}")
        found = sha256(path)
        if found != wanted:
            raise ManifestError(f"`{path}` has sha256 `{found}`, wanted `{wanted}`: {cure}")
    return manifest


def read(directory: Path, cure: str = CURE) -> Manifest:
    """Parse `directory`/manifest.json without looking at the files.

    Raises ManifestError where it is missing or is not a manifest.
    """
    path = directory / FILENAME
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ManifestError(f"`{path}` is missing; a complete directory has one: {cure}") from None
    except (OSError, ValueError) as error:
        raise ManifestError(f"`{path}` cannot be read ({error}), wanted JSON: {cure}") from None
    return _parse(document, path, cure)


def write(directory: Path, manifest: Manifest) -> None:
    """Write `manifest` as `directory`/manifest.json; the last file of a directory to be written."""
    text = json.dumps(asdict(manifest), indent=2, ensure_ascii=False) + "\n"
    (directory / FILENAME).write_text(text, encoding="utf-8")


def scan(directory: Path, **facts: str) -> Manifest:
    """The manifest of `directory` as it lies there: every file below it but the manifest itself."""
    files = {
        path.relative_to(directory).as_posix(): sha256(path)
        for path in sorted(directory.rglob("*"))
        if path.is_file() and path != directory / FILENAME
    }
    return Manifest(files=files, **facts)


def sha256(path: Path) -> str:
    """The sha256 of a file's content, in lower-case hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _parse(document: object, path: Path, cure: str) -> Manifest:
    wanted = {field.name for field in fields(Manifest)}
    if not isinstance(document, Mapping) or set(document) != wanted:
        found = sorted(document) if isinstance(document, Mapping) else type(document).__name__
        raise ManifestError(f"`{path}` has `{found}`, wanted the keys {sorted(wanted)}: {cure}")
    texts = {key: value for key, value in document.items() if key != "files"}
    files = document["files"]
    if not isinstance(files, Mapping) or not all(
        isinstance(text, str) for text in [*texts.values(), *files, *files.values()]
    ):
        raise ManifestError(f"`{path}` holds a value that is not a string: {cure}")
    # A manifest names files below its directory, so that verifying one cannot read elsewhere.
    for name in files:
        if Path(name).is_absolute() or ".." in Path(name).parts:
            raise ManifestError(f"`{path}` names `{name}`, wanted a path below it: {cure}")
    return Manifest(files=dict(files), **texts)
