"""HTML out of the compressed RTF of Outlook's emails (MS-OXRTFCP, MS-OXRTFEX)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from html import escape

from onecard_client._mailbox.mime.charsets import decoded

# The text of a mail is less; what is beyond is left out.
MAX_RTF_BYTES = 2_000_000
MAX_GROUPS = 1_000

_HEADER_SIZE = 16
# What the window of the compression begins with (MS-OXRTFCP, section 2.1.2.1).
_WINDOW = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern "
    b"\\fscript \\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0"
    b"\\blue0\r\n\\par \\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)
_WINDOW_SIZE = 4096
_TOKEN = re.compile(
    r"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])"
    r"|([{}])|[\r\n]+|([^\\{}\r\n]+)",
    re.DOTALL,
)
# What these hold is no text; so is what begins with `\*`, other than HTML's tags.
_NO_TEXT = {
    "fonttbl", "colortbl", "stylesheet", "info", "pict", "object", "header", "footer", "headerl",
    "headerr", "footerl", "footerr", "fldinst", "xe", "tc", "themedata", "listtable", "nonshppict",
}  # fmt: skip
_SIGNS = {
    "par": "\n", "line": "\n", "row": "\n", "sect": "\n", "page": "\n", "tab": "\t", "cell": "\t",
    "emdash": "\u2014", "endash": "\u2013", "bullet": "\u2022", "lquote": "\u2018",
    "rquote": "\u2019", "ldblquote": "\u201c", "rdblquote": "\u201d",
    "emspace": " ", "enspace": " ",
}  # fmt: skip
# Of `\fcharset` (RTF 1.9.1, font table).
_CHARSETS = {
    0: "cp1252", 77: "macintosh", 128: "cp932", 129: "cp949", 130: "cp1361", 134: "cp936",
    136: "cp950", 161: "cp1253", 162: "cp1254", 163: "cp1258", 177: "cp1255", 178: "cp1256",
    186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip


@dataclass(frozen=True)
class _State:
    """The state that the end of a group restores."""

    is_skipped: bool = False
    is_tag: bool = False  # of HTML
    is_only_rtf: bool = False  # beside the HTML, for programs that read none
    is_hidden: bool = False
    is_fonts: bool = False
    num_fallbacks: int = 1  # letters behind `\u8364`, for programs without Unicode
    charset: str = ""


@dataclass
class _Reading:
    charset: str = "cp1252"
    is_html: bool = False
    font: int = 0
    fonts: dict[int, str] = field(default_factory=dict)
    pieces: list[str] = field(default_factory=list)
    pending: bytearray = field(default_factory=bytearray)  # bytes of `\'xx`, which may be halves
    num_to_skip: int = 0


def html_of_rtf(compressed: bytes) -> str:
    """The HTML within, or HTML made of the text; empty if it cannot be read. Never raises."""
    rtf = decompressed(compressed)
    return _html(rtf.decode("latin-1")) if rtf.lstrip()[:5] == b"{\\rtf" else ""


def decompressed(content: bytes) -> bytes:
    """The RTF, as far as it goes; sizes and checksum are not looked at."""
    kind = content[8:12]
    if kind == b"MELA":
        return content[_HEADER_SIZE : _HEADER_SIZE + MAX_RTF_BYTES]
    if kind != b"LZFu":
        return b""
    window = bytearray(_WINDOW.ljust(_WINDOW_SIZE))
    out = bytearray()
    at, position = len(_WINDOW), _HEADER_SIZE
    while position < len(content) and len(out) < MAX_RTF_BYTES:
        flags = content[position]
        position += 1
        for bit in range(8):
            is_reference = flags >> bit & 1
            piece = content[position : position + 1 + is_reference]
            if len(piece) <= is_reference:
                return bytes(out)
            position += len(piece)
            start, length = 0, 1
            if is_reference:
                start, length = (piece[0] << 8 | piece[1]) >> 4, (piece[1] & 0xF) + 2
                if start == at:
                    return bytes(out)
            for step in range(length):
                byte = window[(start + step) % _WINDOW_SIZE] if is_reference else piece[0]
                window[at] = byte
                at = (at + 1) % _WINDOW_SIZE
                out.append(byte)
    return bytes(out)


def _html(rtf: str) -> str:
    reading = _Reading()
    states = [_State()]
    position = 0
    while match := _TOKEN.match(rtf, position):
        position = match.end()
        word, number, code, sign, brace, text = match.groups()
        if code:
            _add_byte(reading, int(code, 16))
            continue
        _flush(reading, states[-1])
        if brace:
            _turn(reading, states, brace)
        elif word == "bin":
            position += max(0, int(number or 0))
        elif word:
            states[-1] = _after_word(reading, states[-1], word, int(number) if number else None)
        elif sign:
            states[-1] = _after_sign(reading, states[-1], sign)
        elif text:
            _add_text(reading, states[-1], text)
    _flush(reading, states[-1])
    html = "".join(reading.pieces).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return html if reading.is_html else f"<pre>{html}</pre>"


def _turn(reading: _Reading, states: list[_State], brace: str) -> None:
    reading.num_to_skip = 0
    if brace == "{" and len(states) < MAX_GROUPS:
        states.append(states[-1])
    elif brace == "}" and len(states) > 1:
        states.pop()


def _after_word(reading: _Reading, state: _State, word: str, number: int | None) -> _State:
    if word in ("ansicpg", "fromhtml"):
        if word == "fromhtml":
            reading.is_html = True
        elif number:
            reading.charset = f"cp{number}" if number != 65001 else "utf-8"
    elif word == "htmltag":
        return replace(state, is_skipped=False, is_tag=True)
    elif word in _NO_TEXT:
        return replace(state, is_skipped=True, is_fonts=word == "fonttbl")
    elif word == "htmlrtf":
        return replace(state, is_only_rtf=number != 0)
    elif word == "v":
        return replace(state, is_hidden=number != 0)
    elif word == "uc":
        return replace(state, num_fallbacks=min(max(number or 0, 0), 10))
    elif word == "u" and number is not None:
        _add_unicode(reading, state, number)
    elif word in ("f", "fcharset"):
        return _after_font(reading, state, word, number or 0)
    elif word == "plain":
        return replace(state, is_hidden=False)
    elif word in _SIGNS:
        _add(reading, state, _SIGNS[word])
    return state


def _after_font(reading: _Reading, state: _State, word: str, number: int) -> _State:
    if word == "f":
        reading.font = number
        return state if state.is_fonts else replace(state, charset=reading.fonts.get(number, ""))
    if state.is_fonts and len(reading.fonts) < MAX_GROUPS and number in _CHARSETS:
        # 0 is the charset of Western Windows, and what is written where the writer did not care
        reading.fonts[reading.font] = _CHARSETS[number] if number else ""
    return state


def _after_sign(reading: _Reading, state: _State, sign: str) -> _State:
    if sign == "*":
        return replace(state, is_skipped=True)
    shown = {"~": "\u00a0", "_": "-", "-": "", "\n": "\n", "\r": "\n"}.get(sign, sign)
    _add(reading, state, shown)
    return state


def _add_byte(reading: _Reading, byte: int) -> None:
    if reading.num_to_skip:
        reading.num_to_skip -= 1
    else:
        reading.pending.append(byte)


def _add_text(reading: _Reading, state: _State, text: str) -> None:
    skipped = min(reading.num_to_skip, len(text))
    reading.num_to_skip -= skipped
    text = text[skipped:]
    if text and not text.isascii():  # bytes that should have been written as `\'xx`
        text = decoded(text.encode("latin-1"), state.charset or reading.charset)
    _add(reading, state, text)


def _add_unicode(reading: _Reading, state: _State, number: int) -> None:
    _add(reading, state, chr(number % 0x10000))  # of UTF-16, so it may be half of a character
    reading.num_to_skip = state.num_fallbacks


def _flush(reading: _Reading, state: _State) -> None:
    if reading.pending:
        _add(reading, state, decoded(bytes(reading.pending), state.charset or reading.charset))
        reading.pending.clear()


def _add(reading: _Reading, state: _State, text: str) -> None:
    if not text or state.is_skipped or state.is_only_rtf:
        return
    if reading.is_html:
        text = text if state.is_tag or text.isspace() else escape(text, quote=False)
    else:
        text = escape(text, quote=False)
        text = f"<span hidden>{text}</span>" if state.is_hidden else text
    reading.pieces.append(text)
