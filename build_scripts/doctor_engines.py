"""Whether the engines that a plan serves are there, whole, and what it asks for.

It knows which directories a plan has and hashes them; it makes nothing.
"""

from __future__ import annotations

from pathlib import Path

from build_scripts import layout, trtllm_engines, trtllm_machine, weights
from build_scripts.findings import Finding, passed
from build_scripts.plan import Plan
from build_scripts.trtllm_fingerprint import Fingerprints
from onecard import manifest
from onecard.manifest import ManifestError

CPU_ENGINES = ("whisper", "llm")
SPEAKER_MODELS = tuple(recipe.name for recipe, _ in weights.SPEAKER_MODELS)


class Engines:
    """Of one plan, below `root`/engines."""

    def __init__(self, plan: Plan, root: Path = layout.ROOT) -> None:
        self._plan, self._root = plan, root
        self._home = root / layout.ENGINES.parent.name / plan.name

    @property
    def are_built(self) -> bool:
        """Whether every directory is there, unverified."""
        return all((one / manifest.FILENAME).is_file() for one in self._directories())

    def finding(self) -> Finding:
        """Every directory, verified; takes as long as hashing them does."""
        wanted = f"{len(self._directories())} directories, verified"
        cure = "run `make setup`" if self._plan.card is None else (
            f"run `make engines PLAN={self._plan.name}`, in the container (docs/engines.md)"
        )  # fmt: skip
        there = [one for one in self._directories() if one.is_dir()]
        if not there:  # the next step, and nothing that is wrong with the machine
            return Finding("warn", "engines", f"none below {self._short()} yet", wanted, cure)
        faults = [fault for one in self._directories() if (fault := self._fault(one))]
        if not faults and self._plan.card is not None:
            faults = self._stale()
        if faults:
            return Finding("fail", "engines", "; ".join(faults), wanted, cure)
        return passed("engines", f"{len(there)} below {self._short()}, verified", wanted)

    def _directories(self) -> list[Path]:
        speaker = [self._home / name for name in SPEAKER_MODELS]
        if self._plan.card is None:
            return [*(self._home / name for name in CPU_ENGINES), *speaker]
        commands = trtllm_engines.commands(self._plan)
        return [*(self._root / one.outputs[0] for one in commands if one.is_assembly), *speaker]

    def _fault(self, directory: Path) -> str:
        try:
            manifest.verify(directory, "make it again")
        except ManifestError as error:
            return str(error).replace(f"{self._root}/", "")
        return ""

    def _stale(self) -> list[str]:
        """What the plan asks for now and did not when they were built."""
        card = self._plan.card
        assert card is not None
        commands = trtllm_engines.commands(self._plan)
        records = Fingerprints(commands, trtllm_machine.pinned(card).facts(), self._root)
        return [
            f"`{one.outputs[0]}` is not what the plan says now"
            for one in commands
            if one.is_assembly and not records.is_recorded(one)
        ]

    def _short(self) -> str:
        return str(self._home.relative_to(self._root))
