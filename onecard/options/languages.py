"""Whisper's languages, by whatever tag, code or name people have for them."""

from __future__ import annotations

import difflib
import functools
from collections.abc import Sequence

import langcodes
from langcodes.tag_parser import LanguageTagError

from onecard.errors import InvalidRequest

# In the order of their tokens (openai/whisper, whisper/tokenizer.py); large-v3 alone has Cantonese.
_TOKENS = """
    en zh de es ru ko fr ja pt tr pl ca nl ar sv it id hi fi vi he uk el ms cs ro da hu ta no th ur
    hr bg lt la mi ml cy sk te fa lv bn sr az sl kn et mk br eu is hy ne mn bs kk sq sw gl mr pa si
    km sn yo so af oc ka be tg sd gu am yi lo uz fo ht ps tk nn mt sa lb my bo tl mg as tt haw ln ha
    ba jw su yue
"""
CODES = tuple(_TOKENS.split())
# Words for "find out yourself". `und` is ISO 639-2's undetermined, which many containers have.
_DETECT = {"", "auto", "autodetect", "auto-detect", "automatic", "detect", "none", "null", "und"}
# CLDR's distance up to which two tags are one language to a listener: other spellings (0), regions
# (5), Swiss and standard German (8), Arabic's and Chinese's varieties (10 to 14). From 20 on it
# says only which language its speakers read as well, which is good for a hint.
_SAME = 14
_RELATED = 40
# Cantonese is written as Taiwan writes Chinese, and `zh` alone stands for the mainland's script.
_OTHER_SCRIPT = 64
# Longer texts are no name of a language.
_MAX_CHARS = 60


def code(text: str | None) -> str | None:
    """Whisper's code of a language.

    Args:
        text: such as `de`, `DE`, `de-CH`, `de_DE.UTF-8`, `deu`, `ger`, `German`, `Deutsch`.

    Returns:
        One of CODES; None where the language is to be detected.

    Raises:
        InvalidRequest: a language that Whisper does not have, or none at all; the nearest is named.
    """
    if text is None:
        return None
    name = " ".join(text.split()).lower()
    if name in _DETECT:
        return None
    if name in CODES:
        return name
    return _found(name) if len(name) <= _MAX_CHARS else _refuse(name[:_MAX_CHARS] + "...")


def known(text: str) -> str:
    """The code of the language `text`; empty where it is none."""
    try:
        return code(text) or ""
    except InvalidRequest:
        return ""


def name(text: str) -> str:
    """The English name of the language `text`; empty where it is none."""
    found = known(text)
    return str(langcodes.Language.get(found).display_name()) if found else ""


@functools.lru_cache(maxsize=256)
def _found(name: str) -> str:
    """The code for a tag or a name in lower case."""
    tag = _tag(name) or _named(name)
    near = _nearest(tag, _SAME) if tag else None
    return near if near else _refuse(name, tag)


def _tag(name: str) -> str | None:
    """`de` for `de-CH` and `de_DE.UTF-8`, the form of POSIX locales; None for what is no tag."""
    tag = name.partition(".")[0].partition("@")[0].replace("_", "-")
    try:
        found = langcodes.Language.get(tag)
    except LanguageTagError:
        return None
    return found.language if found.is_valid() else None


def _named(name: str) -> str | None:
    """The tag of a language by its name in any language, with or without what qualifies it."""
    bare = name.partition("(")[0].strip()
    for part in (name, bare, bare.rpartition(" ")[2], bare.partition(" ")[0]):
        try:
            return langcodes.find(part).language
        except (LookupError, UnicodeError):  # the latter for lone surrogates
            continue
    return None


def nearest(code: str, known: Sequence[str]) -> str | None:
    """The known code whose speakers are most likely to read `code`; None if none is close."""
    tag = _tag(code)
    return _nearest(tag, _OTHER_SCRIPT, known) if tag else None


def _nearest(tag: str, max_distance: int, known: Sequence[str] = CODES) -> str | None:
    near, _ = langcodes.closest_match(tag, known, max_distance=max_distance)
    return None if near == "und" else str(near)


def _refuse(name: str, tag: str | None = None) -> str:
    near = _nearest(tag, _RELATED) if tag else _alike(name)
    known = ", ".join(sorted(CODES))
    raise InvalidRequest(
        f"option `language` is `{name}`, which Whisper does not have"
        + (f"; did you mean `{near}`?" if near else "")
        + f"; give one of {known}, or leave `language` out to have it detected"
    )


def _alike(name: str) -> str | None:
    """The code whose English name, or which itself, is spelt most like `name`."""
    names = {langcodes.Language.get(known).display_name().lower(): known for known in CODES}
    names |= {known: known for known in CODES}
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    return names[near[0]] if near else None
