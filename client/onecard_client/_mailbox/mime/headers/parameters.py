"""A header of the form `value; name=value`, such as Content-Type, as real emails write it.

RFC 2231's continued and encoded parameters are read, and what lacks its quotes or semicolons.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from onecard_client._mailbox.mime.charsets import decoded
from onecard_client._mailbox.mime.headers.words import header_text

MAX_BYTES = 16_000  # of one header
MAX_PARAMETERS = 200

_VALUE = re.compile(r"[\s\"'<]*([\w.+-]+)(?:\s*[/\\]\s*([\w.+-]+))?")
_SEPARATORS = re.compile(r"[\s;,:\"]*")
_NAME = re.compile(r"([A-Za-z][\w.-]*)(?:\*(\d{1,3}))?(\*)?\s*=\s*")
_KNOWN = (
    "(?:charset|name|filename|boundary|format|delsp|size|type|method|component|creation-date|"
    "modification-date|read-date|reply-type|report-type|protocol|micalg|smime-type)"
)
# A quote ends a value where something new follows; else it is one of the name's own.
_QUOTED = re.compile(
    rf'"(.*?)(?<!\\)"(?=\s*(?:;|$)|\s+\(|[\s,]*{_KNOWN}\*?\d*\*?\s*=)', re.S | re.I
)
_BARE = re.compile(rf"(.*?)(?=;|$|\s+{_KNOWN}\*?\d*\*?\s*=)", re.DOTALL | re.IGNORECASE)
_ESCAPED = re.compile(r'\\(["\\])')
_CHARSET = re.compile(r"([\w.:+-]*)'([\w-]*)'(.*)", re.DOTALL)


@dataclass
class Parameters:
    """The value and the parameters of a header.

    Attributes:
        value: before the first semicolon, in lower case, such as `text/plain`.
        texts: every value of each parameter, in order; by name in lower case.
    """

    value: str = ""
    texts: dict[str, list[str]] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """The first value of a parameter; empty if there is none."""
        return next(iter(self.texts.get(name, ())), "")


@dataclass(frozen=True)
class _Piece:
    name: str
    section: int | None
    is_encoded: bool
    text: str


def parse(header: bytes, *hints: str) -> Parameters:
    """The parameters of a header. Never raises.

    Args:
        hints: charsets for raw 8-bit names.
    """
    text = header[:MAX_BYTES].decode("latin-1").replace("\r", "").replace("\n", "")
    match = _VALUE.match(text)
    if match is None or text[match.end() :].lstrip().startswith("="):  # it begins with a parameter
        return Parameters("", _texts(_pieces(text), hints))
    value = f"{match[1]}/{match[2]}" if match[2] else match[1]
    return Parameters(value.lower(), _texts(_pieces(text[match.end() :]), hints))


def _pieces(text: str) -> list[_Piece]:
    pieces: list[_Piece] = []
    at = 0
    while at < len(text) and len(pieces) < MAX_PARAMETERS:
        begin = _SEPARATORS.match(text, at)
        match = _NAME.match(text, begin.end() if begin else at)
        if match is None:
            following = text.find(";", at + 1)
            rest = text[at : following if following >= 0 else len(text)]
            if rest.strip(" ;\t") and pieces and pieces[-1].name in ("name", "filename"):
                last = pieces.pop()  # a name with a semicolon in it, and no quotes around
                pieces.append(_Piece(last.name, last.section, last.is_encoded, last.text + rest))
            at = max(at + max(1, len(rest)), begin.end() if begin else 0)
            continue
        value, at = _value(text, match.end())
        section = int(match[2]) if match[2] else None
        pieces.append(_Piece(match[1].lower(), section, bool(match[3]), value))
    return pieces


def _value(text: str, at: int) -> tuple[str, int]:
    """A parameter's value that begins at `at`, and where it ends."""
    if text.startswith('"', at):
        match = _QUOTED.match(text, at)
        if match:
            return _ESCAPED.sub(r"\1", match[1]), match.end()
    match = _BARE.match(text, at)
    bare = match[1].strip() if match else ""
    end = match.end() if match else len(text)
    if bare.startswith("'") and bare.endswith("'") and len(bare) > 1 and bare.count("'") == 2:
        bare = bare[1:-1]
    return bare.strip('"'), end


def _texts(pieces: list[_Piece], hints: tuple[str, ...]) -> dict[str, list[str]]:
    texts: dict[str, list[str]] = {}
    continued: dict[str, list[_Piece]] = {}
    for piece in pieces:
        if piece.section is not None or piece.is_encoded:
            continued.setdefault(piece.name, []).append(piece)
        else:
            texts.setdefault(piece.name, []).append(_plain(piece.text, hints))
    for name, sections in continued.items():  # RFC 6266, 4.3: the extended one is preferred
        texts.setdefault(name, []).insert(0, _joined(sections, hints))
    return texts


def _plain(text: str, hints: tuple[str, ...]) -> str:
    return header_text(text.encode("latin-1"), *hints)


def _joined(sections: list[_Piece], hints: tuple[str, ...]) -> str:
    """Sections of one parameter: percent signs undone before the charset is."""
    ordered = sorted(sections, key=lambda piece: piece.section or 0)
    charset = ""
    contents = []
    for index, piece in enumerate(ordered):
        text = piece.text
        match = _CHARSET.match(text) if index == 0 and piece.is_encoded else None
        if match:
            charset, text = match[1], match[3]
        raw = text.encode("latin-1")
        contents.append(unquote_to_bytes(raw) if piece.is_encoded else raw)
    content = b"".join(contents)
    if b"=?" in content:
        return header_text(content, *hints)
    return header_text(decoded(content, charset, *hints).encode())
