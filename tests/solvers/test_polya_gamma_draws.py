"""Draws of Polya-Gamma variables: their moments, and their Laplace transform, in closed form."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.solvers.polya_gamma_draws import draw_polya_gamma


@pytest.mark.parametrize("z", [0.0, 0.3, -2.0, 4.0, 12.0, 60.0, 400.0])
def test_moments_and_transform(z):
    n = 40_000
    draws = draw_polya_gamma(np.full(n, z), np.random.default_rng(1))
    assert (draws > 0).all()
    a = abs(z)
    mean = 0.25 if a == 0 else np.tanh(a / 2) / (2 * a)
    # (sinh z - z) / (4 z^3 cosh(z / 2)^2), without overflow
    variance = 1 / 24
    if a:
        cosh = 1 / np.cosh(min(a, 300.0) / 2) ** 2
        variance = (2 * np.tanh(a / 2) - a * cosh) / (4 * a**3)
    assert draws.mean() == pytest.approx(mean, abs=5 * np.sqrt(variance / n))
    assert draws.var() == pytest.approx(variance, rel=0.06)
    # E exp(-omega t^2 / 2) = cosh(z / 2) / cosh(sqrt(z^2 + t^2) / 2)
    t = 1.5 * max(1.0, np.sqrt(a))
    b = np.hypot(a, t)
    expected = np.exp((a - b) / 2) * (1 + np.exp(-a)) / (1 + np.exp(-b))
    assert np.exp(-draws * t**2 / 2).mean() == pytest.approx(expected, abs=0.01)


def test_the_generator_decides():
    z = np.linspace(-5, 5, 50)
    one, other = (draw_polya_gamma(z, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(one, other)
