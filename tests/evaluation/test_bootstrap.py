from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

import pluralism as pl
from pluralism.data import Comparisons
from pluralism.data.simulate import simulate_mixture
from pluralism.evaluation import bootstrap


def test_every_draw_has_as_many_users_as_there_are(monkeypatch) -> None:
    monkeypatch.setattr(bootstrap, "BLOCK_CELLS", 100)
    blocks = list(bootstrap.resample_users(7, 50, np.random.default_rng(0)))
    counts = np.concatenate(blocks)
    assert len(blocks) > 1
    assert counts.shape == (50, 7)
    assert (counts.sum(axis=1) == 7).all()
    assert counts.mean() == 1
    assert 0.6 < counts.var() < 1.2


@given(
    st.lists(st.tuples(st.integers(0, 8), st.integers(0, 3)), min_size=1, max_size=20),
    st.sampled_from([0.1, 0.25, 0.5, 1.0]),
)
@settings(max_examples=50)
def test_weighted_quantile_is_the_quantile_of_the_copies(pairs, share: float) -> None:
    values, counts = np.array([v / 8 for v, _ in pairs]), np.array([[c for _, c in pairs]], float)
    found = bootstrap.weighted_quantile(values, counts, share)
    copies = np.repeat(values, counts[0].astype(int))
    if len(copies):
        assert found[0] == np.quantile(copies, share, method="inverted_cdf")
    else:
        assert np.isnan(found[0])


def test_intervals_cover_the_truth_as_stated_when_users_differ(known_mixture) -> None:
    """Answers of one user share that user's group, so rows alone would make the intervals too short."""
    big = simulate_mixture(n_users=4000, n_groups=1, n_items=60, dim=3, pairs_per_user=20, scale=2.0, rng=0)
    data = big.comparisons
    # A third of the people want the opposite: a user is predicted well or badly as a whole.
    outcome = np.where(data.user % 3 == 0, 1 - data.outcome, data.outcome)
    data = Comparisons(**{**vars(data), "outcome": outcome, "group": None, "groups": None})
    model = known_mixture(heads=big.truth.heads, weights=[1.0]).fit(data)
    truth = pl.evaluate(model, data, n_bootstrap=0)
    covered = {"accuracy": 0, "nll": 0, "brier": 0, "signed_confidence_gap": 0, "p10_user_accuracy": 0}
    widths = []
    n = 100
    for k in range(n):
        sample = data.take((data.user >= 40 * k) & (data.user < 40 * (k + 1)))
        found = pl.evaluate(model, sample, level=0.9, n_bootstrap=300, rng=k)
        for metric in covered:
            low, high = found.intervals[metric]
            covered[metric] += low <= getattr(truth, metric) <= high
        widths.append(np.diff(found.intervals["accuracy"])[0])
    for metric, times in covered.items():
        # Percentile intervals of 40 users fall a little short; far below would be rows taken for users.
        assert binomtest(times, n, 0.87).pvalue > 1e-3 or times > 87, (metric, times)
    by_rows = 2 * 1.645 * np.sqrt(truth.accuracy * (1 - truth.accuracy) / 800)
    assert np.mean(widths) > 1.5 * by_rows


def test_interval_of_means_agrees_with_theory(fitted, people) -> None:
    data = people.comparisons
    data = data.take(data.outcome != 0.5)
    found = pl.evaluate(fitted, data, n_bootstrap=4000)
    p = fitted.predict_proba(data)
    correct = (p > 0.5) == (data.outcome > 0.5)
    residual = np.bincount(data.user, correct - found.accuracy)
    sd = np.sqrt((residual**2).sum()) / len(data)
    low, high = found.intervals["accuracy"]
    assert (high - low) / (2 * 1.96) == pytest.approx(sd, rel=0.06)


def test_interval_of_nothing_is_nan() -> None:
    assert np.isnan(bootstrap.interval(np.array([np.nan, np.nan]), 0.9)).all()
    assert bootstrap.interval(np.array([np.nan, 1.0, 1.0]), 0.9) == (1.0, 1.0)
