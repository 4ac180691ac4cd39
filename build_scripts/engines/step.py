"""One step of a build: what it runs, what it needs, and what it makes.

Paths are relative to the checkout, in which every step runs.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from build_scripts.engines import outcomes
from build_scripts.engines.checkpoints.sources import Repository
from build_scripts.engines.outcomes import Options

ENGINES = "engines"
CHECKPOINTS = f"{ENGINES}/.checkpoints"  # what is fetched; shared by all plans

OWN_PYTHON = "python"  # the interpreter that runs build_scripts
BUILDER = "trtllm-build"
ENGINE_FILES = (
    "config.json",
    "rank0.engine",
)  # what it writes for one GPU (builder.py, Engine.save)

ROOM = 3  # a download, what it is converted to, and the engine lie side by side

Say = Callable[[str], None]
# Given the checkout; raises InstallError or CheckpointError where the step made something else.
Verify = Callable[[Path], None]
# fetch: takes up by itself what an interrupted run left. assemble: makes a directory with a
# manifest, which the server reads, and replaces it whole. The others write anew.
Kind = Literal["fetch", "check", "convert", "build", "assemble"]


@dataclass(frozen=True)
class Revision:
    """The revision that a fetch asks for, and the directory that records which commit it was."""

    asked: str
    folder: str


@dataclass(frozen=True)
class Step:
    """A command; `outputs` exist when it has succeeded, `inputs` are others' or lie there."""

    name: str
    kind: Kind
    argv: tuple[str, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    verify: Verify | None = field(default=None, compare=False)  # when every output exists
    revision: Revision | None = None  # of a fetch from a hub
    # What the command does, in this process. None: it runs as a process of its own.
    run: Callable[[Say], None] | None = field(default=None, compare=False)

    def line(self) -> str:
        """The command as one would type it, in the checkout."""
        return shlex.join(self.argv)

    def document(self) -> dict[str, Any]:
        """What `--dry-run --json` prints."""
        return {
            "name": self.name,
            "argv": list(self.argv),
            "inputs": list(self.inputs),
            "outputs": list(self.outputs),
        }

    @property
    def program(self) -> str:
        """The program that the command starts: ours, NVIDIA's Python or NVIDIA's builder."""
        return self.argv[0]

    @property
    def is_nvidia(self) -> bool:
        """Whether what it makes depends on the container and the GPU."""
        return self.program != OWN_PYTHON


def scratch(plan: str) -> str:
    """The directory of what is made on the way; may be removed when everything is built."""
    return f"{ENGINES}/{plan}/.build"


def folder(repository: Repository) -> str:
    """The directory that a repository's files are fetched to."""
    return f"{CHECKPOINTS}/{repository.name.replace('/', '--')}"


def fetch(
    name: str,
    repository: Repository,
    only: tuple[str, ...] = (),
    room: int = 1,
    verify: Verify | None = None,
) -> Step:
    """Bring `repository`, or `only` these of its files."""
    into = folder(repository)
    argv = [OWN_PYTHON, "-m", "build_scripts.fetch.hub", repository.name]
    argv += ["--revision", repository.revision, "--into", into]
    if room > 1:
        argv += ["--room", str(room)]
    argv += [f"--file={pattern}" for pattern in only or repository.files]
    argv += [f"--optional={pattern}" for pattern in repository.optional if not only]
    argv += [f"--first-of={file}" for file in repository.first_of if not only]
    argv += [f"--sha256={file}={sha256}" for file, sha256 in repository.sha256]
    outputs = tuple(f"{into}/{file}" for file in only) or (into,)
    revision = Revision(repository.revision, into)
    return Step(f"fetch {name}", "fetch", tuple(argv), (), outputs, verify, revision)


def build(
    name: str,
    checkpoint: str,
    source: str,
    target: str,
    limits: Mapping[str, int],
    options: Options,
) -> Step:
    """Build the engine `target` of `checkpoint`, which the step that made `source` wrote."""
    argv = [BUILDER, "--checkpoint_dir", checkpoint, "--output_dir", target]
    for key, value in {**limits, **options}.items():
        word = ("disable", "enable")[value] if isinstance(value, bool) else str(value)
        argv += [f"--{key}", word]
    argv += ["--workers", "1", "--output_timing_cache", f"{target}/timing.cache"]
    step = f"build {name}"

    def verify(root: Path) -> None:
        outcomes.verify_engine(step, root / target, limits, options)

    return Step(step, "build", tuple(argv), (source,), (target,), verify)


def assemble(
    name: str,
    target: str,
    facts: Mapping[str, str],
    parts: Mapping[str, str],
    optional: Mapping[str, str] | None = None,
    verify: Verify | None = None,
) -> Step:
    """Put `parts`, place -> path, into the directory `target`, with a manifest of `facts`."""
    argv = [OWN_PYTHON, "-m", "build_scripts.engines.assemble", target]
    argv += [f"--{key}={value}" for key, value in facts.items()]
    argv += [f"{place}={path}" for place, path in parts.items()]
    argv += [f"--optional={place}={path}" for place, path in (optional or {}).items()]
    inputs = dict.fromkeys([*parts.values(), *([facts["origin"]] if "origin" in facts else [])])
    return Step(f"assemble {name}", "assemble", tuple(argv), tuple(inputs), (target,), verify)
