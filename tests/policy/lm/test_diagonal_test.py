"""The exact distribution of the diagonal: against every permutation written out, and flat under the null."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from scipy.stats import kstest

from pluralism.errors import DataError
from pluralism.policy.lm import diagonal_test as module
from pluralism.policy.lm.diagonal_test import label_permutation


def all_permutations(points):
    """Shares of all permutations whose diagonal is at least the observed one: of all groups, and of each."""
    k, _, n_prompts = points.shape
    observed = points[np.arange(k), np.arange(k)].sum()
    orders = list(permutations(range(k)))
    sums = [
        sum(points[g, order[g], x] for x, order in enumerate(chosen) for g in range(k))
        for chosen in product(orders, repeat=n_prompts)
    ]
    alone = []
    for g in range(k):
        own = points[g, g].sum()
        alone.append(
            np.mean(
                [sum(points[g, c, x] for x, c in enumerate(one)) >= own for one in product(range(k), repeat=n_prompts)]
            )
        )
    return np.mean(np.array(sums) >= observed), np.array(alone)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("k", "n_prompts"), [(2, 5), (3, 3), (4, 2)])
def test_counts_what_all_permutations_give(k, n_prompts, seed):
    points = np.random.default_rng(seed).integers(-3, 6, size=(k, k, n_prompts))
    found = label_permutation(points)
    p, alone = all_permutations(points)
    assert found.exact
    assert found.p == pytest.approx(p, abs=1e-12)
    np.testing.assert_allclose(found.p_groups, alone, atol=1e-12)


def test_far_tails_are_exact():
    points = np.zeros((4, 4, 40), dtype=int)
    points[np.arange(4), np.arange(4)] = 8
    found = label_permutation(points)
    assert found.p == pytest.approx(24.0**-40, rel=1e-9)
    np.testing.assert_allclose(found.p_groups, 4.0**-40, rtol=1e-9)


def test_ties_everywhere_say_nothing():
    found = label_permutation(np.full((3, 3, 6), 7))
    assert found.p == 1.0
    np.testing.assert_array_equal(found.p_groups, 1.0)


def test_p_values_are_uniform_where_labels_mean_nothing():
    rng = np.random.default_rng(0)
    found = [label_permutation(rng.integers(0, 200, size=(3, 3, 8))) for _ in range(300)]
    assert kstest([one.p for one in found], "uniform").pvalue > 0.01
    assert kstest([one.p_groups[0] for one in found], "uniform").pvalue > 0.01


def test_drawn_permutations_agree_with_counted_ones(monkeypatch):
    points = np.random.default_rng(3).integers(0, 6, size=(3, 3, 7))
    points[np.arange(3), np.arange(3)] += 1
    counted = label_permutation(points)
    monkeypatch.setattr(module, "MOST_CELLS", 10)
    drawn = label_permutation(points, draws=4000, rng=1)
    assert not drawn.exact
    assert drawn.p == pytest.approx(counted.p, abs=0.03)
    np.testing.assert_allclose(drawn.p_groups, counted.p_groups, atol=0.03)
    assert drawn.p == label_permutation(points, draws=4000, rng=1).p


def test_permutations_of_many_groups_are_drawn():
    # there are 479,001,600 of twelve
    points = np.random.default_rng(0).integers(0, 5, size=(12, 12, 3))
    found = label_permutation(points, draws=500)
    assert not found.exact
    assert 0 < found.p < 1
    np.testing.assert_allclose(found.p_groups, label_permutation(points, draws=500, rng=1).p_groups)


def test_what_has_no_diagonal_is_refused():
    for shape in ((2, 3, 4), (1, 1, 4), (2, 2, 0)):
        with pytest.raises(DataError, match="no diagonal"):
            label_permutation(np.zeros(shape, dtype=int))
