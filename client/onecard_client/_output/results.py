"""Result files: their formats and places; each is written completely or not at all."""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from onecard_client._output.new_file import create_beside
from onecard_client.subtitles import SubtitleLayout
from onecard_client.transcript import Transcript
from onecard_client.writers import ALL_FORMATS, WRITERS


def verify_directory(directory: Path) -> None:
    """Makes nothing. Raises: OSError, if results could not be written into `directory`."""
    directory = directory.absolute()
    existing = next(folder for folder in (directory, *directory.parents) if folder.exists())
    if not existing.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(existing))
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(existing))


def extensions(output_format: str) -> Sequence[str]:
    """The extensions of the files that a format, or `all`, stands for."""
    return tuple(ALL_FORMATS) if output_format == "all" else (output_format,)


def write_results(
    transcript: Transcript, output_dir: Path, stem: str, output_format: str, layout: SubtitleLayout
) -> list[Path]:
    """Writes `stem` in one format, or in all, and returns the paths.

    Raises:
        OSError: a file cannot be written; those written before it stay.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    paths = []
    for extension in extensions(output_format):
        path = output_dir / f"{stem}.{extension}"
        write_atomically(path, WRITERS[extension](transcript, layout))
        paths.append(path)
    return paths


def write_atomically(path: Path, text: str) -> None:
    """Writes `text` as UTF-8 under a temporary name next to `path`, then renames it.

    A reader sees the old file or the whole new one.
    """
    partial, file = create_beside(path, "partial")
    try:
        with file:  # a lone surrogate, which JSON allows and UTF-8 does not, becomes `?`
            file.write(text.encode("utf-8", errors="replace"))
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
