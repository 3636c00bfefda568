"""Weights of rules at a given KL: those of their optima, and the best of n that follows them."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.errors import UsageError
from pluralism.policy import kl_optimal
from pluralism.policy.lm.welfare_policies import RULES, weights_at_kl
from pluralism.social_choice import Utilities


@pytest.fixture(scope="module")
def utilities():
    rng = np.random.default_rng(0)
    return Utilities(rng.normal(size=(30, 8, 3)), shares=[0.6, 0.3, 0.1], reference="samples").to_unit("gain")


@pytest.mark.parametrize("rule", RULES)
def test_one_reward_with_the_weights_has_the_optimum_of_the_rule(utilities, rule):
    weights, policy = weights_at_kl(utilities, rule, kl=0.5)
    assert weights.sum() == pytest.approx(1.0)
    assert policy.kl_mean == pytest.approx(0.5, rel=1e-3)
    # the tilt by these weights at the same KL is the same policy
    low, high = 1e-3, 1e3
    for _ in range(60):
        beta = np.sqrt(low * high)
        low, high = (beta, high) if kl_optimal(utilities, beta=beta, weights=weights).kl_mean > 0.5 else (low, beta)
    tilted = kl_optimal(utilities, beta=np.sqrt(low * high), weights=weights)
    np.testing.assert_allclose(tilted.probs, policy.probs, atol=2e-3)


def test_rules_weigh_as_they_say(utilities):
    np.testing.assert_allclose(weights_at_kl(utilities, "utilitarian", kl=0.5)[0], [0.6, 0.3, 0.1])
    weights, policy = weights_at_kl(utilities, "maxmin", kl=0.5)
    gains = policy.group_utilities
    np.testing.assert_allclose(gains[weights > 1e-3], gains.min(), atol=1e-3)
    nash, policy = weights_at_kl(utilities, "nash", kl=0.5)
    expected = utilities.shares / policy.group_utilities
    np.testing.assert_allclose(nash, expected / expected.sum(), rtol=1e-3)


def test_nash_without_a_common_gain_is_refused():
    opposed = np.stack([np.arange(4.0), -np.arange(4.0)], axis=-1)[None]
    with pytest.raises(UsageError, match="no policy serves all"):
        weights_at_kl(Utilities(opposed, reference="samples").to_unit("gain"), "nash", kl=0.2)
