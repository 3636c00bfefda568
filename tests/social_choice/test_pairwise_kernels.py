"""Counts of pairs and widest paths, against plain loops, on sizes that cross the edges of blocks and tiles."""

from __future__ import annotations

import numpy as np
import pytest
from elections import plain_paths, plain_support
from hypothesis import given

from pluralism.social_choice import Profile
from pluralism.social_choice.pairwise_kernels import support_counts, widest_paths
from pluralism.testing.collective_strategies import profiles


@given(profiles(max_candidates=6, denominator=True))
def test_support_by_definition(profile):
    np.testing.assert_array_equal(profile.support, plain_support(profile))


@pytest.mark.parametrize("scale", [1, 10**5, 10**12], ids=["16 bits", "32 bits", "64 bits"])
@pytest.mark.parametrize("kind", ["strict", "ties", "ignore"])
def test_support_over_blocks_widths_and_threads(kind, scale, monkeypatch):
    monkeypatch.setattr("pluralism.social_choice.pairwise_kernels.SMALL", 0 if scale == 1 else 10**9)
    rng = np.random.default_rng(3)
    n, m = 1100, 35
    levels = rng.permuted(np.tile(np.arange(m), (n, 1)), axis=1)
    if kind != "strict":
        levels = levels // 4 - 1
    counts = rng.integers(0, 3, n) * scale
    profile = Profile(range(m), levels, counts, unlisted="ignore" if kind == "ignore" else "below")
    places = profile.levels.astype(np.int64)
    better = np.where(places < 0, 99, places)
    worse = places if kind == "ignore" else better
    expected = [[int(counts[better[:, a] < worse[:, b]].sum()) for b in range(m)] for a in range(m)]
    np.testing.assert_array_equal(profile.support, expected)


def test_support_of_many_candidates_and_no_ballots():
    rng = np.random.default_rng(0)
    levels = rng.permuted(np.tile(np.arange(530), (5, 1)), axis=1)
    support = Profile(range(530), levels).support
    assert (support + support.T + 5 * np.eye(530, dtype=int) == 5).all()
    assert support[7, 501] == (levels[:, 7] < levels[:, 501]).sum()
    assert support_counts(np.empty((0, 3), dtype=np.int16), np.empty(0, dtype=np.int64), True).tolist() == [[0] * 3] * 3


@given(profiles(max_candidates=6))
def test_widest_paths_by_definition(profile):
    links = np.maximum(profile.margins, 0)
    found = widest_paths(links)
    np.testing.assert_array_equal(found - np.diag(np.diag(found)), off_diagonal(plain_paths(links)))


@pytest.mark.parametrize("largest", [30, 10**6, 10**12])
@pytest.mark.parametrize("m", [15, 16, 17, 24, 43])
def test_widest_paths_over_tiles_and_widths(m, largest):
    rng = np.random.default_rng(m)
    links = rng.integers(0, largest, (m, m)) * (rng.random((m, m)) < 0.1)
    np.testing.assert_array_equal(off_diagonal(widest_paths(links, tile=8)), off_diagonal(plain_paths(links)))


def off_diagonal(matrix):
    return matrix - np.diag(np.diag(matrix))
