"""Audio to send, from wherever a caller has it.

It knows paths, bytes and file objects; it does not look at what is in them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO

from onecard_client._sendable import MAX_CONTENT_BYTES, verify_size

AudioSource = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO


def read_audio(source: AudioSource) -> bytes:
    """The bytes of `source`: the file at a path, bytes as they are, the rest of a file object.

    Raises:
        InvalidRequest: more bytes than one message can carry (a file is not read for that).
        OSError: the file cannot be read.
        TypeError: `source` is something else, such as a file opened as text.
    """
    if isinstance(source, bytes):
        return source
    if isinstance(source, bytearray | memoryview):
        return bytes(source)
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        verify_size(path.stat().st_size)
        return path.read_bytes()
    if not hasattr(source, "read"):
        raise TypeError(
            f"audio is of type `{type(source).__name__}`, must be a path, bytes or a binary file; "
            "pass one of these"
        )
    content = source.read(MAX_CONTENT_BYTES + 1)
    if not isinstance(content, bytes):
        raise TypeError(
            f"the audio file object gave `{type(content).__name__}`, must give bytes; "
            'open the file with mode "rb"'
        )
    verify_size(len(content))
    return content
