"""A talk cut into parts that one call of the model can read: by tokens, where the speaker changes.

Parts overlap, so that what is said across a cut is whole in one of them. Each line is in a part.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from onecard.minutes.transcript import Line

Count = Callable[[str], int]  # the tokens that a text takes

# Lines of a part. The grammar names each by its number, so there is a grammar for each number of
# lines, and NVIDIA's executor keeps all that it ever had. Short parts are also read better.
MAX_LINES = 64
# A part may end so much earlier, to end where the speaker changes.
EARLIER_SHARE = 1 / 4


@dataclass(frozen=True)
class Part:
    """Lines of one call, `number` from 1; the first `num_overlapping` are of the part before."""

    number: int
    lines: tuple[Line, ...]
    num_overlapping: int

    @property
    def start(self) -> float:
        return min(line.start for line in self.lines)

    @property
    def end(self) -> float:
        return max(line.end for line in self.lines)


class Cutter:
    """Cuts for one request.

    Args:
        shown: a line as the model sees it.
        max_tokens: of the lines of a part.
        overlap_tokens: at most half of that.
    """

    def __init__(
        self, shown: Callable[[Line], str], count: Count, max_tokens: int, overlap_tokens: int
    ) -> None:
        self._shown = shown
        self._count = count
        self._max_tokens = max_tokens
        self._overlap_tokens = min(overlap_tokens, max_tokens // 2)

    def parts(self, lines: Sequence[Line]) -> list[Part]:
        """All parts, in order."""
        pieces = [piece for line in lines for piece in self._pieces(line)]
        sizes = [self._size(piece) for piece in pieces]
        found: list[Part] = []
        first = new = 0  # of the next part: its first line, and its first that no other has
        while new < len(pieces):
            last = self._last(pieces, sizes, first, new)
            lines_of = tuple(pieces[first:last])
            found.append(Part(len(found) + 1, lines_of, new - first))
            first, new = self._next_first(sizes, first, last), last
        return found

    def _size(self, line: Line) -> int:
        return self._count(self._shown(line)) + 1  # and the line break

    def _last(self, pieces: Sequence[Line], sizes: Sequence[int], first: int, new: int) -> int:
        """Where the part that begins at `first` ends; one new line is in it in any case."""
        last, left = first, self._max_tokens
        while last < len(pieces) and last - first < MAX_LINES:
            left -= sizes[last]
            if left < 0 and last > new:
                break
            last += 1
        if last == len(pieces):
            return last
        least = max(new + 1, last - int((last - first) * EARLIER_SHARE))
        for end in range(last, least - 1, -1):
            if pieces[end].speaker != pieces[end - 1].speaker:
                return end
        return last

    def _next_first(self, sizes: Sequence[int], first: int, last: int) -> int:
        """Where the next part begins: some lines back, and always later than this one."""
        begin, left = last, self._overlap_tokens
        while begin - 1 > first and last - begin < MAX_LINES // 4:
            left -= sizes[begin - 1]
            if left < 0:
                break
            begin -= 1
        return begin

    def _pieces(self, line: Line) -> Iterator[Line]:
        """The line, or parts of it that fit half of a part each; their times are in proportion."""
        room = max(1, self._max_tokens // 2)
        if self._size(line) <= room:
            yield line
            return
        texts = list(self._texts(line, room))
        whole, done = sum(map(len, texts)) or 1, 0
        for text in texts:
            start, done = done, done + len(text)
            length_s = line.end - line.start
            yield replace(
                line,
                text=text,
                start=round(line.start + length_s * start / whole, 3),
                end=round(line.start + length_s * done / whole, 3),
            )

    def _texts(self, line: Line, room: int) -> Iterator[str]:
        """Its text in halves, quarters and so on, cut between words or else anywhere."""
        text = line.text
        if len(text) < 2 or self._size(line) <= room:
            yield text
            return
        middle = len(text) // 2
        cut = text.find(" ", middle)
        cut = cut + 1 if 0 < cut < len(text) - 1 else middle
        for half in (text[:cut], text[cut:]):
            yield from self._texts(replace(line, text=half.strip()), room)
