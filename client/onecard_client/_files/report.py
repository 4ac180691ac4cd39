"""What a run says: a line for each recording, notes, and at the end what failed."""

from __future__ import annotations

import json

from onecard_client._files.journal import account
from onecard_client._files.progress import Silent, State
from onecard_client._files.recording import Recording
from onecard_client._files.selection import Problem
from onecard_client._files.targets import identity
from onecard_client._files.transcription import Done, summary
from onecard_client._output.console import complain, escaped, plural, printable
from onecard_client._output.names import shown
from onecard_client.transcript import Transcript

# A terminal's page; the rest is in the file of failures.
MAX_LISTED = 20


class Report:
    """Standard output and standard error of a run.

    Args:
        is_json: a line of JSON for each recording, in place of a line for people.
    """

    def __init__(self, progress: Silent, *, verbose: bool, is_json: bool) -> None:
        self._progress = progress
        self._verbose = verbose
        self._is_json = is_json
        self._last_note = ""
        self.failed: list[tuple[str, str]] = []

    def note(self, text: str) -> None:
        """Says it on standard error, once where several recordings have the same to say."""
        if text != self._last_note:
            self._last_note = text
            self._progress.clear()
            complain(text)

    def remark(self, text: str) -> None:
        """Says what is not wrong, unless it shall be quiet."""
        if self._verbose:
            self.note(text)

    def done(self, done: Done, server: str) -> None:
        transcript = done.transcript
        for warning in [*transcript.warnings, *_unheard(transcript)]:
            self.note(f"{done.recording.name}: warning: {warning}")
        paths = [str(path) for path in done.paths]
        if self._is_json:
            head = {"status": "done", "file": identity(done.recording.file), "results": paths}
            self._print(escaped(json.dumps({**head, "server": server, **account(done)})))
        elif self._verbose:
            names = " ".join(map(shown, paths))
            self._print(printable(f"{summary(done)} -> {names}"))

    def kept(self, recording: Recording) -> None:
        """The recording was done before."""
        if self._is_json:
            line = {"status": "kept", "file": identity(recording.file)}
            self._print(escaped(json.dumps(line)))

    def problem(self, problem: Problem) -> None:
        """A file was not sent."""
        self.fail(problem.file, problem.reason, "")

    def fail(self, file: str, error: str, kind: str) -> None:
        self.note(f"{shown(file)}: {error}")
        self.failed.append((file, error))
        if self._is_json:
            line = {"status": "failed", "file": identity(file), "error": error, "kind": kind}
            self._print(escaped(json.dumps(line)))

    def progress(self, state: State) -> None:
        self._progress.show(state)

    def clear(self) -> None:
        self._progress.clear()

    def end(self, num_files: int, failures: str | None) -> None:
        """Says what failed; `failures` is the file that has it all, where one is kept."""
        self._progress.clear()
        if not self.failed or num_files < 2:
            return
        where = f", listed in `{failures}`" if failures else ""
        complain(f"{len(self.failed)} of {plural(num_files, 'file')} failed{where}")
        if failures is None:
            return
        for file, error in self.failed[:MAX_LISTED]:
            complain(f"  {shown(file)}: {error}")
        if len(self.failed) > MAX_LISTED:
            complain(f"  and {len(self.failed) - MAX_LISTED} more")
        complain("the same options with `--retry-failed` in place of the files try them again")

    def _print(self, line: str) -> None:
        self._progress.clear()
        print(line, flush=True)


def _unheard(transcript: Transcript) -> list[str]:
    """What to say of people whose voices were given and not found."""
    return [
        f"nobody with the voice of {one.name} was found; the nearest is at a distance of "
        f"{one.distance}, must be within {one.max_distance:g} (--known-speaker-distance)"
        for one in transcript.known_speakers or ()
        if not one.found
    ]
