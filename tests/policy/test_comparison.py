"""Policies side by side: the numbers are those of the policies, the front and the contested prompts by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pluralism.errors import UsageError
from pluralism.policy import FinitePolicy, by_voting, compare_policies, kl_optimal
from pluralism.social_choice import Utilities


@pytest.fixture(scope="module")
def utilities():
    rng = np.random.default_rng(0)
    return Utilities(rng.normal(size=(8, 4, 3)), None, [0.6, 0.3, 0.1], groups=["a", "b", "c"]).to_unit("gain")


def test_numbers_are_those_of_the_policies(utilities):
    policies = {
        "shares": kl_optimal(utilities, beta=0.3),
        "minority": kl_optimal(utilities, beta=0.3, weights=[0, 0, 1]),
        "vote": by_voting(utilities, "borda"),
    }
    found = compare_policies(policies)
    for i, policy in enumerate(policies.values()):
        np.testing.assert_allclose(found.group_utilities[i], policy.group_utilities)
        assert found.mean[i] == pytest.approx(policy.group_utilities @ utilities.shares)
        assert found.worst[i] == pytest.approx(policy.group_utilities.min())
        assert found.kl[i] == pytest.approx(policy.kl_mean)
    np.testing.assert_allclose(found.reference_utilities, 0.0, atol=1e-12)
    assert found.losers[1].tolist() == (policies["minority"].group_utilities < -1e-9).tolist()
    for i, one in enumerate(policies.values()):
        for j, other in enumerate(policies.values()):
            each = 0.5 * np.abs(one.probs - other.probs).sum(axis=1)
            assert found.distance[i, j] == pytest.approx(each.mean())
            assert (found.contested >= each - 1e-12).all()
    first = int(found.most_contested[0])
    assert found.contested[first] == found.contested.max()
    assert (
        found.favourites(first)["vote"] == utilities.candidates[utilities.items[first, policies["vote"].best()[first]]]
    )
    assert json.loads(found.to_json())["policies"][2]["policy"] == "vote"
    assert repr(found).count("\n") == 5


def test_the_front_holds_what_nothing_else_dominates():
    utilities = Utilities.from_matrix([[1.0, 0.0, 0.6, 0.4], [0.0, 1.0, 0.6, 0.4]])

    def always(place):
        return FinitePolicy(np.where(np.arange(4) == place, 0.0, -np.inf)[None], utilities, "always")

    found = compare_policies({name: always(i) for i, name in enumerate(["first", "second", "both", "less"])})
    assert found.on_front.tolist() == [False, False, True, False]


def test_policies_on_other_candidates_are_refused(utilities):
    other = utilities.take([0, 1])
    with pytest.raises(UsageError, match="'b' is on other candidates"):
        compare_policies({"a": kl_optimal(utilities, beta=1.0), "b": kl_optimal(other, beta=1.0)})
    with pytest.raises(UsageError, match="no policy"):
        compare_policies({})
