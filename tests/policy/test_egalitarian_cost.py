"""What egalitarianism costs: closed forms, signs, and the same numbers in all outputs."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pluralism.errors import UsageError
from pluralism.policy import egalitarian_cost, maxmin
from pluralism.social_choice import Utilities


def test_opposed_groups():
    made = Utilities.from_matrix([[1.0, -1.0], [-1.0, 1.0]], shares=[0.8, 0.2], groups=["many", "few"], unit="gain")
    cost = egalitarian_cost(made, beta=0.0)
    assert cost.mean_loss == pytest.approx(0.6)
    assert cost.worst_group_gain == pytest.approx(1.0)
    assert cost.price == pytest.approx(0.6)
    assert cost.to_frame().column_names == ["group", "share", "utilitarian", "egalitarian", "change", "weight"]
    assert json.loads(cost.to_json())["groups"][1]["change"] == pytest.approx(1.0)
    assert "the mean loses 0.6, the worst-off gain 1" in repr(cost)


def test_groups_that_agree_pay_nothing():
    made = Utilities.from_matrix([[1.0, -1.0], [1.0, -1.0]], shares=[0.8, 0.2], unit="gain")
    cost = egalitarian_cost(made, beta=0.1)
    assert cost.mean_loss == pytest.approx(0.0, abs=1e-9)
    assert cost.worst_group_gain == pytest.approx(0.0, abs=1e-9)
    assert json.loads(cost.to_json())["price"] is None or cost.worst_group_gain > 0


@pytest.mark.parametrize("seed", range(5))
def test_what_the_objectives_say(seed):
    rng = np.random.default_rng(seed)
    made = Utilities(rng.normal(size=(6, 5, 3)), None, [0.6, 0.3, 0.1]).to_unit("gain")
    cost = egalitarian_cost(made, beta=0.2)
    kl = cost.egalitarian.kl_mean - cost.utilitarian.kl_mean
    assert cost.mean_loss + 0.2 * kl >= -1e-9
    assert cost.worst_group_gain - 0.2 * kl >= -1e-9


@pytest.mark.parametrize("scope", ["global", "per_prompt"])
def test_a_vertex_is_as_good_and_mixes_fewer(scope):
    rng = np.random.default_rng(1)
    made = Utilities(rng.normal(size=(5, 8, 3))).to_unit("gain")
    middle, vertex = maxmin(made, beta=0.0, scope=scope), maxmin(made, beta=0.0, scope=scope, vertex=True)
    np.testing.assert_allclose(vertex.certificate.primal, middle.certificate.primal, atol=1e-8)
    assert vertex.certificate.holds(1e-8)
    assert np.sum(vertex.probs > 0) <= (5 + 3 if scope == "global" else 5 * 3)
    assert "a vertex" in vertex.method
    with pytest.raises(UsageError, match="no vertex"):
        maxmin(made, beta=0.1, scope=scope, vertex=True)
