"""Lines of a file of verdicts: the email of each, what it was judged on, its place in the file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from onecard_client.mail import Email
from onecard_client.triage import Verdict

# The one key of a line that the server did not send.
INPUT = "input"
# 128 bits of SHA-256: nobody finds a second mail for them.
DIGEST_CHARACTERS = 32
MAX_LINE_BYTES = 2**24
_BEGINNING = b'{"id":'

# The mail's id, and what it was judged on; that is empty in a line of an older onecard.
Key = tuple[str, str]


class NotVerdicts(ValueError):
    """A file holds something else than verdicts, and is left as it is."""


@dataclass(frozen=True)
class Place:
    """A line in a file: where it begins, and its length with the line feed if it has one."""

    start: int
    num_bytes: int


@dataclass
class Scan:
    """The verdicts in a file.

    Attributes:
        places: where they stand; of lines with the same key the last one.
        num_lines: how many lines are verdicts.
        num_damaged: how many lines a crash or a full disk left behind, torn or zeroed.
        num_bytes: up to the end of the last line that is no torn one.
    """

    places: dict[Key, Place] = field(default_factory=dict)
    num_lines: int = 0
    num_damaged: int = 0
    num_bytes: int = 0

    @property
    def is_clean(self) -> bool:
        """Whether each line is a verdict, and none takes another's place."""
        return not self.num_damaged and self.num_lines == len(self.places)


def fingerprint(email: Email, options: Mapping[str, Any]) -> str:
    """A hash of what a verdict rests on: the email without its id, and the request's options."""
    mail = {name: item for name, item in email.to_dict().items() if name != "id"}
    document = json.dumps([mail, dict(options)], sort_keys=True)
    return "sha256:" + hashlib.sha256(document.encode()).hexdigest()[:DIGEST_CHARACTERS]


def line_of(verdict: Verdict, judged_input: str) -> bytes:
    """The verdict as the server sent it, and what it rests on; one line of UTF-8."""
    document = {**verdict.to_dict(), INPUT: judged_input}
    # a lone surrogate, which JSON allows and UTF-8 does not, becomes `?`
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def scan(path: Path) -> Scan:
    """The verdicts in the file at `path`; none where there is no file.

    Raises:
        NotVerdicts: a line is something else.
        OSError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            return _scan(file, path)
    except FileNotFoundError:
        return Scan()


def _scan(file: BinaryIO, path: Path) -> Scan:
    found = Scan()
    for number, (start, line) in enumerate(_lines(file), start=1):
        key = _key(line)
        if key is not None:
            found.places[key] = Place(start, len(line))
            found.num_lines += 1
        elif _is_damage(line):
            found.num_damaged += 1
        elif line.strip():
            raise NotVerdicts(
                f"line {number} of `{path}` is `{_excerpt(line)}`, must be a verdict as this "
                "command writes it; move the file away, or name another one for the output"
            )
        if key is not None or line.endswith(b"\n"):
            found.num_bytes = start + len(line)
    return found


def _lines(file: BinaryIO) -> Iterator[tuple[int, bytes]]:
    start = 0
    while line := file.readline(MAX_LINE_BYTES):
        yield start, line
        start += len(line)


def _key(line: bytes) -> Key | None:
    """None for what is no verdict."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    mail_id, judged_input = document.get("id"), document.get(INPUT, "")
    if not isinstance(mail_id, str) or not isinstance(document.get("category"), str):
        return None
    return mail_id, judged_input if isinstance(judged_input, str) else ""


def _is_damage(line: bytes) -> bool:
    """Whether a verdict was torn: by a full disk, or by a power cut, which can leave zeros.

    The file system then knew the file's new length and had not written what stands there
    (https://xfs.org/index.php/XFS_FAQ, "Why do I see binary NULLS in some files after recovery").
    """
    if line.startswith(b"\0"):
        return True
    text = line.strip()
    try:
        json.loads(text)
        return False
    except (ValueError, RecursionError):
        return bool(text) and (text.startswith(_BEGINNING) or _BEGINNING.startswith(text))


def _excerpt(line: bytes) -> str:
    text = line[:200].decode("utf-8", "replace").strip()
    return text if len(text) <= 60 else text[:57] + "..."
