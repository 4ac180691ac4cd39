"""Names of recordings and of what is written for them."""

from __future__ import annotations

import hashlib
import os
import unicodedata
import urllib.parse
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from onecard_client._output.console import printable

STDIN = "-"
# What may be cut off a name: extensions that recordings have, and nothing else behind a dot.
AUDIO_EXTENSIONS = frozenset(
    """
    3ga aa aac aax ac3 ac4 adts aif aifc aiff al alaw alw amr ape at3 au aud awb caf dff dsf dss dts
    ds2 eac3 f4a flac g722 g729 gsm it kar l16 lpcm m1a m2a m3u m4a m4b m4r mka mlp mod mp1 mp2 mp3
    mpa mpc mpga mu mulaw oga ogg opus pcm pcma pcmu qcp ra ram raw rf64 s3m shn sln sln12 sln16
    sln24 sln32 sln44 sln48 sln96 sln192 slin snd sph spx tak tta ul ulaw ulw voc vox w64 wav wav49
    wave weba wma wv xm
    """.split()  # noqa: SIM905
)
VIDEO_EXTENSIONS = frozenset(
    """
    3g2 3gp 3gp2 3gpp amv asf avi divx dv f4v flv m1v m2t m2ts m2v m4v mjpeg mjpg mk3d mkv mod mov
    mp4 mpe mpeg mpg mpv mts mxf nut ogm ogv ogx qt rm rmvb tod ts tts vob webm wmv wtv y4m
    """.split()  # noqa: SIM905
)
# Of most file systems; where another holds, `os.pathconf` says so.
_MAX_NAME_BYTES = 255
_HASH_CHARS = 8


def is_address(file: str) -> bool:
    """Whether `file` is to be fetched: an address of the web, and no file of that name."""
    return file.lower().startswith(("http://", "https://")) and not os.path.exists(file)


def local(file: str) -> str:
    """The path in a `file:` address, as file managers copy it; anything else as it is."""
    address = urllib.parse.urlsplit(file) if file.lower().startswith("file://") else None
    if address is None or os.path.exists(file) or address.netloc not in ("", "localhost"):
        return file
    return os.fsdecode(urllib.parse.unquote_to_bytes(address.path))


def base(file: str) -> str:
    """The last part of a path or of an address."""
    if not is_address(file):
        return Path(file).name
    address = urllib.parse.urlsplit(file)
    name = urllib.parse.unquote(address.path.rstrip("/").rpartition("/")[2])
    return name.replace("/", "_").replace("\0", "_") or address.hostname or "recording"


def extension(file: str) -> str:
    """The extension in lower case without its dot; empty if it is not that of a recording."""
    stem, dot, ending = base(file).rpartition(".")
    known = ending.lower() if stem and dot else ""
    return known if known in AUDIO_EXTENSIONS | VIDEO_EXTENSIONS else ""


def output_stem(file: str) -> str:
    """A result's file name without its extension."""
    if file == STDIN:
        return "stdin"
    name, ending = base(file), extension(file)
    return name[: -len(ending) - 1] if ending else name


def output_stems(
    files: Sequence[str], directory: Path, extensions: Sequence[str]
) -> tuple[list[str], list[str]]:
    """A stem for each of `files`, so that no result replaces another one or a recording.

    A stem that several would have gets the recording's extension, then a number. One that is too
    long for the file system is cut, and ends in a hash of the whole.

    Returns:
        The stems, and notes on those that are not `output_stem`.
    """
    inputs = {_key(os.path.realpath(file)) for file in files if file != STDIN}
    target = os.path.realpath(directory)
    plain = [output_stem(file) for file in files]
    counts = Counter(map(_key, plain))
    taken: set[str] = set()
    next_number = Counter[str]()  # of a name that many have, those before it are taken

    def is_free(stem: str) -> bool:
        paths = {_key(os.path.join(target, f"{stem}.{end}")) for end in extensions}
        return _key(stem) not in taken and not paths & inputs

    stems, notes = [], []
    for file, stem in zip(files, plain, strict=True):
        whole = stem if file == STDIN else base(file)
        first = [stem] if counts[_key(stem)] == 1 else []
        choices = chain(first, [whole], _numbered(whole, next_number))
        fitting = (fitted(choice, directory, extensions) for choice in choices)
        chosen = next(filter(is_free, fitting))
        taken.add(_key(chosen))
        stems.append(chosen)
        if chosen != stem:
            is_long = chosen == fitted(stem, directory, extensions)
            reason = "the name is too long" if is_long else f"`{shown(stem)}.*` is another file's"
            notes.append(f"{shown(file)}: is written as `{shown(chosen)}.*`, since {reason}")
    return stems, notes


def _numbered(name: str, next_number: Counter[str]) -> Iterator[str]:
    """`name` with one number after the other, from the first that was not tried before."""
    while True:
        next_number[name] += 1
        yield f"{name}-{next_number[name] + 1}"


def fitted(stem: str, directory: Path, extensions: Sequence[str]) -> str:
    """`stem`, or as much of it as leaves room for the longest of `extensions`, and a hash."""
    room = _max_name_bytes(directory) - max(len(end) for end in extensions) - 1
    name = os.fsencode(stem)
    if len(name) <= room:
        return stem
    digest = hashlib.sha256(name).hexdigest()[:_HASH_CHARS]
    return f"{_cut(name, room - _HASH_CHARS - 1)}~{digest}"


def temporary(path: Path, ending: str) -> Path:
    """A hidden name next to `path` that ends in `ending`, and fits."""
    room = _max_name_bytes(path.parent) - len(os.fsencode(ending)) - 1
    name = os.fsencode(path.name)
    if len(name) > room:
        digest = hashlib.sha256(name).hexdigest()[:_HASH_CHARS]
        return path.with_name(f".{_cut(name, room - _HASH_CHARS - 1)}~{digest}{ending}")
    return path.with_name(f".{path.name}{ending}")


def shown(name: str) -> str:
    """A file's name for people: what cannot be printed is escaped, as `ls -b` does."""
    text = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(
        char.encode("unicode_escape").decode()
        if char in "\n\t" or printable(char) != char
        else char
        for char in text
    )


def _cut(name: bytes, num_bytes: int) -> str:
    """The longest beginning of a name that fits the bytes, in whole characters."""
    text = os.fsdecode(name)
    while len(os.fsencode(text)) > num_bytes:
        excess = len(os.fsencode(text)) - num_bytes
        text = text[: -max(1, excess // 4)]
    while text and (unicodedata.combining(text[-1]) or text[-1] == "\u200d"):
        text = text[:-1]
    return text


def _max_name_bytes(directory: Path) -> int:
    """The longest name, in bytes, in the file system of `directory`, which need not exist."""
    directory = directory.absolute()
    existing = next((path for path in (directory, *directory.parents) if path.exists()), None)
    try:
        return os.pathconf(existing or os.curdir, "PC_NAME_MAX")
    except (AttributeError, OSError, ValueError):  # Windows has no pathconf
        return _MAX_NAME_BYTES


def _key(name: str) -> str:
    """The same for names that some file systems take for one: `Talk` and `talk`, `é` twice."""
    return unicodedata.normalize("NFC", name).casefold()
