from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from pluralism.data.separation import find_separation


def _linear_programme(features: np.ndarray, left: np.ndarray, right: np.ndarray, outcome: np.ndarray) -> bool:
    """The definition, on all rows at once."""
    decided = (outcome == 0) | (outcome == 1)
    difference = (features[left] - features[right]) * np.where(outcome < 0.5, -1, 1)[:, None]
    if not decided.any():
        return False
    solution = linprog(
        -difference[decided].sum(axis=0),
        A_ub=-difference[decided],
        b_ub=np.zeros(int(decided.sum())),
        A_eq=difference[~decided] if not decided.all() else None,
        b_eq=np.zeros(int((~decided).sum())) if not decided.all() else None,
        bounds=(-1, 1),
    )
    return bool(-solution.fun > 1e-6)


@settings(max_examples=50)
@given(
    seed=st.integers(0, 10**6),
    dim=st.integers(1, 5),
    n=st.integers(1, 30),
    whole=st.booleans(),
    noise=st.sampled_from([0.0, 0.1, 0.5]),
    ties=st.sampled_from([0.0, 0.2, 1.0]),
)
def test_the_answer_is_that_of_the_linear_programme(
    seed: int, dim: int, n: int, whole: bool, noise: float, ties: float
) -> None:
    rng = np.random.default_rng(seed)
    n_items = int(rng.integers(2, 14))
    # Whole numbers give rows that lie exactly on the separating plane.
    features = rng.integers(-1, 2, (n_items, dim)).astype(float) if whole else rng.standard_normal((n_items, dim))
    left = rng.integers(0, n_items, n)
    right = (left + rng.integers(1, n_items, n)) % n_items
    outcome = ((features[left] - features[right]) @ rng.standard_normal(dim) > 0).astype(float)
    flipped, tied = rng.random(n) < noise, rng.random(n) < ties
    outcome[flipped] = 1 - outcome[flipped]
    outcome[tied] = rng.choice([0.5, 0.3], int(tied.sum()))
    found = find_separation(features, left, right, outcome)
    assert found.separable == _linear_programme(features, left, right, outcome)
    if found.direction is None:
        return
    margin = ((features[left] - features[right]) @ found.direction) * np.where(outcome < 0.5, -1, 1)
    decided = (outcome == 0) | (outcome == 1)
    assert margin[decided].min() > -1e-5 and margin[decided].max() > 1e-5
    assert np.abs(margin[~decided]).max(initial=0) < 1e-5


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("separable", [True, False])
def test_many_rows_are_settled_by_few(dtype: type, separable: bool) -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((40_000, 48)).astype(dtype)
    left, right = rng.permutation(40_000).reshape(2, -1)
    margin = (features[left].astype(float) - features[right]) @ rng.standard_normal(48)
    outcome = (margin > 0).astype(float)
    if not separable:
        flipped = rng.random(len(left)) < 0.1
        outcome[flipped] = 1 - outcome[flipped]
    found = find_separation(features, left, right, outcome)
    assert found.separable is separable
    if separable:
        assert found.n_strict == 20_000


def test_a_constant_feature_does_not_separate() -> None:
    features = np.column_stack([np.ones(4), [0.0, 1.0, 0.0, 1.0]])
    # Items 0 and 2 have equal features: each wins once against the other feature value.
    found = find_separation(features, np.array([0, 3]), np.array([1, 2]), np.array([1.0, 1.0]))
    assert found.separable is False


def test_only_ties_do_not_separate() -> None:
    found = find_separation(np.eye(2), np.array([0]), np.array([1]), np.array([0.5]))
    assert found.separable is False


def test_separation_that_leaves_rows_at_zero_is_found_in_many_rows() -> None:
    # Feature 0 belongs to a single item, which wins its only comparison; the rest is noisy.
    rng = np.random.default_rng(0)
    features = rng.standard_normal((4000, 20))
    features[:, 0] = np.arange(4000) == 0
    left, right = np.arange(2000), np.arange(2000, 4000)
    outcome = rng.integers(0, 2, 2000).astype(float)
    outcome[0] = 1.0
    found = find_separation(features, left, right, outcome, max_programme=0)
    assert found.separable is True and found.n_strict == 1
    assert found.direction is not None and np.abs(found.direction).argmax() == 0
    outcome[0] = 0.5
    assert find_separation(features, left, right, outcome).separable is False


def test_what_needs_too_large_a_programme_is_left_open() -> None:
    # Differences of 4, 0.5 and -0.05: not separable, but the weights of the first two rows nearly vanish.
    features = np.array([[4.0], [0.0], [0.5], [0.0], [-0.05], [0.0]])
    left, right, outcome = np.array([0, 2, 4]), np.array([1, 3, 5]), np.ones(3)
    assert find_separation(features, left, right, outcome).separable is False
    assert find_separation(features, left, right, outcome, max_programme=1).separable is None


def test_a_part_that_is_not_separable_settles_the_whole() -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal((20_000, 4))
    left, right = rng.permutation(20_000).reshape(2, -1)
    better = ((features[left] - features[right]) @ rng.standard_normal(4) > 0).astype(float)
    mixed = np.where(rng.random(10_000) < 0.3, 1 - better, better)
    part = find_separation(features, left, right, mixed, max_values=4000)
    assert part.separable is False and part.n_tested == 500 and part.n_pairs == 10_000
    assert find_separation(features, left, right, better, max_values=4000).separable is None
    assert find_separation(features, left, right, better).separable is True
