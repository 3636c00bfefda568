import numpy as np
import pytest
from scipy.special import expit

from pluralism.solvers import fit_tie_propensity, place_tie_propensity, tie_offset


def test_the_offset_is_davidsons():
    z, nu = np.array([-2.0, 0.0, 0.7, 3.0]), 0.8
    davidson = nu / (np.exp(z / 2) + np.exp(-z / 2) + nu)
    np.testing.assert_allclose(expit(np.log(nu) + tie_offset(expit(z))), davidson, rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_population_is_recovered(seed):
    rng = np.random.default_rng(seed)
    users, rows = 600, 30
    truth = rng.normal(-0.5, 1.2, users)
    user = np.repeat(np.arange(users), rows)
    offset = tie_offset(expit(rng.normal(0, 1.5, users * rows)))
    tied = rng.random(users * rows) < expit(truth[user] + offset)
    found = fit_tie_propensity(user, tied, offset, np.ones(users * rows), users)
    assert found.mean == pytest.approx(-0.5, abs=0.2)
    assert found.sd == pytest.approx(1.2, abs=0.2)
    assert np.corrcoef(found.user_mean, truth)[0, 1] > 0.85
    covered = np.abs(found.user_mean - truth) < 1.96 * np.sqrt(found.user_variance)
    assert 0.9 < covered.mean() < 0.99


def test_modes_are_those_of_a_grid():
    rng = np.random.default_rng(0)
    user = np.sort(rng.integers(0, 8, 60))
    offset, weight = -rng.random(60), rng.random(60)
    tied = rng.random(60) < 0.4
    mode, variance = place_tie_propensity(user, tied, offset, weight, 9, -0.3, 0.9)
    grid = np.linspace(-5, 5, 100_001)
    for u in range(9):
        mine = user == u
        p = expit(grid[:, None] + offset[mine])
        log_p = np.log(np.where(tied[mine], p, 1 - p)) @ weight[mine] - 0.5 * ((grid + 0.3) / 0.9) ** 2
        assert mode[u] == pytest.approx(grid[log_p.argmax()], abs=2e-4)
    assert mode[8] == pytest.approx(-0.3)
    assert variance[8] == pytest.approx(0.81)
