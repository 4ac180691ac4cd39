"""Audio to send, from wherever a caller has it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

from onecard_client._transport.content import Content

AudioSource = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | Content
_PIECE_BYTES = 2**20


def read_audio(source: AudioSource) -> Content:
    """The bytes of `source`: the file at a path, bytes as they are, the rest of a file object.

    A file is read while it is sent. A pipe is copied to a temporary file first, since an attempt
    may have to be repeated.

    Raises:
        OSError: the file cannot be read, or there is no room for the copy of a pipe.
        TypeError: `source` is something else, such as a file opened as text.
    """
    if isinstance(source, Content):
        return source
    if isinstance(source, bytes | bytearray | memoryview):
        return Content.from_bytes(bytes(source))
    if isinstance(source, str | os.PathLike):
        return _at_path(Path(source))
    if not hasattr(source, "read"):
        raise TypeError(
            f"audio is of type `{type(source).__name__}`, must be a path, bytes or a binary file; "
            "pass one of these"
        )
    _verify_binary(source.read(0))
    if getattr(source, "seekable", bool)():
        return Content(source)
    return copied(source)


def _at_path(path: Path) -> Content:
    """A file, or what comes out of a named pipe, such as a shell's `<(command)`."""
    file = path.open("rb")
    if file.seekable():
        return Content(file, is_owned=True)
    with file:
        return copied(file)


def copied(source: Any) -> Content:
    """The rest of `source` in a temporary file, which is deleted when it is closed."""
    file = tempfile.TemporaryFile()  # noqa: SIM115  # closed with the content
    try:
        while piece := source.read(_PIECE_BYTES):
            _verify_binary(piece)
            file.write(piece)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return Content(file, is_owned=True)


def _verify_binary(piece: object) -> None:
    if not isinstance(piece, bytes):
        raise TypeError(
            f"the audio file object gave `{type(piece).__name__}`, must give bytes; "
            'open the file with mode "rb"'
        )
