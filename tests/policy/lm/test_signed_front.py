"""Fronts of directions of either sign: volumes by hand and by counting, dominance, trends, and their bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.errors import UsageError
from pluralism.models.pareto import hypervolume
from pluralism.policy.lm.direction_trend import direction_trend, elevation
from pluralism.policy.lm.signed_front import signed_front, signed_hypervolume, signed_volumes

ANGLES = np.deg2rad([-45.0, -20.0, 0.0, 20.0, 45.0])
FAN = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1)


def test_of_positive_directions_it_is_the_hypervolume():
    points = np.random.default_rng(0).normal(size=(6, 3))
    directions = np.abs(np.random.default_rng(1).normal(size=(6, 3)))
    assert signed_hypervolume(points, directions, np.full(3, -1.0)) == hypervolume(points, np.full(3, -1.0))


def test_volume_by_counting_a_grid():
    points = np.random.default_rng(2).normal(size=(8, 2))
    reference = np.array([-1.0, 0.0])
    grid = np.stack(np.meshgrid(np.linspace(-4, 4, 801), np.linspace(-4, 4, 801)), axis=-1).reshape(-1, 2) + 0.005
    covered = np.zeros(len(grid), bool)
    for x, y in points:
        across = (grid[:, 0] > reference[0]) & (grid[:, 0] < x)
        covered |= across & (np.minimum(0, y) < grid[:, 1]) & (grid[:, 1] < np.maximum(0, y))
    assert signed_hypervolume(points, FAN, reference) == pytest.approx(covered.sum() * 1e-4, rel=0.02)


def test_a_policy_is_dominated_only_in_what_its_direction_asks_for():
    long, short = np.array([1.0, 2.0]), np.array([1.0, -2.0])
    v = np.array([[0.8, 0.6], [0.8, -0.6]])
    assert signed_front(np.stack([long, short]), v).tolist() == [True, True]
    assert signed_front(np.stack([short, long]), v).tolist() == [False, False]


def test_intervals_hold_the_value_and_a_gain_is_paired():
    rng = np.random.default_rng(3)
    start = rng.normal(size=(1, 1, 40, 2)) + np.zeros((1, 5, 40, 2))
    taken = np.concatenate([start, start + FAN[None, :, None]])
    counts = rng.multinomial(40, np.full(40, 1 / 40), 300) / 40
    found = signed_volumes(taken, counts, FAN, np.array([-1.0, 0.0]))
    assert (found.low < found.value).all() and (found.value < found.high).all()
    assert found.gain == pytest.approx(found.value[1] - found.value[0])
    assert 0 < found.gain_low < found.gain < found.gain_high
    # the same noise is in both, so the gain is surer than either
    assert found.gain_high - found.gain_low < found.high[1] - found.low[1]


def test_a_trend_by_hand():
    angle = elevation(FAN, 1)
    np.testing.assert_allclose(angle, np.rad2deg(ANGLES))
    taken = np.stack([0.02 * angle + shift for shift in (-1.0, 0.0, 1.0)], axis=1)
    trend = direction_trend(taken, angle, np.full((50, 3), 1 / 3), attribute="verbosity")
    assert (trend.spearman, trend.spearman_low, trend.spearman_high) == pytest.approx((1.0, 1.0, 1.0))
    assert (trend.slope, trend.slope_low, trend.slope_high) == pytest.approx((0.02, 0.02, 0.02))
    assert "verbosity: Spearman +1.000" in repr(trend)


def test_noise_has_no_trend_and_scipy_agrees():
    from scipy.stats import linregress, spearmanr

    rng = np.random.default_rng(5)
    taken, angle = rng.normal(size=(5, 60)), elevation(FAN, 1)
    counts = rng.multinomial(60, np.full(60, 1 / 60), 400) / 60
    trend = direction_trend(taken, angle, counts, attribute="x")
    assert trend.spearman == pytest.approx(spearmanr(angle, taken.mean(axis=1)).statistic)
    assert trend.slope == pytest.approx(linregress(angle, taken.mean(axis=1)).slope)
    assert trend.slope_low < 0 < trend.slope_high
    level = direction_trend(np.zeros((5, 60)), angle, counts, attribute="x")
    assert (level.spearman, level.slope) == (0.0, 0.0)


def test_one_angle_has_no_trend():
    with pytest.raises(UsageError, match="one angle"):
        direction_trend(np.zeros((2, 3)), np.zeros(2), np.full((5, 3), 1 / 3), attribute="x")
