"""`onecard transcribe`: recordings to files of text, several under way at a time."""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from typing import Any

from onecard_client._cli import layout_options, transcribe_options
from onecard_client._cli.parser import addresses
from onecard_client._cli.transcribe_options import EPILOG, request_options
from onecard_client._clients.blocking import Client
from onecard_client._errors import ConnectionFailed, OnecardError
from onecard_client._files import targets
from onecard_client._files.failures import Failures, NotFailures
from onecard_client._files.journal import journal
from onecard_client._files.progress import display as display_of_many
from onecard_client._files.recording import Recording, reason
from onecard_client._files.report import Report
from onecard_client._files.run import Run
from onecard_client._files.selection import AudioFile, Selection
from onecard_client._files.servers import servers
from onecard_client._files.transcription import Settings, transcribe
from onecard_client._files.watch import Watch
from onecard_client._output.console import (
    EXIT_FAILED,
    EXIT_OK,
    EXIT_UNREACHABLE,
    EXIT_USAGE,
    complain,
    plural,
)
from onecard_client._output.names import STDIN, is_address, shown
from onecard_client._output.progress import display
from onecard_client._output.results import verify_directory
from onecard_client._verdicts.disk import Busy

verify = transcribe_options.verify
# Of a tree a list of names would be pages.
MAX_UNTRIED = 20


def add(commands: Any) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        "transcribe",
        help="transcribe audio files",
        usage="onecard transcribe [OPTION ...] FILE [FILE ...]",
        description="Transcribe audio or video files, or whole folders of them.",
        epilog=EPILOG,
    )
    transcribe_options.add(parser)
    return parser


def run(client: Client, options: argparse.Namespace) -> int:
    """Whatever can be seen to fail is said before the first recording is sent."""
    try:
        verify_directory(options.output_dir)
    except OSError as error:
        complain(f"{shown(str(options.output_dir))}: {reason(error, str(options.output_dir))}")
        return EXIT_FAILED
    try:
        transcribe_options.choose(options, client.speech_models)
        voices = _voices(client, options)
    except ConnectionFailed as error:
        complain(str(error))
        return EXIT_UNREACHABLE
    except (OnecardError, OSError) as error:
        complain(f"--speaker: {error}; nothing was transcribed")
        return EXIT_FAILED
    try:
        return _Command(client, options, voices).run()
    except NotFailures as error:
        complain(str(error))
        return EXIT_USAGE
    except Busy as error:
        complain(str(error))
        return EXIT_FAILED


