"""The last resort: words spread over a segment's sound by their length."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from onecard.alignment import loudness
from onecard.alignment.units import Alignment, Failure, Timed, Utterance


class Proportional:
    """Times for any text in any language."""

    name = "proportional"

    def speaks(self, language: str) -> bool:
        return True

    def align(self, utterances: Sequence[Utterance]) -> list[Alignment | Failure]:
        return [self._align(utterance) for utterance in utterances]

    def _align(self, utterance: Utterance) -> Alignment | Failure:
        if not utterance.words:
            return Failure("its text has no words")
        # One more than its characters, for the pause between words.
        shares = np.cumsum([0] + [len(word.text) + 1 for word in utterance.words])
        mask = loudness.sounding(utterance.pcm)
        sound = np.concatenate([[0], np.cumsum(mask)]) if mask.any() else np.arange(len(mask) + 1)
        # The k-th part of the text ends where the k-th part of the sound has passed.
        frames = np.interp(shares / shares[-1] * sound[-1], sound, np.arange(len(sound)))
        edges_s = np.minimum(utterance.start_s + frames * loudness.FRAME_S, utterance.end_s)
        return Alignment(
            tuple(
                Timed(float(start_s), float(end_s), 0.0, is_interpolated=True)
                for start_s, end_s in itertools.pairwise(edges_s)
            )
        )
