"""What a segment has of the decoding of its chunk: figures of the whole chunk, tokens of its own.

A chunk is decoded at once, then its text is cut into sentences, and these where the speaker
changes. SEGMENTS and ALIGNED have `token_letters` beside `tokens`, to cut by: how many characters
end in each, white space not counted. RESULT and events do not have them.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

Document = dict[str, Any]

FIGURES = ("avg_logprob", "compression_ratio", "no_speech_prob", "temperature")
_TOKENS, _LETTERS = "tokens", "token_letters"


def of_parts(segment: Mapping[str, Any], texts: Sequence[str]) -> list[Document]:
    """Figures and tokens of each of the `texts` into which the text of `segment` is cut.

    What is not known of `segment` is left out. A token that belongs to two texts goes to the first.
    """
    known = {name: segment[name] for name in FIGURES if segment.get(name) is not None}
    tokens, letters = segment.get(_TOKENS), segment.get(_LETTERS)
    if tokens is None or letters is None or len(tokens) != len(letters):
        return [known for _ in texts]
    starts = list(accumulate(letters, initial=0))[:-1]
    ends = list(accumulate(len("".join(text.split())) for text in texts))
    bounds = [0, *(bisect_left(starts, end) for end in ends[:-1]), len(tokens)]
    return [
        {**known, _TOKENS: tokens[first:last], _LETTERS: letters[first:last]}
        for first, last in pairwise(bounds)
    ]


def told(segments: Iterable[Mapping[str, Any]]) -> list[Document]:
    """The segments without what serves the cutting alone."""
    return [{key: segment[key] for key in segment if key != _LETTERS} for segment in segments]
