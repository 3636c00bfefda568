"""The shortcut is worse than what it stands for: on partly opposed groups even worse than the mean reward."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.errors import ComparabilityWarning
from pluralism.policy import kl_optimal, sample_minimum
from pluralism.social_choice import Utilities


@pytest.mark.parametrize("seed", range(5))
def test_the_least_group_has_less_than_under_the_mean_reward(seed):
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(200, 8, 1))
    own = rng.normal(size=(200, 8, 3))
    own[..., 2] = -own[..., 0]
    made = Utilities(0.3 * shared + own).to_unit("gain")
    beta = 0.5

    def least(policy):
        return policy.group_utilities.min() - beta * policy.kl_mean

    assert least(sample_minimum(made, beta=beta)) < least(kl_optimal(made, beta=beta)) - 0.01


def test_opposed_groups_are_both_better_off_with_a_mixture():
    opposed = Utilities.from_matrix([[1.0, -1.0, -0.1], [-1.0, 1.0, -0.1]], unit="gain")
    policy = sample_minimum(opposed, beta=0.0)
    np.testing.assert_allclose(policy.probs, [[0.0, 0.0, 1.0]])
    assert policy.group_utilities.min() < 0.0
    with pytest.warns(ComparabilityWarning):
        sample_minimum(Utilities.from_matrix([[1.0, 0.0], [0.0, 1.0]]), beta=1.0)
