"""Findings of all parts to one list: what two parts found alike is one, with both citations.

Nothing is written anew here, so no citation can be made up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from onecard.minutes.notes.findings import Citation, Finding

_WORD = re.compile(r"\w+")
# Findings of a kind are the same from this share of words in common on: of all, anywhere; of the
# shorter one's, where they cite the same segment, as they do where parts overlap.
ALIKE = 0.75
ALIKE_AT_ONE_PLACE = 0.5


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """The findings in the order of what they cite; of those that are alike, the longest text."""
    kept: list[Finding] = []
    for found in findings:
        for index, other in enumerate(kept):
            if _are_alike(found, other):
                kept[index] = _one_of(other, found)
                break
        else:
            kept.append(found)
    return sorted(kept, key=lambda found: (found.citation.start, found.citation.segments))


def _are_alike(first: Finding, second: Finding) -> bool:
    if first.kind != second.kind:
        return False
    if first.kind == "quote":
        return first.citation.segments == second.citation.segments
    words, others = _words(first.text), _words(second.text)
    common = len(words & others)
    if common >= ALIKE * len(words | others):
        return True
    is_one_place = bool({*first.citation.segments} & {*second.citation.segments})
    return is_one_place and common >= ALIKE_AT_ONE_PLACE * min(len(words), len(others))


def _one_of(first: Finding, second: Finding) -> Finding:
    longer = max(first, second, key=lambda found: len(found.text))
    both = (first.citation, second.citation)
    return replace(
        longer,
        who=longer.who or first.who or second.who,
        due=longer.due or first.due or second.due,
        citation=Citation(
            tuple(sorted({number for one in both for number in one.segments})),
            min(one.start for one in both),
            max(one.end for one in both),
        ),
    )


def _words(text: str) -> set[str]:
    return set(_WORD.findall(text.lower()))