class _Command:
    """One call of the command."""

    def __init__(self, client: Client, options: argparse.Namespace, voices: dict[str, Any]) -> None:
        self._client = client
        self._options = options
        self._settings = Settings(
            request_options(options) | voices,
            options.timeout_s,
            options.output_dir,
            options.output_format,
            layout_options.layout(options),
        )
        progress = display_of_many(wanted=options.print_progress, verbose=options.verbose)
        self._report = Report(progress, verbose=options.verbose, is_json=options.log_json)
        self._selection = Selection(options.include)
        self._failures: Failures | None = None
        self._num_files = 0
        self._told: set[str] = set()

    def run(self) -> int:
        """The exit code. Raises: Busy, NotFailures, OSError, and what a `Run` raises."""
        for note in transcribe_options.notes(self._options):
            self._report.remark(note)
        with ExitStack() as stack:
            self._select()
            kept = None
            if self._is_tree:
                kept = stack.enter_context(
                    journal(self._settings, again=self._options.again or self._options.retry_failed)
                )
            self._refuse_problems()
            recordings = self._to_do(self._name(), kept)
            alone = any(one.file == STDIN or is_address(one.file) for one in recordings)
            is_single = len(recordings) == 1 and len(addresses(self._options)) == 1
            if not self._is_tree and (alone or is_single):
                return self._one_by_one(recordings)
            return self._all(recordings, kept, stack)

    @property
    def _is_tree(self) -> bool:
        """Whether there may be so many files that the run keeps a journal."""
        options = self._options
        return self._selection.is_tree or options.retry_failed or options.watch is not None

    def _select(self) -> None:
        """Finds the files. Raises: NotFailures, OSError."""
        options, selection = self._options, self._selection
        if options.retry_failed:
            selection.found += Failures(options.output_dir).found()
        for path in options.files:
            selection.add(path)
        for list_file in options.files_from:
            selection.add_list(list_file, is_null=options.null)
        if self._is_tree:
            selection.refuse_all_but_files()
            self._failures = Failures(options.output_dir)
            if not options.retry_failed:
                self._failures.forget_lost()

    def _refuse_problems(self) -> None:
        for problem in self._selection.problems:
            self._report.problem(problem)
            if self._failures is not None and problem.is_file:
                self._failures.add_problem(problem)
        self._num_files = len(self._selection.found) + len(self._selection.problems)
        self._selection.problems.clear()

    def _name(self) -> list[Recording]:
        """A recording for each file that was found, once."""
        found = targets.once(self._selection.found)
        num_again = len(self._selection.found) - len(found)
        if num_again:
            self._report.note(f"{plural(num_again, 'file')} given again; transcribed once")
        return self._named(found)

    def _named(self, files: list[AudioFile]) -> list[Recording]:
        settings = self._settings
        named, notes = targets.recordings(files, settings.output_dir, settings.output_format)
        for note in notes:
            if note not in self._told:  # a folder that is watched is named again and again
                self._report.note(note)
        self._told.update(notes)
        return named

    def _to_do(self, recordings: list[Recording], kept: Any) -> list[Recording]:
        """Those that are not done yet."""
        left = []
        for recording in recordings:
            if (kept is not None and kept.has(recording)) or self._exists(recording):
                self._report.kept(recording)
                if self._failures is not None:
                    self._failures.done(recording)
            else:
                left.append(recording)
        num_kept = len(recordings) - len(left)
        if num_kept:
            were = "was" if num_kept == 1 else "were"
            self._report.remark(f"{plural(num_kept, 'file')} {were} done already")
        return left

    def _exists(self, recording: Recording) -> bool:
        return self._options.skip_existing and all(
            path.exists() for path in recording.results(self._settings.output_format)
        )

    def _all(self, recordings: list[Recording], kept: Any, stack: ExitStack) -> int:
        """Several recordings at a time."""
        options = self._options
        if not recordings and options.watch is None:
            return self._end([])
        is_watching = options.watch is not None  # a mistyped address should not wait for a file
        opened = stack.enter_context(
            servers(addresses(options), options.jobs, self._report.note, must_answer=is_watching)
        )
        run = Run(
            opened,
            self._settings,
            self._report,
            journal=kept,
            failures=self._failures,
            more=self._arrivals(kept) if is_watching else None,
        )
        try:
            run.run(recordings)
        except BaseException:
            if self._is_tree and run.num_done:
                complain(f"{plural(run.num_done, 'file')} done; the same command goes on from here")
            raise
        return self._end(run.untried)

    def _arrivals(self, kept: Any) -> Any:
        """A function that gives what has come into the folder that is watched."""
        watch = Watch(
            self._options.watch,
            Selection(self._options.include),
            self._options.interval,
            self._report.problem,
        )

        def arrivals() -> list[Recording]:
            there, ready = watch.look()
            if not ready:
                return []
            taken = {one.file for one in ready}
            named = [one for one in self._named(there) if one.file in taken]
            return self._to_do(named, kept)

        return arrivals

    def _end(self, untried: list[Recording]) -> int:
        if not untried or self._failures is not None:
            failures = None if self._failures is None else str(self._failures.path)
            self._report.end(self._num_files, failures)
        _tell_untried([recording.name for recording in untried])
        if untried:
            return EXIT_UNREACHABLE
        return EXIT_FAILED if self._report.failed else EXIT_OK

    def _one_by_one(self, recordings: list[Recording]) -> int:
        """A recording after the other, each with a progress of its own."""
        for number, recording in enumerate(recordings, 1):
            try:
                self._transcribe(recording)
            except BrokenPipeError:  # nobody reads what is said any more
                raise
            except (OnecardError, OSError) as error:
                text = reason(error, recording.file)
                self._report.fail(recording.file, text, type(error).__name__)
                if isinstance(error, ConnectionFailed) and not _answers(self._client):
                    return self._unreachable(recordings[number:])
        return self._end([])

    def _unreachable(self, untried: list[Recording]) -> int:
        self._end(untried)
        return EXIT_UNREACHABLE

    def _transcribe(self, recording: Recording) -> None:
        options = self._options
        progress = display(recording.name, wanted=options.print_progress, verbose=options.verbose)
        try:
            done = transcribe(
                self._client, recording, self._settings, progress.show, self._report.note
            )
        finally:
            progress.clear()
        self._report.done(done, options.url)


def _voices(client: Client, options: argparse.Namespace) -> dict[str, Any]:
    """The server's option of the voices that have names."""
    known = {name: list(client.voice(file, timeout_s=options.timeout_s))
             for name, file in options.voices}  # fmt: skip
    return {"known_speakers": known} if known else {}


def _tell_untried(names: list[str]) -> None:
    if names:
        more = f" and {len(names) - MAX_UNTRIED} more" if len(names) > MAX_UNTRIED else ""
        complain(f"not tried: {', '.join(names[:MAX_UNTRIED])}{more}")


def _answers(client: Client) -> bool:
    """Whether a lost connection was one file's misfortune and the others may be tried."""
    try:
        return client.health().live
    except OnecardError:
        return False
