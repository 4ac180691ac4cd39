"""The documents in a text of JSON: one, a list, one on each line, or one after another."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from onecard_client._mailbox.mime import NotAMail
from onecard_client._mailbox.sources.files import Tell
from onecard_client._mailbox.sources.window import Window

# A list is read whole; one mail on each line is not.
MAX_WHOLE_BYTES = 1 << 30
_MAX_DIGITS = 18
_PIECE_CHARACTERS = 1 << 15
# An escape may be cut in two at the end of a piece.
_CUT_CHARACTERS = 20
# What giving up on a deep document costs, in letters of others.
_DEEP_COST = 5_000
_MAX_PEEKED_BYTES = 1 << 24

# What stands between documents; RS is RFC 7464's.
_BETWEEN = re.compile(r"[\s,;\x1e]*")
# The beginning of a list that is not whole: its elements may be.
_LIST = re.compile(
    r'\[|\{[^{}\[\]]{0,2000}?"(?:value|messages|emails|mails|items|data|results|list)"\s*:\s*\['
)
_FIRST_KEY = re.compile(r'\{\s*("[^"\\]{0,100}")')
_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|[{}\[\]]', re.DOTALL)

_Failure = (ValueError, RecursionError)


def _whole(digits: str) -> int | str:
    """Numbers are ids and dates here; to make one of a million digits takes minutes."""
    return int(digits) if len(digits) <= _MAX_DIGITS else digits


def _decoder(*, strict: bool) -> json.JSONDecoder:
    # NaN is what pandas writes for a value that is missing
    return json.JSONDecoder(
        parse_int=_whole, parse_float=str, parse_constant=lambda _: None, strict=strict
    )


_STRICT = _decoder(strict=True)
_LENIENT = _decoder(strict=False)  # line ends and tabs in texts, as they are


class Documents:
    """The documents in a window, in order.

    Args:
        name: of the file, for reports.
    """

    def __init__(self, window: Window, name: str, tell: Tell) -> None:
        self._window = window
        self._name = name
        self._tell = tell
        self._line = 0
        self._held = ""  # the only thing to be said so far
        self._num_documents = self._num_problems = 0

    def __iter__(self) -> Iterator[Any]:
        """Yields the documents; a line or document that is not JSON is reported and skipped.

        Raises:
            NotAMail: nothing in it is JSON.
        """
        for document in self._documents():
            self._release()
            self._num_documents += 1
            yield document
        if self._held:
            raise NotAMail(
                f"is not JSON ({self._held.partition('(')[2].rpartition(')')[0]}), must be a "
                "list of mails, or one mail on each line"
            )

    def _documents(self) -> Iterator[Any]:
        while self._window.ensure(1):
            raw = self._next_line()
            self._line += 1
            text = _decoded(raw)
            position = _skipped(text, 0)
            while position < len(text):
                try:
                    document, position = _any_decoded(text, position)
                except _Failure:
                    broken = text[position:]
                    if self._goes_on(broken):
                        broken += _decoded(self._window.read(MAX_WHOLE_BYTES))
                    yield from _wholly_decoded(broken) or self._recovered(broken)
                    break
                yield document
                position = _skipped(text, position)

    def _next_line(self) -> bytes:
        data = self._window.data
        position = 0
        while (at := data.find(b"\n", position)) < 0 and len(data) < MAX_WHOLE_BYTES:
            position = len(data)
            if not self._window.grow():
                break
        return self._window.take(at + 1 if at >= 0 else len(data))

    def _goes_on(self, broken: str) -> bool:
        """A document that goes on in the next line, or a list; and not a line that is cut off."""
        if not broken.startswith(("{", "[")):
            return False
        if _LIST.match(broken):
            return True
        following = self._peeked()
        if not following:
            return False
        is_within = broken.rstrip().endswith(("{", "[", ",", ":"))
        return is_within or not _is_document(following)

    def _peeked(self) -> str:
        """The next line that has something, without reading it."""
        window = self._window
        end = 0
        while end < _MAX_PEEKED_BYTES:
            start, end = end, window.line_end(end, _MAX_PEEKED_BYTES)
            if start == end:
                break
            text = bytes(window.data[start:end]).strip()
            if text:
                return _decoded(text).rstrip(",")
        return ""

    def _recovered(self, text: str) -> Iterator[Any]:
        """The readable documents of several, or of a list that is broken somewhere."""
        position = counted = 0
        num_wasted = 0
        is_in_list = False
        unfinished: Exception | None = None
        while (position := _skipped(text, position)) < len(text):
            if is_in_list and text[position] in "]}":
                is_in_list, position = False, _next_start(text, position)
                continue
            # what fails at its far end is not tried from each of its lines
            is_wary = num_wasted > 2 * len(text)
            try:
                document, position = _decoded_at(text, position, is_wary=is_wary)
                yield document
                continue
            except _Failure as error:
                num_wasted += _DEEP_COST * _is_deep(error) + _cost(error)
                problem = error
            start = None if is_in_list or _is_deep(problem) else _LIST.match(text, position)
            if start is not None:
                is_in_list, unfinished, position = True, problem, start.end()
                continue
            self._line += text.count("\n", counted, position)
            counted = position
            self._report(self._line, problem)
            position = _next_start(text, position)
        if unfinished is not None and not self._num_problems:
            self._report(self._line, unfinished)

    def _report(self, line: int, error: Exception) -> None:
        why = "it is nested too deeply" if _is_deep(error) else getattr(error, "msg", str(error))
        self._release()
        problem = f"{self._name}: line {line} is not JSON ({why}), must be one mail"
        if self._num_problems + self._num_documents:
            self._tell.report(problem)
        else:
            self._held = problem
        self._num_problems += 1

    def _release(self) -> None:
        if self._held:
            self._tell.report(self._held)
        self._held = ""


def _cost(error: Exception) -> int:
    """How many letters were gone through in vain."""
    return error.pos if isinstance(error, json.JSONDecodeError) else 0


def _is_deep(error: Exception) -> bool:
    return isinstance(error, RecursionError)


def _any_decoded(line: str, position: int) -> tuple[Any, int]:
    try:
        return _STRICT.raw_decode(line, position)
    except ValueError:
        return _LENIENT.raw_decode(line, position)


def _wholly_decoded(text: str) -> list[Any]:
    """The one document that a text is, with line ends within its texts; else nothing."""
    try:
        document, end = _LENIENT.raw_decode(text)
    except _Failure:
        return []
    return [document] if _skipped(text, end) == len(text) else []


def _decoded_at(text: str, position: int, *, is_wary: bool) -> tuple[Any, int]:
    """The document at `position`; a wary look goes no further than its line.

    A piece is tried first, because an error counts the lines from the beginning of what is decoded.
    """
    end = _line_end(text, position) if is_wary else position + _PIECE_CHARACTERS
    piece = text[position:end]
    try:
        document, length = _STRICT.raw_decode(piece)
        if length < len(piece) or is_wary or end >= len(text):
            return document, position + length
    except json.JSONDecodeError as error:
        is_cut = error.pos > len(piece) - _CUT_CHARACTERS or error.msg.startswith("Unterminated")
        if is_wary or end >= len(text) or not is_cut:
            raise
    return _STRICT.raw_decode(text, position)


def _is_document(line: str) -> bool:
    try:
        _, end = _STRICT.raw_decode(line)
    except _Failure:
        return False
    return line.startswith(("{", "[")) and not line[end:].strip()


def _skipped(text: str, position: int) -> int:
    found = _BETWEEN.match(text, position)
    return found.end() if found else position


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


def _next_start(text: str, position: int) -> int:
    """Where the next document may begin: on a line of its own, or behind this one's brackets."""
    line_start = text.rfind("\n", 0, position) + 1
    indent = text[line_start:position]
    if not indent.strip():
        # lists within it are further in, if it goes over several lines at all
        pattern = re.compile(rf"\n(?=[ \t]{{0,{min(len(indent), 100)}}}[{{\[])")
        found = pattern.search(text, position + 1)
        return found.end() if found else len(text)
    # elements of a list begin alike, which is seen even if this one is not closed
    key = _FIRST_KEY.match(text, position)
    found = key and re.compile(rf",\s*(?={{\s*{re.escape(key[1])})").search(text, position)
    if found:
        return found.end()
    depth = 0
    for token in _BRACKET.finditer(text, position):
        depth += {"{": 1, "[": 1, "}": -1, "]": -1}.get(token.group(), 0)
        if depth <= 0 and token.group() in "}]":
            return token.end()
    return len(text)


def _decoded(raw: bytes) -> str:
    """UTF-8, else what Windows wrote."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    lines = raw.splitlines(keepends=True)
    if len(lines) > 1:
        return "".join(_decoded(line) for line in lines)
    return raw.decode("cp1252", "replace")
