"""The tilt has at least the reward of best-of-n at equal KL."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pluralism.errors import UsageError
from pluralism.policy import best_of_n, frontier, win_rate
from pluralism.social_choice import Utilities
from pluralism.testing.collective_strategies import utilities


@settings(max_examples=15)
@given(utilities(), st.sampled_from(["global", "per_prompt"]))
def test_the_tilt_dominates_at_equal_kl(raw, scope):
    found = frontier(raw, n=[1, 3.5, 1000], scope=scope, n_points=2)
    scale = 1 + np.abs(raw.values).max()
    assert np.all(found.forgone >= -1e-9 * scale)
    np.testing.assert_allclose(found.tilt.kl, found.best_of_n.kl, rtol=1e-6, atol=1e-9)
    assert np.all(found.best_of_n.kl <= found.kl_bound + 1e-9)
    np.testing.assert_allclose(found.tilt.group_utilities @ raw.shares, found.tilt.reward, atol=1e-9 * scale)


def test_what_is_reported_is_what_the_policies_have():
    rng = np.random.default_rng(0)
    raw = Utilities(rng.normal(size=(20, 6, 2)), rng.normal(size=(20, 6)), [0.8, 0.2], unit="gain", groups=["a", "b"])
    found = frontier(raw, n=[8, 1, 2], weights=[1.0, -0.5], n_points=7)
    assert found.n.tolist() == [1.0, 2.0, 8.0]
    policy = best_of_n(raw, 8, weights=[1.0, -0.5])
    assert found.best_of_n.kl[2] == pytest.approx(policy.kl_mean)
    assert found.best_of_n.win_rate[2] == pytest.approx(win_rate(policy, weights=[1.0, -0.5]).mean())
    np.testing.assert_allclose(found.best_of_n.group_utilities[2], policy.group_utilities)
    assert found.best_of_n.win_rate[0] == pytest.approx(0.5)
    assert np.all(np.diff(found.curve.kl) > 0) and np.all(np.diff(found.curve.reward) > 0)
    # concave: each further nat brings less
    assert np.all(np.diff(found.curve.reward, 2) < 1e-9)
    frame = found.to_frame()
    assert frame.num_rows == 3 + 3 + 7 and "utility_b" in frame.column_names
    assert json.loads(found.to_json())["groups"] == ["a", "b"]
    assert "of the tilt" in repr(found)


def test_refusals():
    raw = Utilities.from_matrix([[0.0, 1.0]])
    with pytest.raises(UsageError):
        frontier(raw, n=[])
    with pytest.raises(UsageError):
        frontier(raw, n=[0.5])
    with pytest.raises(UsageError, match="scope"):
        frontier(raw, scope="local")
