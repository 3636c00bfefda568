import numpy as np
import pytest
from scipy.optimize import minimize

from pluralism.solvers import fit_item_bradley_terry


def random_pairs(seed, n_items=12, rows=400):
    rng = np.random.default_rng(seed)
    strength = rng.normal(size=n_items)
    left = rng.integers(n_items, size=rows)
    right = (left + 1 + rng.integers(n_items - 1, size=rows)) % n_items
    outcome = (rng.random(rows) < 1 / (1 + np.exp(strength[right] - strength[left]))).astype(float)
    return left, right, outcome


@pytest.mark.parametrize("precision", [0.01, 1.0])
def test_equals_a_general_optimiser(precision):
    left, right, outcome = random_pairs(0)
    weight = np.random.default_rng(1).choice([0.5, 1.0, 3.0], size=len(left))

    def objective(s):
        z = s[left] - s[right]
        return weight @ (np.logaddexp(0, z) - outcome * z) + 0.5 * precision * s @ s

    best = minimize(objective, np.zeros(12), method="BFGS", options={"gtol": 1e-8})
    found = fit_item_bradley_terry(left, right, outcome, weight, 12, precision=precision, tol=1e-13)
    np.testing.assert_allclose(found.strength, best.x, atol=1e-5)
    assert found.objective == pytest.approx(best.fun, abs=1e-8)
    assert found.converged
    assert np.all(np.diff(found.path) <= 0)


def test_two_items_have_the_closed_form():
    outcome = np.array([1.0, 1.0, 1.0, 0.0])
    found = fit_item_bradley_terry(
        np.zeros(4, dtype=int), np.ones(4, dtype=int), outcome, np.ones(4), 2, precision=1e-9, tol=1e-14
    )
    assert found.strength[0] - found.strength[1] == pytest.approx(np.log(3), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_agrees_with_choix(seed):
    choix = pytest.importorskip("choix")
    left, right, outcome = random_pairs(seed)
    winners = [(a, b) if y == 1 else (b, a) for a, b, y in zip(left, right, outcome, strict=True)]
    theirs = choix.opt_pairwise(12, winners, alpha=1e-6, tol=1e-10)
    ours = fit_item_bradley_terry(left, right, outcome, np.ones(len(left)), 12, precision=2e-6, tol=1e-14).strength
    np.testing.assert_allclose(ours - ours.mean(), theirs - theirs.mean(), atol=1e-4)


def test_rows_and_their_aggregate_give_the_same():
    left, right, outcome = random_pairs(2)
    twice = fit_item_bradley_terry(
        np.tile(left, 2), np.tile(right, 2), np.tile(outcome, 2), np.ones(2 * len(left)), 12, tol=1e-13
    )
    weighted = fit_item_bradley_terry(left, right, outcome, np.full(len(left), 2.0), 12, tol=1e-13)
    swapped = fit_item_bradley_terry(right, left, 1 - outcome, np.full(len(left), 2.0), 12, tol=1e-13)
    np.testing.assert_allclose(twice.strength, weighted.strength, atol=1e-9)
    np.testing.assert_allclose(swapped.strength, weighted.strength, atol=1e-9)


def test_no_rows_give_the_prior():
    empty = np.zeros(0, dtype=int)
    found = fit_item_bradley_terry(empty, empty, np.zeros(0), np.zeros(0), 3)
    assert found.strength.tolist() == [0, 0, 0]
    assert found.converged
