"""Verdicts on disk, of this run and earlier ones; an email that has one is not judged again."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from onecard_client._output.console import complain, plural
from onecard_client._verdicts.disk import (
    Appender,
    OutputFailed,
    locked,
    merge,
    reason,
    replace,
    whole_line,
)
from onecard_client._verdicts.lines import Key, Place, Scan, fingerprint, line_of, scan
from onecard_client.mail import Email
from onecard_client.triage import Verdict

_COPY = re.compile(r"#\d+$")


class Store:
    """Verdicts that outlive the process.

    Args:
        options: those of the request; a verdict for other options is another one.
        again: judge all emails again.

    Attributes:
        num_kept: mails that have their verdict from an earlier run, and of which nothing was said.
    """

    def __init__(self, path: Path, options: Mapping[str, Any], *, again: bool) -> None:
        self._path = path
        self._options = {name: item for name, item in options.items() if name != "timeout_s"}
        self._again = again
        self.num_kept = 0

    def has(self, email: Email) -> bool:
        """Whether the mail has its verdict already; it then counts as one of this run."""
        raise NotImplementedError

    def add(self, verdict: Verdict, email: Email) -> None:
        """Raises: OutputFailed."""
        raise NotImplementedError

    def finish(self, *, is_whole: bool) -> None:
        """The run came to its end; `is_whole`: every mail could be read. Raises: OutputFailed."""

    def _key(self, email: Email) -> Key:
        return email.id, fingerprint(email, self._options)

    def _append(self, appender: Appender, line: bytes, kept: str) -> Place:
        try:
            return appender.add(line)
        except OSError as error:
            raise self._failed(error, kept) from error

    def _failed(self, error: OSError, kept: str) -> OutputFailed:
        return OutputFailed(
            f"`{self._path}` cannot be written ({reason(error)}); {kept}; make room or see to the "
            "disk, and give the same command again, which goes on from there"
        )


class Batch(Store):
    """Verdicts of one run, next to the file until it is over, and then in place of it.

    Made by `batch`.
    """

    def __init__(self, path: Path, options: Mapping[str, Any], *, again: bool) -> None:
        super().__init__(path, options, again=again)
        self.partial = partial_of(path)
        self._old = _scanned(path)
        self._new = _scanned(self.partial)
        self._run: set[Key] = set()
        self._appender = Appender(self.partial, self._new.num_bytes)

    def has(self, email: Email) -> bool:
        key = self._key(email)
        self._run.add(key)
        if self._again or not (key in self._new.places or key in self._old.places):
            return False
        self.num_kept += 1
        return True

    def add(self, verdict: Verdict, email: Email) -> None:
        key = self._key(email)
        line = line_of(verdict, key[1])
        self._new.places[key] = self._append(self._appender, line, self._kept())
        self._new.num_lines += 1

    def finish(self, *, is_whole: bool) -> None:
        if not self._run and (self._old.places or self._new.places):
            complain("no mail was read; the verdicts of earlier runs stay as they are")
            self._tidy()
            return
        try:
            self._appender.sync()
            self._become(*self._lines(is_whole))
        except OSError as error:
            raise self._failed(error, self._kept()) from error

    def _become(self, old: list[Place], new: list[Place]) -> None:
        if not old and self._new.is_clean and len(new) == len(self._new.places):
            replace(self.partial, self._path)
            return
        if new or not self._old.is_clean or len(old) < len(self._old.places):
            sources = [(self._path, old), (self.partial, new)]
            merge(self._path, [(source, places) for source, places in sources if places])
        self.partial.unlink()

    def _tidy(self) -> None:
        if not self._new.places:
            self.partial.unlink(missing_ok=True)

    def close(self, failure: BaseException | None) -> None:
        """Says where the verdicts are, unless the failure does; leaves nothing that is empty."""
        with contextlib.suppress(OSError):
            self._appender.sync()
        self._appender.close()
        if failure is None:
            return
        self._tidy()
        if self._new.places and not isinstance(failure, OutputFailed):
            complain(f"{self._kept()}; the same command goes on from there")

    def _lines(self, is_whole: bool) -> tuple[list[Place], list[Place]]:
        """The lines of the file, and of the one next to it that will replace it.

        Where something could not be read, verdicts of mails that did not come along are kept: they
        may come along next time.
        """
        ids = {mail_id for mail_id, _ in self._run}

        def is_wanted(key: Key) -> bool:
            return key in self._run or (not is_whole and key[0] not in ids)

        new = {key: place for key, place in self._new.places.items() if is_wanted(key)}
        old = [place for key, place in self._old.places.items()
               if is_wanted(key) and key not in new]  # fmt: skip
        return old, list(new.values())

    def _kept(self) -> str:
        number = len(self._new.places)
        had = "had" if number else "has"
        return f"{plural(number, 'verdict')} {had} come before, and are in `{self.partial}`"


class Journal(Store):
    """Verdicts that are added to a file as they come. Made by `journal`."""

    def __init__(self, path: Path, options: Mapping[str, Any], *, again: bool) -> None:
        super().__init__(path, options, again=again)
        found = _scanned(path)
        self._known = set(found.places)
        self._contents = {_content(key) for key in self._known}
        self._num_added = 0
        self._appender = Appender(path, found.num_bytes)
        self._adopt(partial_of(path))

    def has(self, email: Email) -> bool:
        is_known = not self._again and self._key(email) in self._known
        self.num_kept += is_known
        return is_known

    def has_content(self, email: Email) -> bool:
        """Whether there is a verdict, like `has`, for an email whose id is not yet numbered (`#2`).

        Which mail of several is the copy depends on which arrived together.
        """
        is_known = not self._again and _content(self._key(email)) in self._contents
        self.num_kept += is_known
        return is_known

    def add(self, verdict: Verdict, email: Email) -> None:
        key = self._key(email)
        self._append(self._appender, line_of(verdict, key[1]), self._kept())
        self._known.add(key)
        self._contents.add(_content(key))
        self._num_added += 1

    def close(self, failure: BaseException | None) -> None:
        with contextlib.suppress(OSError):
            self._appender.sync()
        self._appender.close()
        if failure is not None and not isinstance(failure, OutputFailed):
            complain(self._kept())

    def _kept(self) -> str:
        return f"{plural(self._num_added, 'verdict')} came, and are in `{self._path}`"

    def _adopt(self, partial: Path) -> None:
        """Takes what an interrupted run without `--watch` left next to the file."""
        found = _scanned(partial)
        missing = [place for key, place in found.places.items() if key not in self._known]
        try:
            with contextlib.suppress(FileNotFoundError), partial.open("rb") as file:
                for place in missing:
                    self._appender.add(whole_line(file, place))
                self._appender.sync()
            partial.unlink(missing_ok=True)
        except OSError as error:
            raise self._failed(error, f"`{partial}` is kept") from error
        self._known |= set(found.places)
        self._contents |= {_content(key) for key in found.places}


def partial_of(path: Path) -> Path:
    """Where the verdicts of a run are until it is over."""
    return path.with_name(f"{path.name}.partial")


@contextlib.contextmanager
def batch(path: Path, options: Mapping[str, Any], *, again: bool) -> Iterator[Batch]:
    """Raises: Busy, NotVerdicts, OSError, all before anything is written; OutputFailed."""
    path = path.resolve()  # a link stays one
    with locked(path):
        store = Batch(path, options, again=again)
        with _closing(store):
            yield store


@contextlib.contextmanager
def journal(path: Path, options: Mapping[str, Any], *, again: bool) -> Iterator[Journal]:
    """Raises: Busy, NotVerdicts, OSError, all before anything is written; OutputFailed."""
    path = path.resolve()
    with locked(path):
        store = Journal(path, options, again=again)
        with _closing(store):
            yield store


@contextlib.contextmanager
def _closing(store: Batch | Journal) -> Iterator[None]:
    try:
        yield
    except BaseException as failure:
        store.close(failure)
        raise
    store.close(None)


def _content(key: Key) -> Key:
    return _COPY.sub("", key[0]), key[1]


def _scanned(path: Path) -> Scan:
    found = scan(path)
    if found.num_damaged:
        complain(
            f"{plural(found.num_damaged, 'line')} of `{path}` broke off when it was written; "
            "those mails are judged again"
        )
    return found
