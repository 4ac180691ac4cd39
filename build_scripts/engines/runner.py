"""Runs the commands of a GPU build whose results are not there, in order, and records each.

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
from build_scripts.engines import faults, outcomes
from build_scripts.engines.fingerprints import Fingerprints
from build_scripts.engines.step import OWN_PYTHON, Command
from build_scripts.errors import BuildError, InstallError
from onecard import manifest
from onecard.manifest import ManifestError

TAIL_LINES = 20
LOGS = "logs"

Say = Callable[[str], None]


class Runner:
    """Of one build.

    Args:
        builder: what NVIDIA's tools depend on; part of the fingerprints.
        scratch: where logs go, relative to `root`.
        programs: what stands in for a command's program, by name.
        look: called before the first of NVIDIA's programs; downloads may have taken an hour.
    """

    def __init__(
        self,
        commands: Sequence[Command],
        builder: Mapping[str, str | int],
        scratch: str,
        say: Say,
        *,
        root: Path = paths.ROOT,
        programs: Mapping[str, Sequence[str]] | None = None,
        look: Callable[[], object] = lambda: None,
    ) -> None:
        self._commands, self._root, self._say = list(commands), root, say
        self._look, self._has_looked = look, False
        self._logs = root / scratch / LOGS
        self._programs = {OWN_PYTHON: [sys.executable], **(programs or {})}
        self.fingerprints = Fingerprints(commands, builder, root)

    def missing(self) -> list[Command]:
        """What has to run, as far as it is known before anything did."""
        wanted = [one for one in self._commands if one.is_assembly]
        stale: list[Command] = []
        damaged: set[str] = set()
        while wanted:
            command = wanted.pop()
            if command in stale:
                continue
            is_whole = not command.is_assembly or self._is_whole(command)
            if command.name in damaged or not (is_whole and self.fingerprints.is_recorded(command)):
                stale.append(command)
                makers = self._makers(command)
                wanted += makers
                if not is_whole and (self._root / command.outputs[0]).exists():
                    # What lies in it may be one file with what it was made of: make that again.
                    damaged.update(one.name for one in makers if not one.is_fetch)
        return [one for one in self._commands if one in stale]

    def run(self) -> list[str]:
        """Run what is missing; returns the names.

        Raises:
            BuildError: a command failed. What was made before it stays.
        """
        ran = []
        missing = self.missing()
        for command in missing:
            self.fingerprints.forget(command)
        for number, command in enumerate(missing, start=1):
            self._say(f"({number}/{len(missing)}) {command.name}")
            started_s = time.monotonic()
            if command.is_nvidia and not self._has_looked:
                self._look()
                self._has_looked = True
            self._run(command)
            outcomes.verify(command, self._root)
            self.fingerprints.record(command)
            self._say(f"{command.name}: done ({time.monotonic() - started_s:.0f} s)")
            ran.append(command.name)
        return ran

    def _makers(self, command: Command) -> list[Command]:
        found = [self.fingerprints.producer(one) for one in command.inputs]
        makers = [one for one in found if one is not None]
        # A repository's configuration is fetched, and looked at, before the rest of it.
        return makers + [one for one in self._commands if self._is_before(one, makers)]

    def _is_before(self, command: Command, makers: Sequence[Command]) -> bool:
        return command.is_fetch and any(
            output.startswith(f"{whole}/")
            for maker in makers
            for whole in maker.outputs
            for output in command.outputs
        )

    def _is_whole(self, command: Command) -> bool:
        try:
            manifest.verify(self._root / command.outputs[0])
        except ManifestError:
            return False
        return True

    def _run(self, command: Command) -> None:
        if not command.is_fetch and not command.is_assembly:
            for output in command.outputs:
                _remove(self._root / output)
        for output in command.outputs:
            (self._root / output).parent.mkdir(parents=True, exist_ok=True)
        program = self._programs.get(command.argv[0], [command.argv[0]])
        argv = [*program, *command.argv[1:]]
        self._logs.mkdir(parents=True, exist_ok=True)
        log = self._logs / f"{command.name.replace(' ', '-')}.log"
        if command.is_fetch and sys.stderr.isatty():
            status = self._call(argv, None)  # its progress bar is for the terminal
            text = ""
        else:
            self._say(f"log: {log.relative_to(self._root)}")
            with log.open("wb") as file:
                status = self._call(argv, file.fileno())
            text = log.read_text(encoding="utf-8", errors="replace")
        if status != 0:
            raise _failure(command, status, text, log)

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
                "build in the container, docs/engines.md"
            ) from None
        with child:
            try:
                return child.wait()
            except BaseException:
                child.terminate()
                raise


def _failure(command: Command, status: int, log: str, path: Path) -> BuildError:
    """Our own commands say in a sentence what is wrong; of the others this shows what they said."""
    lines = [line for line in log.strip().splitlines() if line.strip()]
    if command.argv[0] == OWN_PYTHON and "Traceback" not in log:
        error = BuildError(lines[-1] if lines else f"`{command.name}` failed; it said above why")
        error.exit_code = status if status > 0 else 1
        return error
    text = f"`{command.name}` failed (status {status}). The command:\n  {command.line()}\n"
    text += f"The end of {path}:\n  " + "\n  ".join(lines[-TAIL_LINES:] or ["(it said nothing)"])
    fault = faults.explain(log, status)
    if fault:
        text += f"\nLikely cause: {fault.cause}.\nWhat to do: {fault.cure}"
    else:
        text += "\nNo known cause fits; docs/engines.md says which versions belong together"
    return InstallError(text)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
