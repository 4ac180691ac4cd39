"""Puts the files that a build made into the directory that the server reads, with a manifest.

The directory is replaced in one step. `python -m build_scripts.engines.assemble TARGET --name=NAME
... PLACE=PATH ...`
"""

from __future__ import annotations

import argparse
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from build_scripts import errors
from build_scripts.errors import InstallError
from build_scripts.fetch import directory, hub
from onecard import manifest

BACKEND = "tensorrtllm"
LINKED_BYTES = 64 * 2**20  # what is smaller is copied, so that an editor changes one of them


def main(arguments: Sequence[str]) -> None:
    """Assemble one directory. Raises InstallError."""
    parser = argparse.ArgumentParser(prog="python -m build_scripts.engines.assemble")
    parser.add_argument("target", type=Path)
    parser.add_argument("parts", nargs="+", metavar="PLACE=PATH")
    parser.add_argument("--optional", action="append", default=[], metavar="PLACE=PATH")
    parser.add_argument("--name", required=True)
    parser.add_argument("--precision", required=True)
    parser.add_argument("--backend", default=BACKEND)
    parser.add_argument("--model", default="", help="default: as --origin says")
    parser.add_argument("--licence", default="", help="default: as --origin says")
    parser.add_argument("--origin", type=Path, help="a directory that was fetched")
    given = parser.parse_args(arguments)
    model, licence = given.model, given.licence
    if given.origin:
        fetched = hub.read(given.origin)
        if fetched is None:
            raise InstallError(f"`{given.origin}` has no {hub.RECORD}: fetch it again")
        model = model or f"{fetched.repository} ({fetched.commit[:12]})"
        licence = licence or fetched.licence
    facts = (given.name, model, given.backend, given.precision, licence)
    assemble(given.target, facts, _pairs(given.parts), _pairs(given.optional))


def assemble(
    target: Path,
    facts: tuple[str, str, str, str, str],
    parts: Mapping[str, Path],
    optional: Mapping[str, Path],
) -> bool:
    """Make `target` of `parts`, place -> file, and of those of `optional` that exist; False where
    it has exactly these contents. `facts`: as in `Recipe`, in its order.

    Raises:
        InstallError: a part is missing.
    """
    for path in parts.values():
        if not path.is_file():
            raise InstallError(f"`{path}` is missing, wanted it for `{target}`: build it again")
    files = {**parts, **{place: path for place, path in optional.items() if path.is_file()}}
    pinned = {place: manifest.sha256(path) for place, path in files.items()}

    def fill(into: Path) -> None:
        for place, path in files.items():
            (into / place).parent.mkdir(parents=True, exist_ok=True)
            _place(path, into / place)

    return directory.build(target, directory.Recipe(*facts, pinned=pinned), fill)


def _place(source: Path, target: Path) -> None:
    """By a link where it is large: an engine of 14 GB needs its space once."""
    if source.stat().st_size > LINKED_BYTES:
        try:
            os.link(source, target)
            return
        except OSError:  # another file system, or one without links
            pass
    shutil.copyfile(source, target)


def _pairs(texts: Sequence[str]) -> dict[str, Path]:
    pairs = (text.partition("=") for text in texts)
    return {place: Path(path) for place, _, path in pairs}


if __name__ == "__main__":
    errors.run(main)
