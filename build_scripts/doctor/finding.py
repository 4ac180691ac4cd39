"""One finding of `doctor`: its status, what was found, what was wanted, and the cure."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

Status = Literal["pass", "warn", "fail"]
_INDENT = " " * 6


@dataclass(frozen=True)
class Finding:
    """One line of the report; `wanted` and `cure` may be empty if it passes."""

    status: Status
    what: str
    found: str
    wanted: str = ""
    cure: str = ""

    def text(self) -> str:
        """The finding as text: one line, and the cure below it."""
        wanted = f" (wanted {self.wanted})" if self.wanted else ""
        cure = f"\n{_INDENT}-> {self.cure}" if self.cure else ""
        return f"{self.status:5} {self.what}: {self.found}{wanted}{cure}"

    def to_dict(self) -> dict[str, str]:
        return asdict(self)


def passed(what: str, found: str, wanted: str = "") -> Finding:
    return Finding("pass", what, found, wanted)


def at_least(
    what: str, found: tuple[float, str], wanted: tuple[float, str], cure: str, lack: Status = "fail"
) -> Finding:
    """Compare a number with the least that is wanted; `lack` is the status below it."""
    if found[0] >= wanted[0]:
        return Finding("pass", what, found[1], wanted[1])
    return Finding(lack, what, found[1], wanted[1], cure)
