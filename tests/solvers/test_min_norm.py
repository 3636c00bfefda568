"""The point of least norm: closed forms, brute force, a certificate that holds, and what Frank-Wolfe leaves."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from pluralism.errors import UsageError
from pluralism.solvers.min_norm import frank_wolfe, min_norm


def test_two_gradients_have_the_closed_form():
    rng = np.random.default_rng(0)
    for _ in range(50):
        g = rng.normal(size=(2, 3)) + rng.normal(size=3)
        share = np.clip((g[1] - g[0]) @ g[1] / np.sum((g[0] - g[1]) ** 2), 0, 1)
        np.testing.assert_allclose(min_norm(g @ g.T).weights, [share, 1 - share], atol=1e-9)


def test_orthogonal_gradients_are_weighted_by_their_inverse_squares():
    lengths = np.array([1.0, 2.0, 0.5, 3.0])
    expected = lengths**-2 / np.sum(lengths**-2)
    np.testing.assert_allclose(min_norm(np.diag(lengths**2)).weights, expected, atol=1e-12)
    np.testing.assert_allclose(min_norm(np.eye(5)).weights, 0.2, atol=1e-12)


def test_the_certificate_holds_in_every_case():
    rng = np.random.default_rng(1)
    for trial in range(400):
        k, dim = rng.integers(1, 14), rng.integers(1, 14)
        g = rng.normal(size=(k, dim)) * np.exp(2 * rng.normal(size=(k, 1))) + rng.integers(2) * rng.normal(size=dim)
        if trial % 5 == 0 and k > 2:
            g[1] = g[0]
        gram = g @ g.T
        found = min_norm(gram)
        assert found.weights.min() >= 0
        assert found.weights.sum() == pytest.approx(1.0)
        assert found.value == pytest.approx(float(found.weights @ gram @ found.weights), abs=1e-9 * np.diag(gram).max())
        assert abs(found.residual) <= 1e-10 * np.diag(gram).max()
        if trial < 40 and k > 1:
            best = minimize(
                lambda w, m=gram: w @ m @ w,
                np.full(k, 1 / k),
                bounds=[(0, 1)] * k,
                constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            )
            assert found.value <= best.fun + 1e-6 * np.diag(gram).max()


def test_frank_wolfe_stops_before_the_optimum_that_the_active_set_reaches():
    rng = np.random.default_rng(2)
    short = []
    for _ in range(30):
        g = rng.normal(size=(5, 40)) + 0.3 * rng.normal(size=40)
        gram = g @ g.T
        weights = frank_wolfe(gram)
        assert weights.sum() == pytest.approx(1.0)
        short.append(float(weights @ gram @ weights) - min_norm(gram).value)
    assert min(short) > -1e-9
    assert max(short) < 0.05 * np.trace(gram) / 5


def test_matrices_that_are_no_gram_matrix_are_refused():
    for wrong in (np.ones((2, 3)), np.array([[1.0, 2.0], [0.0, 1.0]]), np.full((2, 2), np.nan)):
        with pytest.raises(UsageError, match="Gram"):
            min_norm(wrong)
