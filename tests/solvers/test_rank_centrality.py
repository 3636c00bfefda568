"""Rank Centrality: stationary, in proportion to planted strengths where nothing is noise, and within parts."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.solvers.rank_centrality import rank_centrality


def test_scores_are_planted_strengths_without_noise() -> None:
    strength = np.array([1.0, 2.0, 5.0, 0.5])
    wins = 1e9 * strength[:, None] / (strength[:, None] + strength[None, :])
    np.fill_diagonal(wins, 0)
    scores, part = rank_centrality(wins, prior=1e-9)
    assert np.allclose(scores, strength / strength.sum(), atol=1e-8)
    assert not part.any()


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_stationary(seed: int) -> None:
    rng = np.random.default_rng(seed)
    wins = rng.poisson(1.0, size=(7, 7)).astype(float)
    np.fill_diagonal(wins, 0)
    scores, _ = rank_centrality(wins)
    games = wins + wins.T
    degree = (games > 0).sum(axis=1).max()
    walk = np.where(games > 0, (wins.T + 1) / (games + 2), 0) / degree
    walk += np.diag(1 - walk.sum(axis=1))
    mass = np.full(7, 1 / 7)
    for _ in range(5000):
        mass = mass @ walk
    assert np.allclose(scores, mass)


def test_parts_have_scores_of_their_own_and_strangers_none() -> None:
    wins = np.zeros((5, 5))
    wins[0, 1] = wins[2, 3] = 3
    scores, part = rank_centrality(wins)
    assert scores[0] > scores[1] and scores[2] > scores[3] and np.isnan(scores[4])
    assert scores[:2].sum() == scores[2:4].sum() == pytest.approx(1)
    assert part[0] == part[1] != part[2] == part[3]
    assert np.isnan(rank_centrality(np.zeros((2, 2)))[0]).all()
