"""Speaker embeddings to clusters, as pyannote.audio's AgglomerativeClustering makes them.

The rules are those of its pipelines/clustering.py, and tests hold the clusters against it. Linkage
takes time that grows at least with the square of the number of embeddings, so their number is
bounded. What is left out of the tree is assigned to the nearest centroid, as all embeddings are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.cluster import hierarchy
from scipy.spatial.distance import cdist

from onecard.diarization import linkage

Array = npt.NDArray[Any]

NAME = "AgglomerativeClustering"
METRIC = "cosine"
# Linkages in Euclid's space alone, where unit vectors are as far apart as their angle says.
_OF_UNIT_VECTORS = ("centroid", "median", "ward")
# Who speaks alone in fewer of a window's frames does not form clusters.
_LEAST_ALONE = 0.2


@dataclass(frozen=True)
class Bounds:
    """How many speakers there are: `least` to `most`."""

    least: int = 1
    most: float = math.inf

    def of(self, num_embeddings: int) -> Bounds:
        """What that many embeddings can be divided into."""
        within = (max(1, min(num_embeddings, bound)) for bound in (self.least, self.most))
        return Bounds(*map(int, within))


@dataclass(frozen=True)
class Agglomerative:
    """A tree of embeddings, cut at a distance or where it gives the number that is wanted.

    Args:
        threshold: distance of unit vectors, 0 to 2.
        min_size: a smaller cluster joins the nearest one that is not.
    """

    method: str
    threshold: float
    min_size: int
    max_embeddings: int

    def __call__(
        self, embeddings: Array, active: npt.NDArray[np.bool_], bounds: Bounds
    ) -> tuple[Array, Array]:
        """The cluster of every local speaker, and each cluster's mean.

        Args:
            embeddings: [windows, speakers, dimension], NaN where there is none.
            active: [windows, frames, speakers]

        Returns:
            [windows, speakers] and [clusters, dimension].
        """
        windows, speakers = self._chosen(embeddings, active)
        chosen = embeddings[windows, speakers]
        bounds = bounds.of(len(chosen))
        if bounds.most < 2:
            mean = chosen.mean(axis=0) if len(chosen) else np.full(embeddings.shape[-1], np.nan)
            return np.zeros(embeddings.shape[:2], np.int64), mean[None]
        clusters = self._clusters(chosen, bounds)
        means = [chosen[clusters == cluster].mean(axis=0) for cluster in range(clusters.max() + 1)]
        centroids = np.vstack(means)
        flat = embeddings.reshape(-1, embeddings.shape[-1])
        nearest = np.argmax(2 - cdist(flat, centroids, metric=METRIC), axis=1)
        return nearest.reshape(embeddings.shape[:2]), centroids

    def _chosen(self, embeddings: Array, active: npt.NDArray[np.bool_]) -> tuple[Array, Array]:
        """Windows and speakers that form clusters, at most `max_embeddings`, evenly spread."""
        is_one = active.sum(axis=2, dtype=np.uint8, keepdims=True) == 1
        alone = (active & is_one).sum(axis=1)
        is_known = ~np.isnan(embeddings).any(axis=2)
        windows, speakers = np.nonzero((alone >= _LEAST_ALONE * active.shape[1]) & is_known)
        kept = spread(len(windows), self.max_embeddings)
        return windows[kept], speakers[kept]

    def _clusters(self, chosen: Array, bounds: Bounds) -> Array:
        """[num_embeddings], from 0 on without a gap."""
        vectors = chosen
        metric = METRIC
        if self.method in _OF_UNIT_VECTORS:
            with np.errstate(divide="ignore", invalid="ignore"):
                vectors = chosen / np.linalg.norm(chosen, axis=-1, keepdims=True)
            metric = "euclidean"
        tree = linkage.linkage(vectors, self.method, metric)
        min_size = min(self.min_size, max(1, round(0.1 * len(vectors))))
        clusters = _cut(tree, self.threshold)
        num_large = len(_large(clusters, min_size))
        wanted = int(np.clip(num_large, bounds.least, bounds.most))
        if wanted != num_large:
            clusters = self._cut_for(wanted, tree, min_size)
        return _joined(clusters, vectors, min_size)

    def _cut_for(self, wanted: int, tree: Array, min_size: int) -> Array:
        """Clusters with `wanted` large ones, cut next to the threshold; or the nearest number."""
        steps = tree.copy()
        steps[:, 2] = np.arange(len(tree))  # a cut is after a merge, whatever its distance
        nearest, nearest_num = len(tree), 1  # all in one
        for step in np.argsort(np.abs(tree[:, 2] - self.threshold)):
            if steps[step, 3] < min_size:
                continue
            clusters = _cut(steps, step)
            num_large = len(_large(clusters, min_size))
            if num_large == wanted:
                return clusters
            if abs(num_large - wanted) < abs(nearest_num - wanted):
                nearest, nearest_num = step, num_large
        return _cut(steps, nearest)


def spread(num_found: int, num_kept: int) -> npt.NDArray[np.int64]:
    """Indices of at most `num_kept` of `num_found`, evenly."""
    if num_found <= num_kept:
        return np.arange(num_found)
    return np.linspace(0, num_found - 1, num_kept).round().astype(np.int64)


def _cut(tree: Array, distance: float) -> Array:
    found: Array = hierarchy.fcluster(tree, distance, criterion="distance") - 1
    return found


def _large(clusters: Array, min_size: int) -> Array:
    names, sizes = np.unique(clusters, return_counts=True)
    return names[sizes >= min_size]


def _joined(clusters: Array, vectors: Array, min_size: int) -> Array:
    """The same, each small cluster in the nearest large one; all in one where none is large."""
    large = _large(clusters, min_size)
    if not len(large):
        return np.zeros_like(clusters)
    small = np.setdiff1d(clusters, large)
    if not len(small):
        return clusters
    centres = [
        np.vstack([vectors[clusters == cluster].mean(axis=0) for cluster in some])
        for some in (large, small)
    ]
    found = clusters.copy()
    for cluster, nearest in zip(small, cdist(*centres, metric=METRIC).argmin(axis=0), strict=True):
        found[clusters == cluster] = large[nearest]
    return np.unique(found, return_inverse=True)[1]
