"""Agglomerative clustering that does not keep the distance of every pair.

SciPy's `linkage` keeps those distances twice, 16 bytes a pair: 191 MiB for 5,000 vectors, and four
times that for twice as many. fastcluster finds them again whenever it needs one (D. Müllner,
"fastcluster: Fast Hierarchical, Agglomerative Clustering Routines for R and Python", Journal of
Statistical Software 53 (9), 2013).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.cluster import hierarchy

try:
    from fastcluster import linkage_vector
except ImportError:  # no release for Python 3.12 takes NumPy 1.26
    linkage_vector = None

# Those whose distances follow from the vectors of two clusters, in Euclid's space alone.
_OF_VECTORS = ("centroid", "median", "ward")


def linkage(
    vectors: npt.NDArray[Any], method: str, metric: str = "euclidean"
) -> npt.NDArray[np.float64]:
    """SciPy's `linkage`, within rounding: [num_vectors - 1, 4], a merge a row.

    Centroid, median and ward linkage need a few copies of the vectors in float64, and some three
    times as long as SciPy; the others, and all where fastcluster is not installed, are SciPy's.

    Args:
        vectors: [num_vectors, dimension], two at least.

    Raises:
        ValueError: a vector is not finite, or there are fewer than two.
    """
    is_for_vectors = method in _OF_VECTORS and metric == "euclidean"
    if linkage_vector is None or not is_for_vectors or len(vectors) < 2:
        found: npt.NDArray[np.float64] = hierarchy.linkage(vectors, method=method, metric=metric)
        return found
    if not np.isfinite(vectors).all():
        raise ValueError("a vector to be clustered is not finite")
    found = linkage_vector(vectors, method=method)
    return found
