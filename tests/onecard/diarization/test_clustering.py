"""Clusters of embeddings, held against pyannote.audio's own."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pyannote.audio.pipelines import clustering as pyannotes
from pyannote.core import SlidingWindow, SlidingWindowFeature

from onecard.diarization.clustering import Agglomerative, Bounds, spread
from onecard.diarization.linkage import linkage

NUM_WINDOWS, NUM_FRAMES, NUM_SPEAKERS, DIMENSION = 40, 30, 3, 8
WINDOWS = SlidingWindow(start=0.0, duration=5.0, step=0.5)
THRESHOLD, MIN_SIZE = 0.5, 8


def voices(num_voices: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Embeddings of some voices, some of them missing, and who is active when."""
    random = np.random.default_rng(seed)
    centres = random.normal(size=(num_voices, DIMENSION))
    chances = np.arange(num_voices, 0, -1) / sum(range(num_voices + 1))
    who = random.choice(num_voices, (NUM_WINDOWS, NUM_SPEAKERS), p=chances)
    embeddings = (centres[who] + random.normal(size=(*who.shape, DIMENSION)) * noise).astype("f4")
    embeddings[random.random(who.shape) < 0.1] = np.nan
    active = (
        random.random((NUM_WINDOWS, NUM_FRAMES, NUM_SPEAKERS))
        < random.random((*who.shape,))[:, None]
    )
    return embeddings, active


def both(
    embeddings: np.ndarray, active: np.ndarray, bounds: Bounds, method: str, min_size: int
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Clusters and centroids of ours and of pyannote's."""
    ours = Agglomerative(method, THRESHOLD, min_size, 1000)(embeddings, active, bounds)
    other = pyannotes.AgglomerativeClustering(metric="cosine").instantiate(
        {"method": method, "threshold": THRESHOLD, "min_cluster_size": min_size}
    )
    clusters, _, centroids = other(
        embeddings, SlidingWindowFeature(1.0 * active, WINDOWS),
        min_clusters=bounds.least, max_clusters=bounds.most,
    )  # fmt: skip
    return [ours, (clusters, centroids)]


@pytest.mark.parametrize(
    "bounds",
    [Bounds(), Bounds(1, 1), Bounds(3, 3), Bounds(6, 6), Bounds(4), Bounds(1, 2), Bounds(90, 99)],
    ids=str,
)
@pytest.mark.parametrize("method", ["centroid", "average", "ward"])
@pytest.mark.parametrize(("num_voices", "noise"), [(1, 0.1), (5, 0.2), (5, 0.7), (9, 1.5)])
def test_clusters_are_pyannotes(num_voices, noise, method, bounds, monkeypatch) -> None:
    monkeypatch.setattr(pyannotes, "linkage", linkage)
    embeddings, active = voices(num_voices, noise, seed=num_voices)
    kept = embeddings.copy()
    (clusters, centroids), wanted = both(embeddings, active, bounds, method, MIN_SIZE)
    assert np.array_equal(clusters, wanted[0])
    assert np.array_equal(centroids, wanted[1])
    assert np.array_equal(embeddings, kept, equal_nan=True)


@pytest.mark.filterwarnings("ignore")  # a mean of nothing, which is pyannote's
@pytest.mark.parametrize("num_known", [0, 1, 2, 5])
def test_few_embeddings(num_known, monkeypatch) -> None:
    monkeypatch.setattr(pyannotes, "linkage", linkage)
    embeddings, active = voices(2, 0.1, 0)
    active[:] = False
    active[:num_known, :, 0] = True
    embeddings[:num_known, 0] = np.arange(num_known)[:, None] + np.eye(1, DIMENSION)
    (clusters, centroids), wanted = both(embeddings, active, Bounds(), "centroid", 20)
    assert np.array_equal(clusters, wanted[0])
    assert np.array_equal(centroids, wanted[1], equal_nan=True)


def test_what_is_left_out_is_spread_evenly() -> None:
    assert spread(5, 9).tolist() == [0, 1, 2, 3, 4]
    assert spread(101, 5).tolist() == [0, 25, 50, 75, 100]


def test_bounds_are_within_what_there_is() -> None:
    assert Bounds(3, math.inf).of(2) == Bounds(2, 2)
    assert Bounds(1, 4).of(0) == Bounds(1, 1)
