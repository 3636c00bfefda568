"""Weights of groups: the saddle point of a small game, Nash's fixed point, constancy, restoring, bad inputs."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.errors import DataError, UsageError
from pluralism.policy import maxmin, nash
from pluralism.policy.lm.dual_weights import DualWeights, exponentiated_gradient
from pluralism.social_choice import Utilities

VALUES = np.random.default_rng(0).normal(size=(1, 6, 3))


def follow(rule, beta, steps):
    """Alternate: the best policy for the weights, then the weights' step."""
    gains = VALUES[0] - VALUES[0].mean(axis=0)
    state = rule.begin(("a", "b", "c"))
    for _ in range(steps):
        logits = gains @ state.weights / beta
        q = np.exp(logits - logits.max())
        state.update(q / q.sum() @ gains)
    return state


def test_maxmin_ends_at_the_saddle_point_of_the_solver():
    policy = maxmin(Utilities(VALUES, unit="raw").to_unit("gain"), beta=0.5)
    state = follow(DualWeights(rate=0.1), 0.5, 4000)
    np.testing.assert_allclose(state.weights, policy.certificate.weights[0], atol=1e-3)
    held = state.weights > 1e-3
    assert np.ptp(state.gains[held]) < 1e-3 and state.gains.min() == pytest.approx(
        policy.group_utilities.min(), abs=1e-3
    )


def test_nash_ends_at_the_fixed_point_of_the_solver():
    # the solver's price is of log-welfare; the weights here sum to 1, so the price is scaled by their sum
    gain = Utilities(VALUES, unit="raw").to_unit("gain")
    policy = nash(gain, beta=0.8)
    total = np.sum(1 / 3 / policy.group_utilities)
    state = follow(DualWeights(welfare="nash", memory=0.9), 0.8 / total, 2000)
    np.testing.assert_allclose(state.weights, policy.certificate.weights[0], atol=1e-4)


def test_utilitarian_weights_are_the_shares_whatever_happens():
    state = DualWeights(welfare="utilitarian", shares=(3.0, 1.0)).begin(("a", "b"))
    assert state.update([-5.0, 5.0]).tolist() == [0.75, 0.25]


def test_a_step_in_log_space_survives_large_gains_and_a_zero_stays():
    moved = exponentiated_gradient(np.array([0.5, 0.5, 0.0]), np.array([1e4, -1e4, -1e6]), rate=1.0)
    assert moved.tolist() == [0.0, 1.0, 0.0]


def test_gains_are_averaged_with_memory_and_a_run_is_restored():
    rule = DualWeights(memory=0.5)
    state = rule.begin(("a", "b"))
    state.update([1.0, 0.0])
    state.update([0.0, 0.0])
    assert state.gains.tolist() == [0.5, 0.0]
    other = rule.begin(("a", "b"))
    other.restore(state.to_dict())
    assert other.update([0.3, 0.1]).tolist() == state.update([0.3, 0.1]).tolist()
    with pytest.raises(DataError, match="other groups"):
        rule.begin(("a", "c")).restore(state.to_dict())


@pytest.mark.parametrize(
    "options",
    [{"welfare": "egalitarian"}, {"rate": 0.0}, {"memory": 1.0}, {"floor": -1.0}, {"shares": (1.0, 0.0)}],
)
def test_wrong_settings_are_refused(options):
    with pytest.raises(UsageError, match=next(iter(options))):
        DualWeights(**options)


def test_shares_and_gains_must_fit_the_groups():
    with pytest.raises(UsageError, match="2 shares do not fit 3 groups"):
        DualWeights(shares=(0.5, 0.5)).begin(("a", "b", "c"))
    with pytest.raises(DataError, match="finite"):
        DualWeights().begin(("a", "b")).update([0.0, float("nan")])
