"""A caller's key: only its hash is kept.

One SHA-256 is enough for that. Slow hashes protect passwords, which can be guessed; a key here is
256 random bits, which nobody guesses at any speed.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

SPEECH, TEXT, ADMIN = "speech", "text", "admin"
SCOPES = (SPEECH, TEXT, ADMIN)
DEFAULT_SCOPES = (SPEECH, TEXT)
# Some applications look for OpenAI's first letters, and so do those who search for leaked keys.
_PREFIX = "sk-onecard-"
_NUM_BYTES = 32
_NAME = re.compile(r"[\w.@-]{1,64}", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MEMBERS = ("name", "sha256", "scopes", "limits", "created")


class KeysError(ValueError):
    """A file of keys that cannot be read or written, or a key that cannot be."""


@dataclass(frozen=True)
class Limits:
    """How much a key may do; None for as much as the server can.

    Raises KeysError for what is no number above 0.
    """

    requests_a_minute: int | None = None
    streams: int | None = None  # recordings and chats under way at a time
    audio_seconds_a_day: float | None = None

    def __post_init__(self) -> None:
        for name, value in self.given().items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not is_number or not 0 < value < float("inf"):
                raise KeysError(f"the limit `{name}` is `{value}`, must be a number above 0")

    def given(self) -> dict[str, float]:
        """Those that there are."""
        return {name: value for name, value in asdict(self).items() if value is not None}


LIMITS = tuple(one.name for one in fields(Limits))


@dataclass(frozen=True)
class Key:
    """A key in the file.

    Raises KeysError for a name or scope that cannot be.
    """

    name: str
    sha256: str  # of the key, in hexadecimal digits
    scopes: tuple[str, ...] = DEFAULT_SCOPES
    limits: Limits = field(default_factory=Limits)
    created: str = ""  # the date

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not _NAME.fullmatch(self.name):
            raise KeysError(
                f"the name of a key is `{str(self.name)[:80]}`, must be 1 to 64 letters, digits, "
                "`.`, `_`, `-` or `@`; choose another one"
            )
        if not isinstance(self.sha256, str) or not _DIGEST.fullmatch(self.sha256):
            raise KeysError(f"the key `{self.name}` has no SHA-256 in `sha256`; add it anew")
        unknown = [scope for scope in self.scopes if scope not in SCOPES]
        if unknown or not self.scopes:
            raise KeysError(
                f"the scopes of the key `{self.name}` are `{', '.join(map(str, self.scopes))}`, "
                f"must be some of {', '.join(SCOPES)}; correct them"
            )

    def document(self) -> dict[str, Any]:
        """What the file has of it."""
        return {
            "name": self.name,
            "sha256": self.sha256,
            "scopes": list(self.scopes),
            "limits": self.limits.given(),
            "created": self.created,
        }


def made() -> str:
    """A new key, with 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(_NUM_BYTES)


def digest(text: str) -> str:
    """The hash of a key, or of what was sent as one."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def from_document(document: Any) -> Key:
    """A key of the file. Raises KeysError for members that it cannot have."""
    if not isinstance(document, Mapping):
        raise KeysError("a key is no object; add it anew")
    name = str(document.get("name"))[:80]
    scopes, limits = document.get("scopes", DEFAULT_SCOPES), document.get("limits", {})
    _verify_members(f"the key `{name}`", document, _MEMBERS)
    if not isinstance(limits, Mapping) or not isinstance(scopes, list | tuple):
        raise KeysError(f"the key `{name}` has scopes or limits of another type; add it anew")
    _verify_members(f"`limits` of the key `{name}`", limits, LIMITS)
    return Key(
        name=document.get("name", ""),
        sha256=document.get("sha256", ""),
        scopes=tuple(scopes),
        limits=Limits(**limits),
        created=str(document.get("created", "")),
    )


def _verify_members(what: str, document: Mapping[str, Any], allowed: tuple[str, ...]) -> None:
    """A limit that is misspelt would be none."""
    for name in document:
        if name not in allowed:
            raise KeysError(
                f"{what} has `{str(name)[:80]}`, must have {', '.join(allowed)}; correct it"
            )
