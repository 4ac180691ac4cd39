"""The best path of characters through CTC emissions, compiled: no Python loop over frames.

The trellis is WhisperX's (whisperx/alignment.py, `get_trellis` and `backtrack`, after torchaudio's
forced alignment tutorial). It computes in single precision as well, so that ties have the same
outcome. A path may start late and end early, and a frame without a new character counts as blank.
"""

from __future__ import annotations

from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


class Path(NamedTuple):
    """Frames [first, last) and the mean probability of each character, all [num_tokens]."""

    first: Ints
    last: Ints
    scores: npt.NDArray[np.float64]


def best_path(emission: Floats, tokens: Ints, blank: int) -> Path | None:
    """The best path, or None where there is none (more characters than frames).

    Args:
        emission: [T, labels] log-probabilities.
        tokens: [N] labels of the text's characters.
        blank: the label of no character.
    """
    first = np.zeros(len(tokens), np.int64)
    last = np.zeros(len(tokens), np.int64)
    scores = np.zeros(len(tokens), np.float64)
    emission = np.ascontiguousarray(emission, np.float32)
    if len(tokens) == 0 or not _search(emission, tokens, blank, first, last, scores):
        return None
    return Path(first, last, scores)


# The compiled code is kept next to this file, or in the user's cache where that cannot be written.
@numba.njit(cache=True)  # type: ignore[untyped-decorator]
def _search(
    emission: Floats,
    tokens: Ints,
    blank: int,
    first: Ints,
    last: Ints,
    scores: npt.NDArray[np.float64],
) -> bool:
    """Fill `first`, `last` and `scores`; False where no path leads back to the start."""
    num_frames, num_tokens = emission.shape[0], len(tokens)
    trellis = np.empty((num_frames + 1, num_tokens + 1), np.float32)
    trellis[0, 0] = 0.0
    total = 0.0  # cumulated in double precision, as torch does
    for t in range(num_frames):
        total += emission[t, blank]
        trellis[t + 1, 0] = np.float32(total)
    trellis[0, 1:] = -np.inf
    # So late, every remaining frame has to bring a character.
    trellis[max(0, num_frames + 1 - num_tokens) :, 0] = np.inf
    for t in range(num_frames):
        for j in range(1, num_tokens + 1):
            stayed = trellis[t, j] + emission[t, blank]
            changed = trellis[t, j - 1] + emission[t, tokens[j - 1]]
            trellis[t + 1, j] = max(stayed, changed)

    j = num_tokens
    last[j - 1] = t_end = int(np.argmax(trellis[:, j]))
    probability, num_points = 0.0, 0
    for t in range(t_end, 0, -1):
        stayed = trellis[t - 1, j] + emission[t - 1, blank]
        changed = trellis[t - 1, j - 1] + emission[t - 1, tokens[j - 1]]
        is_new = changed > stayed
        probability += np.exp(emission[t - 1, tokens[j - 1] if is_new else blank])
        num_points += 1
        if is_new:
            first[j - 1] = t - 1
            scores[j - 1] = probability / num_points
            probability, num_points = 0.0, 0
            j -= 1
            if j == 0:
                return True
            last[j - 1] = t - 1
    return False
