import numpy as np
from numba import njit

from pluralism.solvers.fast_exp import exp_negative


@njit
def over(x, out):
    for i in range(len(x)):
        out[i] = exp_negative(x[i])


def test_agrees_with_the_library_to_rounding():
    x = -np.concatenate([np.linspace(0, 700, 200_001), np.logspace(-300, 2, 1000)])
    out = np.empty_like(x)
    over(x, out)
    np.testing.assert_allclose(out, np.exp(x), rtol=5e-16)


def test_ends_of_the_range():
    out = np.empty(3)
    over(np.array([0.0, -1e9, -np.inf]), out)
    assert out[0] == 1.0
    assert 0 < out[1] < 1e-300
    assert out[2] == out[1]
