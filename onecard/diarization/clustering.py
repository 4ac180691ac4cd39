"""pyannote's clustering, with time and memory that stay bounded for long recordings.

Linkage takes time that grows at least with the square of the number of embeddings. Without
fastcluster its memory does too: six hours of a meeting would take gigabytes. Embeddings that are
left out of the tree are assigned to the nearest centroid afterwards, as pyannote does with all.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from onecard.diarization import linkage

with warnings.catch_warnings():
    # torchcodec is left out on purpose: pyannote is handed waveforms, not files.
    warnings.filterwarnings("ignore", message="(?s).*torchcodec")
    from pyannote.audio.pipelines import clustering

Array = npt.NDArray[Any]
Filtered = tuple[Array, Array, Array]

# Of every clustering of pyannote's that is a tree: it has no other place to say whose.
clustering.linkage = linkage.linkage


def bound(any_clustering: Any, max_embeddings: int) -> None:
    """Let a clustering of pyannote's see at most `max_embeddings`, spread over the recording."""
    filtered: Callable[..., Filtered] = any_clustering.filter_embeddings

    def filter_embeddings(*args: Any, **kwargs: Any) -> Filtered:
        return _spread(filtered(*args, **kwargs), max_embeddings)

    any_clustering.filter_embeddings = filter_embeddings


def agglomerative(metric: str, max_embeddings: int) -> Any:
    """pyannote's AgglomerativeClustering, bounded."""
    found = clustering.AgglomerativeClustering(metric=metric)
    bound(found, max_embeddings)
    return found


def _spread(filtered: Filtered, max_embeddings: int) -> Filtered:
    """At most that many rows of each, evenly."""
    vectors, windows, speakers = filtered
    if len(vectors) <= max_embeddings:
        return filtered
    kept = np.linspace(0, len(vectors) - 1, max_embeddings).round().astype(int)
    return vectors[kept], windows[kept], speakers[kept]
