"""Who speaks when, from NIST's Rich Transcription Time Marked files: a line for each turn.

`SPEAKER <file> <channel> <start> <duration> <NA> <NA> <speaker> <NA> <NA>`, in seconds (RT-09's
evaluation plan, appendix A); lines of other types are left out.

pyannote.database's `load_rttm` is not used: it drops a cut line and takes any text for RTTM without
a word, and it fails on long comments and on speakers called `NA`.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from evaluation.metrics import Turn


def read(path: Path) -> dict[str, tuple[Turn, ...]]:
    """The turns of every recording that the file names.

    Raises:
        ValueError: a line is none of RTTM's; says which.
    """
    found: dict[str, list[Turn]] = defaultdict(list)
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        fields = line.split()
        if not fields or fields[0] != "SPEAKER":
            if fields and not fields[0].isupper() and not fields[0].startswith(";"):
                raise ValueError(f"`{path}`, line {number} is not RTTM: `{line[:60]}`")
            continue
        try:
            start_s, duration_s = float(fields[3]), float(fields[4])
            found[fields[1]].append(Turn(start_s, start_s + duration_s, fields[7]))
        except (IndexError, ValueError):
            raise ValueError(
                f"`{path}`, line {number} is `{line[:60]}`, wanted `SPEAKER file channel start "
                "duration <NA> <NA> speaker`"
            ) from None
    return {name: tuple(turns) for name, turns in found.items()}
