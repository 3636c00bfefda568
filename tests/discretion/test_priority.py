"""Priorities and discrepancy: planted ones recovered with calibrated intervals, and what cannot be compared."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kendalltau

from pluralism.data import Comparisons
from pluralism.discretion.annotators.verdicts import Verdicts
from pluralism.discretion.measures.audit import audit_discretion
from pluralism.discretion.measures.discrepancy import discretion_discrepancy, order_signs, rank_discrepancy
from pluralism.discretion.measures.priority import average_ranks, principle_priority
from pluralism.discretion.measures.published import published_discrepancy, published_priority, published_ranks
from pluralism.discretion.preferences import PrinciplePreferences
from pluralism.errors import ComponentWarning, SeparationError, SeparationWarning

NAMES = ["kind", "brief", "true"]


def comparisons(n):
    return Comparisons.from_arrays(left=np.arange(n), right=np.arange(n) + n)


def planted(weights, n, seed, *, noise=0.1):
    """Conflicts of two principles, decided by their weights as Bradley-Terry says; sometimes a consensus is broken."""
    rng = np.random.default_rng(seed)
    c = len(weights)
    signs = np.zeros((n, c))
    verdict = np.empty(n)
    for row in range(n):
        i, j = rng.choice(c, 2, replace=False)
        side = rng.choice([-1, 1])
        signs[row, i], signs[row, j] = side, -side
        if row % 3 == 0:
            signs[row, j] = side
            verdict[row] = side * (1 if rng.random() > noise else -1) > 0
        else:
            verdict[row] = side * (1 if rng.random() < 1 / (1 + np.exp(weights[j] - weights[i])) else -1) > 0
    return signs, verdict


WEIGHTS = np.array([1.5, 0.5, 0.0, -0.5, -1.5])


def coverage_of(seeds, n_bootstrap):
    held, arbitrary, errors = [], [], []
    for seed in seeds:
        signs, verdict = planted(WEIGHTS, 450, seed)
        audit = audit_discretion(
            comparisons(450),
            PrinciplePreferences.from_signs([f"p{k}" for k in range(5)], signs),
            [Verdicts("planted", verdict)],
            n_bootstrap=n_bootstrap,
            rng=seed,
        )
        priority = audit.priority[0]
        held.append((priority.interval[:, 0] <= WEIGHTS) & (WEIGHTS <= priority.interval[:, 1]))
        errors.append(priority.weight - WEIGHTS)
        low, high = audit.arbitrariness.interval[0]
        arbitrary.append(low <= 0.1 <= high)
    return np.mean(held), np.mean(arbitrary), np.array(errors)


def test_a_planted_priority_is_recovered():
    held, _, errors = coverage_of(range(8), 100)
    assert held >= 0.85
    assert np.abs(errors.mean(axis=0)).max() < 0.25
    assert np.abs(errors).mean() < 0.25


@pytest.mark.slow
def test_intervals_of_planted_priorities_are_calibrated():
    held, arbitrary, errors = coverage_of(range(200), 300)
    assert 0.92 <= held <= 0.975
    assert 0.90 <= arbitrary <= 0.985
    # the prior draws the weights together, by less than a tenth
    assert np.abs(errors.mean(axis=0)).max() < 0.15


def test_without_a_prior_it_is_maximum_likelihood():
    rng = np.random.default_rng(1)
    wins = rng.integers(1, 20, (4, 4)).astype(float)
    np.fill_diagonal(wins, 0)
    exact = principle_priority("a", tuple("wxyz"), wins, ridge=0.0)
    p = 1 / (1 + np.exp(exact.weight[None] - exact.weight[:, None]))
    # at the optimum each principle wins as often as expected
    np.testing.assert_allclose(wins.sum(axis=1), ((wins + wins.T) * p).sum(axis=1), atol=1e-5)
    near = principle_priority("a", tuple("wxyz"), wins, ridge=1e-6)
    np.testing.assert_allclose(exact.weight, near.weight, atol=1e-4)
    assert exact.weight.sum() == pytest.approx(0.0, abs=1e-9)


def test_principles_that_were_never_contested_have_no_weight():
    wins = np.array([[0.0, 3, 0], [2, 0, 0], [0, 0, 0]])
    with pytest.warns(ComponentWarning, match="true met no other principle in a conflict"):
        found = principle_priority("ann", tuple(NAMES), wins)
    assert np.isnan(found.weight[2])
    assert np.isnan(found.rank[2])
    assert found.component.tolist() == [0, 0, -1]
    assert found.to_frame()["weight"].null_count == 1


def test_several_infinite_weights_are_finite_with_a_warning_and_tie_where_the_contests_do():
    # two that always win, and one that always loses; the two met the others alike
    wins = np.zeros((4, 4))
    wins[0, 2] = wins[1, 2] = 3
    wins[0, 3] = wins[1, 3] = wins[2, 3] = 2
    with pytest.warns(SeparationWarning, match="puts d above a, b"):
        found = principle_priority("ann", tuple("abcd"), wins)
    assert np.isfinite(found.weight).all()
    assert found.rank.tolist() == [1.5, 1.5, 3, 4]
    assert found.level.tolist() == [0, 0, 1, 2]
    assert found.separated
    with pytest.raises(SeparationError, match="no finite maximum"):
        principle_priority("ann", tuple("abcd"), wins, ridge=0.0)


def test_separation_without_a_single_constant_winner_is_found():
    wins = np.zeros((4, 4))
    wins[0, 1] = wins[1, 0] = wins[2, 3] = wins[3, 2] = 2
    wins[0, 2] = 1
    with pytest.warns(SeparationWarning, match="puts c, d above a, b"):
        found = principle_priority("ann", tuple("abcd"), wins)
    assert found.level.tolist() == [0, 0, 1, 1]


def test_separation_does_not_say_who_won_against_whom_where_they_never_met():
    # a over c; b over c and d: a never met d, not even through others
    wins = np.zeros((4, 4))
    wins[0, 2] = wins[1, 2] = wins[1, 3] = 2
    with pytest.warns(SeparationWarning, match="no verdict, nor a chain of them, puts c, d above a, b"):
        found = principle_priority("ann", tuple("abcd"), wins)
    assert found.level.tolist() == [0, 0, 1, 1]


def test_disconnected_principles_are_not_compared():
    wins = np.zeros((5, 5))
    wins[0, 1], wins[1, 0], wins[2, 3], wins[3, 2], wins[3, 4], wins[4, 3] = 5, 2, 1, 4, 2, 2
    with pytest.warns(ComponentWarning, match="2 parts that cannot be compared: c, d, e; a, b"):
        found = principle_priority("ann", tuple("abcde"), wins)
    assert found.component.tolist() == [1, 1, 0, 0, 0]
    assert found.weight[:2].sum() == pytest.approx(0.0, abs=1e-9)
    assert found.weight[2:].sum() == pytest.approx(0.0, abs=1e-9)
    assert found.rank[:2].tolist() == [1, 2]
    assert found.rank[3] == 1
    signs = order_signs(found.weight[None, None], found.component[None])[0, 0]
    assert (~np.isnan(signs)).sum() == 1 + 3


@given(st.lists(st.integers(-3, 3), min_size=3, max_size=8), st.randoms(use_true_random=False))
def test_discrepancy_is_kendalls_tau_b(one, random):
    other = list(one)
    random.shuffle(other)
    weights = np.array([one, other], dtype=float)
    component = np.zeros(weights.shape, dtype=np.int64)
    found = rank_discrepancy(order_signs(weights[None], component))[0]
    tau = kendalltau(one, other).statistic
    if np.isnan(tau):
        assert np.isnan(found[0, 1])
    else:
        assert found[0, 1] == pytest.approx((1 - tau) / 2)
        assert found[0, 0] == pytest.approx(0)
        reverse = np.stack([weights[0], -weights[0]])
        assert rank_discrepancy(order_signs(reverse[None], component))[0, 0, 1] == pytest.approx(1.0)


def test_ranks_are_averaged_over_ties():
    ranks = average_ranks(np.array([[2.0, 1.0, 1.0, 0.0]]), np.zeros(4, dtype=np.int64))
    assert ranks.tolist() == [[1, 2.5, 2.5, 4]]


def test_the_published_way_ranks_what_was_never_contested_first_and_the_default_does_not():
    # "true" was in no conflict; kind beats brief more often than not
    one = np.array([[0.0, 3, 0], [2, 0, 0], [0, 0, 0]])
    other = np.array([[0.0, 1, 0], [4, 0, 0], [0, 0, 0]])
    assert published_ranks(published_priority(one)).tolist() == [2, 3, 1]
    # the vacuous winner makes opposite orders look alike
    assert published_discrepancy(one, other) == pytest.approx(1 / 3)
    with pytest.warns(ComponentWarning, match="true met no other principle"):
        ours = [principle_priority(name, tuple(NAMES), wins) for name, wins in (("a", one), ("b", other))]
    assert discretion_discrepancy(ours, 0.95).value[0, 1] == 1.0
    # where nothing is open, both are the maximum of the likelihood
    wins = np.random.default_rng(1).integers(1, 20, (4, 4)).astype(float)
    np.fill_diagonal(wins, 0)
    published = published_priority(wins)
    exact = principle_priority("a", tuple("wxyz"), wins, ridge=0.0).weight
    np.testing.assert_allclose(published - published.mean(), exact, atol=1e-4)


def test_the_published_way_cuts_the_ranks_of_ties():
    weight = np.array([np.inf, np.inf, 0.0, -1.0])
    assert published_ranks(weight).tolist() == [1, 1, 3, 4]
    assert average_ranks(np.array([[2.0, 2.0, 0.0, -1.0]]), np.zeros(4, dtype=np.int64)).tolist() == [[1.5, 1.5, 3, 4]]
