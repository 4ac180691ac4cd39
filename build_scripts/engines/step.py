"""One command of a GPU build, and where a build keeps things; it knows no flag of NVIDIA's tools.

Paths are relative to the checkout, in which every command runs.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from build_scripts.engines.sources import Repository

ENGINES = "engines"
CHECKPOINTS = f"{ENGINES}/.checkpoints"  # what is fetched; shared by all plans

OWN_PYTHON = "python"  # the interpreter that runs build_scripts
BUILDER = "trtllm-build"
ENGINE_FILES = (
    "config.json",
    "rank0.engine",
)  # what it writes for one GPU (builder.py, Engine.save)

ROOM = 3  # a download, what it is converted to, and the engine lie side by side


@dataclass(frozen=True)
class Command:
    """`outputs` exist when it has succeeded; `inputs` are others' outputs, or lie there."""

    name: str
    argv: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def line(self) -> str:
        """As one would type it, in the checkout."""
        return shlex.join(self.argv)

    @property
    def is_fetch(self) -> bool:
        """Whether it takes up by itself what an interrupted run left."""
        return self.name.startswith("fetch ")

    @property
    def is_assembly(self) -> bool:
        """Whether its output is a directory with a manifest, which the server reads."""
        return self.name.startswith("assemble ")

    @property
    def is_nvidia(self) -> bool:
        """Whether what it makes depends on the container and the GPU."""
        return self.argv[0] != OWN_PYTHON


def scratch(plan: str) -> str:
    """What is made on the way; may be removed when everything is built."""
    return f"{ENGINES}/{plan}/.build"


def folder(repository: Repository) -> str:
    """Where a repository's files are fetched to."""
    return f"{CHECKPOINTS}/{repository.name.replace('/', '--')}"


def fetch(name: str, repository: Repository, only: tuple[str, ...] = (), room: int = 1) -> Command:
    """Bring `repository`, or `only` these of its files."""
    into = folder(repository)
    argv = [OWN_PYTHON, "-m", "build_scripts.fetch.hub", repository.name]
    argv += ["--revision", repository.revision, "--into", into]
    if room > 1:
        argv += ["--room", str(room)]
    argv += [f"--file={one}" for one in only or repository.files]
    argv += [f"--optional={one}" for one in repository.optional if not only]
    argv += [f"--first-of={one}" for one in repository.first_of if not only]
    argv += [f"--sha256={name}={sha256}" for name, sha256 in repository.sha256]
    outputs = tuple(f"{into}/{one}" for one in only) or (into,)
    return Command(f"fetch {name}", tuple(argv), (), outputs)


def assemble(
    name: str,
    target: str,
    facts: Mapping[str, str],
    parts: Mapping[str, str],
    optional: Mapping[str, str] | None = None,
) -> Command:
    """Put `parts`, place -> path, into the directory `target`, with a manifest of `facts`."""
    argv = [OWN_PYTHON, "-m", "build_scripts.engines.assemble", target]
    argv += [f"--{key}={value}" for key, value in facts.items()]
    argv += [f"{place}={path}" for place, path in parts.items()]
    argv += [f"--optional={place}={path}" for place, path in (optional or {}).items()]
    inputs = dict.fromkeys([*parts.values(), *([facts["origin"]] if "origin" in facts else [])])
    return Command(f"assemble {name}", tuple(argv), tuple(inputs), (target,))
