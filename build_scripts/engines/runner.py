"""Runs the steps of a build whose results are not there, in order, and records each.

Whatever ends it, a result without a record counts as none, and the directories that the server
reads are replaced whole.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from build_scripts import child_process, paths
from build_scripts.engines import faults
from build_scripts.engines.fingerprints import Fingerprints
from build_scripts.engines.step import OWN_PYTHON, Say, Step
from build_scripts.errors import BuildError, InstallError
from onecard import manifest
from onecard.manifest import ManifestError

TAIL_LINES = 20
LOGS = "logs"


class Runner:
    """Runs one build.

    Args:
        builder: what NVIDIA's tools depend on; part of the fingerprints.
        scratch: where logs go, relative to `root`.
        programs: what stands in for a step's program, by name.
        look: called before the first of NVIDIA's programs; downloads may have taken an hour.
    """

    def __init__(
        self,
        steps: Sequence[Step],
        builder: Mapping[str, str | int],
        scratch: str,
        say: Say,
        *,
        root: Path = paths.ROOT,
        programs: Mapping[str, Sequence[str]] | None = None,
        look: Callable[[], object] = lambda: None,
    ) -> None:
        self._steps, self._root, self._say = list(steps), root, say
        self._look, self._has_looked = look, False
        self._logs = root / scratch / LOGS
        self._programs = {OWN_PYTHON: [sys.executable], **(programs or {})}
        self.fingerprints = Fingerprints(steps, builder, root)

    def missing(self) -> list[Step]:
        """The steps that have to run, as far as it is known before anything did."""
        wanted = [step for step in self._steps if step.kind == "assemble"]
        stale: list[Step] = []
        damaged: set[Step] = set()
        while wanted:
            step = wanted.pop()
            if step in stale:
                continue
            is_whole = step.kind != "assemble" or self._is_whole(step)
            if step in damaged or not (is_whole and self.fingerprints.is_recorded(step)):
                stale.append(step)
                makers = self._makers(step)
                wanted += makers
                if not is_whole and (self._root / step.outputs[0]).exists():
                    # What lies in it may be one file with what it was made of: make that again.
                    damaged.update(maker for maker in makers if maker.kind != "fetch")
        return [step for step in self._steps if step in stale]

    def run(self) -> list[str]:
        """Run what is missing; returns the names.

        Raises:
            BuildError: a command failed. What was made before it stays.
        """
        ran = []
        missing = self.missing()
        for step in missing:
            self.fingerprints.forget(step)
        for number, step in enumerate(missing, start=1):
            self._say(f"({number}/{len(missing)}) {step.name}")
            started_s = time.monotonic()
            if step.is_nvidia and not self._has_looked:
                self._look()
                self._has_looked = True
            self._run(step)
            self._verify(step)
            self.fingerprints.record(step)
            self._say(f"{step.name}: done ({time.monotonic() - started_s:.0f} s)")
            ran.append(step.name)
        return ran

    def _makers(self, step: Step) -> list[Step]:
        producers = [self.fingerprints.producer(path) for path in step.inputs]
        makers = [producer for producer in producers if producer is not None]
        # A repository's configuration is fetched, and looked at, before the rest of it.
        return makers + [step for step in self._steps if self._is_before(step, makers)]

    def _is_before(self, step: Step, makers: Sequence[Step]) -> bool:
        return step.kind == "fetch" and any(
            output.startswith(f"{whole}/")
            for maker in makers
            for whole in maker.outputs
            for output in step.outputs
        )

    def _is_whole(self, step: Step) -> bool:
        try:
            manifest.verify(self._root / step.outputs[0])
        except ManifestError:
            return False
        return True

    def _verify(self, step: Step) -> None:
        """Raises InstallError or CheckpointError where `step` made something else, or nothing."""
        for output in step.outputs:
            if not (self._root / output).exists():
                raise InstallError(
                    f"`{step.name}` ended well and `{output}` is not there: its log may say why"
                )
        if step.verify:
            step.verify(self._root)

    def _run(self, step: Step) -> None:
        if step.kind not in ("fetch", "assemble"):
            for output in step.outputs:
                _remove(self._root / output)
        for output in step.outputs:
            (self._root / output).parent.mkdir(parents=True, exist_ok=True)
        program = self._programs.get(step.program, [step.program])
        argv = [*program, *step.argv[1:]]
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{step.name.replace(' ', '-')}.log"
        if step.kind == "fetch" and sys.stderr.isatty():
            status = self._call(argv, None)  # its progress bar is for the terminal
            text = ""
        else:
            self._say(f"log: {log.relative_to(self._root)}")
            with log.open("wb") as file:
                status = self._call(argv, file.fileno())
            text = log.read_text(encoding="utf-8", errors="replace")
        if status != 0:
            raise _failure(step, status, text, log)

    def _call(self, argv: Sequence[str], out: int | None) -> int:
        environment = dict(os.environ)
        if argv[0] == sys.executable:
            environment["PYTHONPATH"] = str(paths.ROOT)
        else:
            environment.pop("PYTHONPATH", None)  # NVIDIA's interpreter has packages of its own
        try:
            child = subprocess.Popen(
                argv,
                cwd=self._root,
                env=environment,
                stdout=out,
                stderr=None if out is None else subprocess.STDOUT,
                preexec_fn=child_process.end_with_parent,
            )
        except OSError as error:
            raise InstallError(
                f"`{argv[0]}` cannot be run ({error.strerror}), wanted NVIDIA's tools: "
                "build in the container, docs/gpu/engines.md"
            ) from None
        with child:
            try:
                return child.wait()
            except BaseException:
                child.terminate()
                raise


def _failure(step: Step, status: int, log: str, path: Path) -> BuildError:
    """Our own commands say in a sentence what is wrong; of the others this shows what they said."""
    lines = [line for line in log.strip().splitlines() if line.strip()]
    if not step.is_nvidia and "Traceback" not in log:
        error = BuildError(lines[-1] if lines else f"`{step.name}` failed; it said above why")
        error.exit_code = status if status > 0 else 1
        return error
    text = f"`{step.name}` failed (status {status}). The command:\n  {step.line()}\n"
    text += f"The end of {path}:\n  " + "\n  ".join(lines[-TAIL_LINES:] or ["(it said nothing)"])
    fault = faults.explain(log, status)
    if fault:
        text += f"\nLikely cause: {fault.cause}.\nWhat to do: {fault.cure}"
    else:
        text += "\nNo known cause fits; docs/gpu/engines.md says which versions belong together"
    return InstallError(text)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
