"""Decodes bytes of any charset to text, for headers, file names and bodies alike."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from functools import lru_cache

import webencodings  # type: ignore[import-untyped]

from onecard_client._mailbox.mime.bounds import sound
from onecard_client._mailbox.mime.charsets import iso_2022_jp
from onecard_client._mailbox.mime.charsets.detection import codec_of_bytes

# Decodings that are right but for so much are kept; others are read as another charset.
MAX_WRONG_SHARE = 0.2

# Longer ones first: UTF-32's mark begins with UTF-16's.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# Labels that mails use and WHATWG's table lacks, or refuses for the sake of browsers
# (https://encoding.spec.whatwg.org/#names-and-labels: ISO-2022-KR and HZ are `replacement` there).
_LABELS_OF_CODECS = {
    "gb18030": "gb2312 gbk x-gbk csgb2312 gb_2312 gb_2312-80 gb18030 chinese cp936 ms936 936 "
    "x-euc-cn euc-cn cn-gb x-cn-gb x-mac-chinesesimp",
    "hz": "hz hz-gb-2312",
    "iso2022_kr": "iso-2022-kr csiso2022kr",
    "cp949": "cp949 uhc x-windows-949 ks_c_5601 euc_kr x-mac-korean",
    "johab": "x-johab",
    "big5hkscs": "big5-hkscs",
    "cp950": "cp950 x-windows-950 cn-big5 x-mac-chinesetrad",
    "iso-2022-jp": "iso-2022-jp iso-2022-jp-1 iso-2022-jp-2 iso-2022-jp-3 iso-2022-jp-ms "
    "csiso2022jp iso2022jp cp50220 cp50221 cp50222 jis jis7",
    "euc_jp": "cp51932 eucjp eucjp-ms eucjp-win",
    "cp932": "cp932 sjis-win cp943 x-mac-japanese",
    "utf-7": "utf-7 unicode-1-1-utf-7 x-unicode-2-0-utf-7 utf-7-imap",
    "utf-16": "utf-16 ucs-2 iso-10646-ucs-2 unicode",
    "utf-32": "utf-32 ucs-4",
    "mac-latin2": "x-mac-ce x-mac-centraleurroman",
    "mac-greek": "x-mac-greek",
    "mac-turkish": "x-mac-turkish",
    "mac-iceland": "x-mac-icelandic",
    "mac-romanian": "x-mac-romanian",
    "mac-croatian": "x-mac-croatian",
    "mac-arabic": "x-mac-arabic",
}
_LABELS = {label: codec for codec, labels in _LABELS_OF_CODECS.items() for label in labels.split()}
# These say nothing: bytes beyond ASCII under them are of a charset that nobody named. The last
# are Python's, and no charsets of mails: decoding punycode takes a time with the square of length.
_NO_CHARSETS = {
    "",
    *[
        "us-ascii",
        "ascii",
        "ansi_x3.4-1968",
        "ansi_x3.110-1983",
        "iso646-us",
        "unknown-8bit",
        "x-unknown",
    ],
    *[
        "unknown",
        "default",
        "default_charset",
        "x-user-defined",
        "binary",
        "8bit",
        "7bit",
        "none",
        "null",
        "utf",
        "ansi",
    ],
    *["_autodetect", "_autodetect_all", "charset", "idna", "punycode", "undefined", "mbcs", "oem"],
    *["raw-unicode-escape", "raw_unicode_escape", "unicode-escape", "unicode_escape"],
}
_FAMILIES = (
    (r"(?:x-)?(?:cs)?iso[-_ ]?(?:ir[-_ ]?)?(?:8859|8559|8858)[-_ ]?(\d\d?)\b.*", "iso-8859-{}{}"),
    (r"8859[-_ ]?(\d\d?)", "iso-8859-{}{}"),
    (r"(?:x-)?(?:ms-?|microsoft-?)?(?:win|windows|cp|ansi)[-_ ]*(125\d|874)", "windows-{}{}"),
    (r"(125\d)", "windows-{}{}"),
    (r"(?:x-)?(?:cs)?(?:ms-?)?(?:cp|ibm|dos|windows|win|oem|pc)[-_ ]*0*(\d{3,5})", "cp{}{}"),
    (r"(?:x-)?(?:unicode-\d-\d-)?utf[-_ ]?8.*", "utf-8"),
    (r"(?:x-)?utf[-_ ]?(16|32)[-_ ]?([lb]e)?", "utf-{}{}"),
    (r"(?:x-)?(?:koi8|koi)[-_ ]?([ru])u?", "koi8-{}{}"),
)
_PATTERNS = tuple((re.compile(pattern), form) for pattern, form in _FAMILIES)
_STATEFUL = ("utf-7", "hz", "iso-2022-jp", "iso2022_kr", "utf-16", "utf-32")
_KOREAN_ESCAPE = b"\x1b$)C"
_JAPANESE_ESCAPE = re.compile(rb"\x1b(?:\$[@B]|\$\([@BDOPQ]|\([IJ])")
# Single bytes: whatever is in them decodes, so UTF-8 is tried first.
_LATIN = re.compile(r"cp125\d|iso8859-\d+|iso-8859-\d+|mac-\w+|cp\d{3}|koi8-\w|cp87\d")


@lru_cache(maxsize=512)
def codec_of_label(label: str) -> str:
    """Python's codec for a charset's name as mails write it; empty if there is none.

    `iso-2022-jp`, `utf-16` and `utf-32` stand for themselves: `decoded` reads them in its own way.
    """
    spelt = re.sub(r"^\s*charset=|\(.*", "", label[:80].lower()).strip(" \t\r\n\"'<>;,=:*")
    for name in (spelt, spelt.removeprefix("x-"), spelt.replace("_", "-"), spelt.replace(" ", "-")):
        codec = _codec(name) or _codec(_in_family(name))
        if codec or name in _NO_CHARSETS:
            return codec
    first = spelt.split()[0] if spelt.split() else ""
    return codec_of_label(first) if first != spelt else ""


def _in_family(name: str) -> str:
    for pattern, form in _PATTERNS:
        match = pattern.fullmatch(name)
        if match:
            number, order = (*(group or "" for group in match.groups()), "", "")[:2]
            return form.format(number, f"-{order}" if order else "")
    return ""


def _codec(name: str) -> str:
    if name in _NO_CHARSETS:
        return ""
    if name in _LABELS:
        return _LABELS[name]
    try:
        codec = codecs.lookup(name).name
        b"a".decode(codec, "replace")
    except (LookupError, ValueError):  # also a codec that makes no text, such as hex
        codec = ""
    encoding = webencodings.lookup(name) or webencodings.lookup(codec)
    if encoding is not None and encoding.name not in ("replacement", "x-user-defined"):
        return str(encoding.codec_info.name)
    return "" if codec in _NO_CHARSETS else _LABELS.get(codec, codec)


def decoded(content: bytes, declared: str = "", *hints: str) -> str:
    """The text of `content`, whatever it says it is. Never raises.

    Args:
        declared: the charset that it names, if it names one.
        hints: charsets that the same mail names elsewhere, in the order of their worth.
    """
    for mark, codec in _MARKS:
        if content.startswith(mark) and (codec == "utf-8" or len(content) % 2 == 0):
            return sound(content[len(mark) :].decode(codec, "replace"))
    codec = _by_escapes(content) or codec_of_label(declared)
    if content.isascii() and not codec.startswith(_STATEFUL):
        return sound(content.decode("ascii"))
    for candidate in _candidates(content, codec, hints):
        try:
            return sound(_decode(content, candidate, "strict"))
        except (UnicodeError, LookupError):
            continue
    return sound(_nearest(content, codec))


def _by_escapes(content: bytes) -> str:
    """ISO 2022 in 7-bit text: nothing else has its escapes."""
    if b"\x1b" not in content or not content.isascii():
        return ""
    if _KOREAN_ESCAPE in content:
        return "iso2022_kr"
    return "iso-2022-jp" if _JAPANESE_ESCAPE.search(content) else ""


def _candidates(content: bytes, codec: str, hints: tuple[str, ...]) -> Iterator[str]:
    """The charsets to try in order, strictly; what decodes as UTF-8 is rarely anything else."""
    if codec.startswith(("utf-16", "utf-32")) and b"\0" not in content:
        codec = "utf-8" if content.isascii() else codec
    if not codec or _LATIN.fullmatch(codec):
        yield "utf-8"
    if codec:
        yield codec
    if (
        codec == "iso-2022-jp"
    ):  # its 8-bit sisters, as old Japanese programs send them under its name
        yield from ("utf-8", "cp932", "euc_jp")
    if not codec and content[:2000].count(0) > len(content[:2000]) / 5:
        yield "utf-16"
    if not codec:
        yield from (hint for hint in map(codec_of_label, hints) if hint)
    yield "utf-8"


def _nearest(content: bytes, codec: str) -> str:
    """A reading of bytes that no candidate takes as they are."""
    if _LATIN.fullmatch(codec):  # a byte or two that it has no letter for
        return _decode(content, codec, "replace")
    for name in dict.fromkeys((codec, "utf-8")):
        if name:
            text = _decode(content, name, "replace")
            # a wrong byte is one of those beyond ASCII, in most charsets
            num_high = sum(letter > "\x7f" for letter in text) or 1
            if text.count("\ufffd") / num_high <= MAX_WRONG_SHARE:
                return text
    likely = codec_of_bytes(content[:200_000]) or "cp1252"
    return _decode(content, likely, "replace")


def _decode(content: bytes, codec: str, errors: str) -> str:
    if codec == "iso-2022-jp":
        return iso_2022_jp.decoded(content, errors)
    if codec == "utf-16":
        sample = content[:2000]
        codec = "utf-16-be" if sample[::2].count(0) > sample[1::2].count(0) else "utf-16-le"
    elif codec == "utf-32":
        codec = "utf-32-be" if content[:1] == b"\0" else "utf-32-le"
    return content.decode(codec, errors)
