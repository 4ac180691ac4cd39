"""Agglomerative clustering without the distances: SciPy's answers, and their price."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from scipy.cluster import hierarchy

from onecard.diarization import linkage

METHODS = ("centroid", "median", "ward", "average", "single")


def voices(num: int, spread: float) -> np.ndarray:
    """[num, 64] unit vectors around eight."""
    draw = np.random.default_rng(0)
    found = draw.normal(size=(8, 64))[draw.integers(0, 8, num)] + spread * draw.normal(
        size=(num, 64)
    )
    return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("spread", [0.1, 0.5, 2.0])
def test_the_merges_are_scipys(method: str, spread: float) -> None:
    vectors = voices(400, spread)
    found = linkage.linkage(vectors, method=method)
    assert np.allclose(found, hierarchy.linkage(vectors, method=method), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("method", METHODS)
def test_equal_vectors_end_in_the_clusters_of_scipys(method: str) -> None:
    """Among ties the order of merges is anybody's; where the tree is cut, it does not matter."""
    vectors = np.tile(voices(50, 0.3), (6, 1))
    cut = [
        hierarchy.fcluster(tree, 0.5, criterion="distance")
        for tree in (linkage.linkage(vectors, method), hierarchy.linkage(vectors, method))
    ]
    assert len(np.unique(cut[0])) >= 8
    assert len({*zip(*cut, strict=True)}) == len(np.unique(cut[0])) == len(np.unique(cut[1]))


def test_two_vectors_are_one_merge() -> None:
    assert linkage.linkage(np.eye(2), "centroid").tolist() == [[0, 1, pytest.approx(2**0.5), 2]]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_refused(method: str, bad: float) -> None:
    vectors = voices(10, 0.5)
    vectors[3, 5] = bad
    with pytest.raises(ValueError, match="finite"):
        linkage.linkage(vectors, method=method)


def test_one_vector_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        linkage.linkage(voices(1, 0.5), method="centroid")


@pytest.mark.skipif(linkage.linkage_vector is None, reason="fastcluster is not installed")  # type: ignore[attr-defined]
def test_no_distances_are_kept() -> None:
    """By NumPy: what fastcluster itself allocates is not seen here."""
    vectors = voices(2000, 0.5)
    tracemalloc.start()
    try:
        linkage.linkage(vectors, method="centroid")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * vectors.nbytes  # a copy in float64, and the tree; all distances are 31 times
