"""Whether the engines that a plan serves are there, whole, and what it asks for."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from build_scripts import paths
from build_scripts.doctor.finding import Finding, passed
from build_scripts.engines import build
from build_scripts.plans import speaker_pipeline
from build_scripts.plans.schema import Plan
from onecard import manifest
from onecard.manifest import ManifestError


class Engines:
    """The engines of one plan, in `root`/engines.

    `vram_gib` is the memory that was asked for, which the cure repeats.
    """

    def __init__(self, plan: Plan, root: Path = paths.ROOT, vram_gib: float | None = None) -> None:
        self._plan, self._root, self._vram_gib = plan, root, vram_gib
        self._home = root / paths.ENGINES.parent.name / plan.name

    @property
    def are_built(self) -> bool:
        """Whether every directory is there, unverified."""
        return all((directory / manifest.FILENAME).is_file() for directory in self._directories())

    def finding(self) -> Finding:
        """Verify every directory; this takes as long as hashing them."""
        wanted = f"{len(self._directories())} directories, verified"
        cure = build.cure(self._plan, self._vram_gib)
        there = [directory for directory in self._directories() if directory.is_dir()]
        if not there:  # the next step, and nothing that is wrong with the machine
            return Finding("warn", "engines", f"none below {self._short()} yet", wanted, cure)
        faults = [fault for path in self._directories() if (fault := self._fault(path))]
        if not faults and self._plan.card is not None:
            stale = build.stale(self._plan, self._root)
            faults = [f"`{path}` is not what the plan says now" for path in stale]
        if faults:
            return Finding("fail", "engines", "; ".join(faults), wanted, cure)
        return passed("engines", f"{len(there)} below {self._short()}, verified", wanted)

    def speakers(self) -> Iterator[Finding]:
        """Whether pyannote's own pipeline is there, for a plan that uses it."""
        if not speaker_pipeline.is_wanted(self._plan):
            return
        directory = self._root / speaker_pipeline.directory(self._plan)
        wanted = speaker_pipeline.COMMUNITY
        if not (directory / manifest.FILENAME).is_file():
            cure = (
                f"accept its terms, set HF_TOKEN (docs/gpu/first-run.md); {build.cure(self._plan)}"
            )
            found = f"not there; {speaker_pipeline.INSTEAD}"
            yield Finding("warn", "diarization", found, wanted, cure)
            return
        fault = self._fault(directory)
        if fault:
            yield Finding("fail", "diarization", fault, wanted, build.cure(self._plan))
        else:
            yield passed("diarization", manifest.read(directory).model, wanted)

    def _directories(self) -> list[Path]:
        return [self._root / path for path in build.directories(self._plan)]

    def _fault(self, directory: Path) -> str:
        try:
            manifest.verify(directory, "make it again")
        except ManifestError as error:
            return str(error).replace(f"{self._root}/", "")
        return ""

    def _short(self) -> str:
        return str(self._home.relative_to(self._root))
