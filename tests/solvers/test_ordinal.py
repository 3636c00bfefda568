"""The ordinal likelihood: probabilities by hand, gradients by finite differences, antisymmetry."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from pluralism.solvers import FeatureMatrix, PairProblem, Terms
from pluralism.solvers.ordinal import OrdinalObjective, OrdinalRows, fit_ordinal


def problem(n=40, n_items=8, dim=3, seed=0):
    rng = np.random.default_rng([seed, 21])
    left = rng.integers(n_items, size=n)
    right = (left + 1 + rng.integers(n_items - 1, size=n)) % n_items
    made, _ = PairProblem.build(
        rng.integers(4, size=n),
        left,
        right,
        rng.choice([0.0, 0.5, 1.0], size=n),
        rng.random(n) + 0.5,
        n_users=4,
        n_items=n_items,
        design=rng.normal(size=(n, 2)),
        features=FeatureMatrix(rng.normal(size=(n_items, dim))),
    )
    return made, rng


def rows_of(made, rng, n_cuts=3, *, own_ties=True, margin=False):
    n = len(made.left)
    tied = (made.outcome == 0.5) & own_ties
    level = rng.integers(n_cuts, size=n)
    unknown = rng.random(n) < 0.3
    low = np.where(tied | unknown, 0, level)
    high = np.where(tied, 0, np.where(unknown, n_cuts, level + 1))
    sign = np.where(tied | (made.outcome > 0.5), 1.0, -1.0)
    lead = rng.random(n) * (~tied) if margin else np.zeros(n)
    return OrdinalRows(np.arange(n), sign, low, high, tied, lead, made.weight, n_cuts)


@pytest.mark.parametrize("middle", [True, False])
@pytest.mark.parametrize("davidson", [True, False])
@pytest.mark.parametrize("margin", [True, False])
@pytest.mark.parametrize("effects", [None, 2.0])
def test_gradients_and_curvature_are_those_of_finite_differences(middle, davidson, margin, effects):
    if middle and davidson:
        pytest.skip("ties are one or the other")
    made, rng = problem()
    terms = Terms(ridge=0.7, item_precision=effects, ties=davidson)
    rows = rows_of(made, rng, own_ties=middle or davidson, margin=margin)
    objective = OrdinalObjective(made, rows, terms, middle=middle, offset=rng.normal(size=len(made.left)))
    x = rng.normal(size=objective.size) * 0.7
    gradient = objective(x)[1]
    step = 1e-6
    for i in range(objective.size):
        e = np.zeros(objective.size)
        e[i] = step
        expected = (objective(x + e)[0] - objective(x - e)[0]) / (2 * step)
        assert gradient[i] == pytest.approx(expected, rel=1e-5, abs=1e-5)
    # the curvature by the logits: through a covariate of one row alone
    moved = np.zeros(objective.size)
    at = objective.dim + objective.n_effects
    moved[at] = 1e-4
    flat = terms.but(covariate_precision=0.0)
    free = OrdinalObjective(made, rows, flat, middle=middle, offset=objective.offset)
    second = (free(x + moved)[1][at] - free(x - moved)[1][at]) / 2e-4
    assert second == pytest.approx(free.curvature(x) @ made.design[:, 0] ** 2, rel=1e-4)


@pytest.mark.parametrize("middle", [True, False])
def test_probabilities_of_all_categories_sum_to_one(middle):
    made, _ = problem(n=1)
    for z in (-3.0, 0.0, 0.4, 40.0):
        total = 0.0
        for sign in (1.0, -1.0):
            for level in range(3):
                rows = OrdinalRows(
                    np.zeros(1, int),
                    np.array([sign]),
                    np.array([level]),
                    np.array([level + 1]),
                    np.zeros(1, bool),
                    np.zeros(1),
                    np.ones(1),
                    3,
                )
                objective = OrdinalObjective(made, rows, Terms(), middle=middle, offset=np.array([z]))
                total += np.exp(objective.log_likelihood(np.zeros(objective.size)))
        if middle:
            tie = OrdinalRows(
                np.zeros(1, int), np.ones(1), np.zeros(1, int), np.zeros(1, int), np.ones(1, bool), np.zeros(1),
                np.ones(1), 3,
            )  # fmt: skip
            objective = OrdinalObjective(made, tie, Terms(), middle=True, offset=np.array([z]))
            p = np.exp(objective.log_likelihood(np.zeros(objective.size)))
            assert p == pytest.approx(expit(z + 1) - expit(z - 1), rel=1e-12)
            total += p
        assert total == pytest.approx(1.0, abs=1e-12)


def test_a_single_pair_has_the_observed_shares():
    """With one logit and free thresholds, the six symmetric shares of a two-item problem are fitted."""
    counts = {(1.0, 0): 30, (1.0, 1): 20, (-1.0, 0): 15, (-1.0, 1): 5}
    n = len(counts)
    made, _ = PairProblem.build(
        np.zeros(n, int), np.zeros(n, int), np.ones(n, int), np.ones(n), np.ones(n), n_users=1, n_items=2
    )
    keys = list(counts)
    rows = OrdinalRows(
        np.arange(n),
        np.array([s for s, _ in keys]),
        np.array([level for _, level in keys]),
        np.array([level + 1 for _, level in keys]),
        np.zeros(n, bool),
        np.zeros(n),
        np.array([float(counts[key]) for key in keys]),
        2,
    )
    objective = OrdinalObjective(made, rows, Terms(item_precision=1e-6), middle=False)
    found = fit_ordinal(objective, rng=np.random.default_rng(0), tol=1e-12)
    p = objective.unpack(found.x)
    z, cut = p.item_effects[0] - p.item_effects[1], p.cuts[1]

    def loss(v):
        a, c = v
        strong, weak = expit(a - c), expit(a) - expit(a - c)
        other, faint = expit(-a - c), expit(-a) - expit(-a - c)
        return -(20 * np.log(strong) + 30 * np.log(weak) + 5 * np.log(other) + 15 * np.log(faint))

    from scipy.optimize import minimize

    best = minimize(loss, [0.5, 1.0], method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12})
    # the weak prior on the threshold moves it by a little
    assert (z, cut) == pytest.approx(tuple(best.x), abs=5e-3)
