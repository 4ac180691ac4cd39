"""What the PATHs of a command stand for: files, folders, patterns, and lists of these."""

from __future__ import annotations

import errno
import fnmatch
import glob
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from onecard_client._files.recording import reason
from onecard_client._output.names import STDIN, extension, is_address, local

_ADDRESS = ("http://", "https://", "ftp://", "s3://", "gs://", "rtsp://", "rtmp://")


@dataclass(frozen=True)
class AudioFile:
    """A file to transcribe.

    Attributes:
        below: where its results go, as seen from the folder of all results.
        stem: of its results, where an earlier run has chosen it.
    """

    file: str
    below: Path = Path()
    stem: str | None = None


@dataclass(frozen=True)
class Problem:
    """A file, folder or pattern that gives nothing, and why.

    Attributes:
        is_file: it may be a recording another time.
    """

    file: str
    reason: str
    is_file: bool = True


@dataclass
class Selection:
    """The files that PATHs stand for.

    Args:
        include: patterns for files in folders; without any, what has a recording's extension.

    Attributes:
        is_tree: a folder, a pattern or a list was among them.
    """

    include: Sequence[str] = ()
    found: list[AudioFile] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    is_tree: bool = False

    def add(self, path: str) -> None:
        """Adds what an argument of the command stands for."""
        if path == STDIN or is_address(path):
            self.found.append(AudioFile(path))
        else:
            self._add(path, Path())

    def add_list(self, list_file: str, *, is_null: bool) -> None:
        """Adds the files that a list names, one a line.

        The results of relative names go into folders of the same names, and those of absolute ones
        into the folders that they have below the one that all of them share.

        Raises:
            OSError: the list cannot be read.
        """
        self.is_tree = True
        names = list(map(local, _entries(list_file, is_null=is_null)))
        far = [os.path.dirname(os.path.abspath(name)) for name in names if _is_far(name)]
        shared = os.path.commonpath(far) if far else ""
        for name in names:
            if is_address(name) or name.lower().startswith(_ADDRESS):
                self._refuse(name, "is an address, and a list has files; fetch it first")
            elif name == STDIN:
                self._refuse(name, "is standard input, and a list has files; name `./-` for a file")
            else:
                start = shared if _is_far(name) else os.curdir
                self._add(name, _relative(os.path.dirname(name) or os.curdir, start))

    def folder(self, folder: str) -> list[AudioFile]:
        """The recordings of a folder at any depth, in the order of their names.

        Hidden ones are left out, and links to folders are not followed.
        """
        found = []
        for directory, folders, files in os.walk(folder, onerror=self._note):
            folders[:] = sorted(name for name in folders if not name.startswith("."))
            below = _relative(directory, folder)
            found += [
                AudioFile(os.path.join(directory, name), below)
                for name in sorted(files)
                if self._is_included(name, below)
            ]
        return found

    def refuse_all_but_files(self) -> None:
        """Makes problems of addresses and of standard input."""
        others = [one for one in self.found if one.file == STDIN or is_address(one.file)]
        self.found = [one for one in self.found if one not in others]
        for one in others:
            what = "standard input" if one.file == STDIN else "an address"
            self._refuse(
                one.file,
                f"is {what}, and a run over a folder, a pattern or a list has files alone; give it "
                "in a command of its own",
            )

    def _add(self, path: str, below: Path) -> None:
        if not os.path.lexists(path) and glob.has_magic(path):
            self._add_pattern(path)
        elif os.path.isdir(path):
            self._add_folder(path, below)
        elif problem := _unreadable(path):
            self._refuse(path, problem, is_file=True)
        else:
            self.found.append(AudioFile(path, below))

    def _add_folder(self, path: str, below: Path) -> None:
        self.is_tree = True
        num_problems = len(self.problems)
        found = self.folder(path)
        for one in found:
            if problem := _unreadable(one.file):
                self._refuse(one.file, problem, is_file=True)
            else:
                self.found.append(AudioFile(one.file, below / one.below))
        if not found and len(self.problems) == num_problems:
            wanted = " or ".join(f"`{one}`" for one in self.include) or "a recording's extension"
            self._refuse(path, f"no file in this folder has {wanted}; say which with --include")

    def _add_pattern(self, pattern: str) -> None:
        self.is_tree = True
        root = _fixed_part(pattern)
        paths = sorted(glob.glob(pattern, recursive=True))
        if not paths:
            self._refuse(pattern, "no file has such a name; see to the pattern, or to the folder")
        files = [path for path in paths if not os.path.isdir(path)]
        if os.path.basename(pattern) in ("*", "**"):  # also what is no recording
            files = [path for path in files if self._is_included(os.path.basename(path), Path())]
        for path in files or paths:  # folders where it matches nothing else
            parent = os.path.dirname(path) if files else path
            self._add(path, _relative(parent or os.curdir, root))

    def _is_included(self, name: str, below: Path) -> bool:
        if name.startswith("."):
            return False
        if not self.include:
            return bool(extension(name))
        whole = str(below / name)
        return any(
            fnmatch.fnmatch((whole if "/" in pattern else name).lower(), pattern.lower())
            for pattern in self.include
        )

    def _note(self, error: OSError) -> None:
        path = str(error.filename)
        self._refuse(path, reason(error, path))

    def _refuse(self, file: str, why: str, *, is_file: bool = False) -> None:
        self.problems.append(Problem(file, why, is_file))


def _entries(list_file: str, *, is_null: bool) -> Iterator[str]:
    is_piped = list_file == STDIN
    content = sys.stdin.buffer.read() if is_piped else Path(list_file).read_bytes()
    lines: Iterable[bytes] = content.split(b"\0" if is_null else b"\n")
    for line in lines:
        name = os.fsdecode(line if is_null else line.removesuffix(b"\r"))
        if name.strip():
            yield name


def _is_far(name: str) -> bool:
    """Whether a name of a list leads out of the folder in which the command runs."""
    return os.path.isabs(name) or os.path.normpath(name).split(os.sep)[0] == os.pardir


def _relative(folder: str, start: str) -> Path:
    relative = Path(os.path.relpath(folder, start or os.curdir))
    return Path() if os.pardir in relative.parts else relative


def _fixed_part(pattern: str) -> str:
    """The folder that a pattern begins with."""
    parts = Path(pattern).parts
    fixed = []
    for part in parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return os.path.join(*fixed) if fixed else os.curdir


def _unreadable(path: str) -> str | None:
    """Why a file cannot be read; None if it can."""
    try:
        os.stat(path)
    except OSError as error:
        return reason(error, path)
    if os.path.isdir(path):
        return os.strerror(errno.EISDIR)
    return None if os.access(path, os.R_OK) else os.strerror(errno.EACCES)
