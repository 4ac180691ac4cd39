"""Words with times from a TextGrid, as the Montreal Forced Aligner writes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TIER = '"words"'


@dataclass(frozen=True)
class WordTime:
    """A word of a reference; its end is not everywhere known."""

    text: str
    start_s: float
    end_s: float | None = None


def read(path: Path) -> list[WordTime]:
    """The tier `words`, pauses left out.

    Raises:
        ValueError: it has no such tier, or is not in the short format.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    if TIER not in lines:
        raise ValueError(f"`{path}` has no tier {TIER} in Praat's short format")
    tier = lines.index(TIER)
    try:
        count = int(lines[tier + 3])
        cells = lines[tier + 4 : tier + 4 + 3 * count]
        if len(cells) < 3 * count:
            raise ValueError("it breaks off")
        intervals = zip(cells[0::3], cells[1::3], cells[2::3], strict=True)
        return [
            WordTime(text.strip('"'), float(start), float(end))
            for start, end, text in intervals
            if text != '""'
        ]
    except (ValueError, IndexError) as error:
        raise ValueError(f"`{path}` breaks off or is not in Praat's short format") from error
