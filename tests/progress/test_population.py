"""Populations and their twins; trust and lock-in."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.errors import UsageError
from pluralism.progress.population import POPULATION_PRESETS, Population
from pluralism.progress.simulated_drift import PRESETS
from pluralism.progress.trust import TrustDial


def constant(value: float, dims: int = 3):
    return lambda period, users: np.full(dims, value)


@pytest.mark.parametrize("name", [*PRESETS, *POPULATION_PRESETS])
def test_without_influence_the_population_is_its_twin(name: str) -> None:
    population = Population.preset(name, n_users=20, dims=3, influence=0.0, replacement=0.1, user_noise=0.05)
    run = population.simulate(constant(5.0), rng=1)
    np.testing.assert_array_equal(run.users, run.twin)
    assert not run.influence.any() and run.lock_in == 0.0
    assert "20 people" in repr(run) and run.to_frame().num_rows == 9 and '"lock_in": 0.0' in run.to_json()


def test_the_mean_follows_the_linear_law_with_influence() -> None:
    population = Population.preset("damped_trend", n_users=30, dims=3, influence=0.25, cohesion=0.1)
    assert population.exact
    run = population.simulate(constant(1.0), rng=2)
    mean = run.users.mean(axis=1)
    expected = mean[:-1] + np.diff(run.history, axis=0) + 0.25 * (1.0 - mean[:-1])
    np.testing.assert_allclose(mean[1:], expected, atol=1e-12)
    gap = mean - run.twin.mean(axis=1)
    np.testing.assert_allclose(run.influence, (gap**2).sum(axis=1))


def test_everybody_pulled_to_one_point_leaves_no_diversity() -> None:
    run = Population.preset("feedback", n_users=50, dims=3).simulate(constant(0.0), rng=0)
    np.testing.assert_allclose(run.diversity, 0.7 ** (2 * np.arange(9)), rtol=1e-9)
    assert run.lock_in > 0.99


def test_newcomers_forget_the_influence() -> None:
    kept, renewed = (
        Population.preset("static", n_users=400, dims=3, influence=0.3, replacement=rate).simulate(constant(2.0), rng=4)
        for rate in (0.0, 0.5)
    )
    assert renewed.influence[-1] < 0.5 * kept.influence[-1]
    assert not Population.preset("cohorts").exact


def test_bounded_confidence_ends_in_clusters_and_full_confidence_in_one() -> None:
    start = {"n_users": 60, "dims": 1, "spread": 1.0, "n_periods": 40, "user_noise": 0.0}
    narrow = Population.preset("bounded_confidence", **start, confidence=0.4).simulate(rng=0)
    wide = Population.preset("bounded_confidence", **start, confidence=50.0).simulate(rng=0)
    ends = np.sort(narrow.users[-1, :, 0])
    gaps = np.diff(ends)
    assert 1 < (gaps > 0.4).sum() + 1 < 12 and ((gaps < 1e-3) | (gaps > 0.4)).all()
    assert np.ptp(wide.users[-1]) < 1e-6
    assert not Population.preset("bounded_confidence").exact


def test_groups_differ_in_influence_and_fill_their_shares() -> None:
    population = Population.preset("polarise", n_users=31, dims=2, shares=(0.7, 0.3), influence=(0.0, 0.5))
    assert np.bincount(population.groups).tolist() == [22, 9]
    run = population.simulate(constant(3.0, 2), rng=0)
    apart = np.abs(run.users - run.twin)
    assert not apart[:, population.groups == 0].any() and apart[-1, population.groups == 1].min() > 0.5
    assert run.group_means().shape == (9, 2, 2)
    assert not population.exact


@pytest.mark.parametrize("seed", range(3))
def test_trust_above_one_locks_in_and_below_one_learns(seed: int) -> None:
    below, above = (TrustDial.preset(name).simulate(400, 100, rng=seed) for name in ("below", "above"))
    assert below.remaining == pytest.approx(np.sqrt(0.5), abs=0.05)
    assert above.remaining > 0.99
    errors = [run.beliefs[[200, -1], :, -1].std(axis=1) for run in (below, above)]
    assert errors[0][1] < 0.85 * errors[0][0] and errors[1][1] > 0.99 * errors[1][0]


def test_the_deviation_is_that_of_the_simulated_beliefs() -> None:
    dial = TrustDial(n_people=3, trust_in_model=0.8, trust_in_people=0.5)
    run = dial.simulate(12, 4000, rng=0)
    assert np.abs(np.linalg.eigvals(dial.matrix)).max() == pytest.approx(np.sqrt(dial.product))
    assert np.isnan(run.deviation[0])
    simulated = run.beliefs[1:, :, -1].std(axis=1)
    np.testing.assert_allclose(simulated, run.deviation[1:], rtol=0.05)
    assert "trust product 1.2" in repr(run)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="influence"):
        Population.preset("static", influence=(0.1, 0.2))
    with pytest.raises(UsageError, match="confidence"):
        Population.preset("static", confidence=0.0)
    with pytest.raises(UsageError, match="finite numbers"):
        Population.preset("static", n_users=3).simulate(lambda t, values: np.zeros(2), rng=0)
    with pytest.raises(UsageError, match="rounds"):
        TrustDial.preset("above").simulate(100_000)
