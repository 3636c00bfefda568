"""Win rates of groups and conditions: counted by hand, planted, and unmoved by what must not count."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.cross_scoring import cross_scores

GROUPS = ("a", "b")


def simple(rewards, reference, conditions=("tuned/a", "tuned/b"), **settings):
    return cross_scores(rewards, reference, groups=GROUPS, conditions=conditions, **{"bootstrap": 200, **settings})


def planted(seed, effect=0.6, k=4, prompts=40, samples=4):
    """Rewards in which condition g is better for group g, and two single policies: one for all, one for nobody."""
    rng = np.random.default_rng(seed)
    rewards = rng.normal(size=(k, k + 2, prompts, samples))
    rewards[np.arange(k), np.arange(k)] += effect
    rewards[:, k] += 0.5 * effect
    rewards[:, k + 1] -= effect
    groups = [f"g{i}" for i in range(k)]
    names = [*(f"tuned/{g}" for g in groups), "nash", "bad"]
    return rewards, rng.normal(size=(k, prompts, samples)), groups, names


def test_win_rates_by_hand():
    # one prompt has samples (2, 0) against (1, 1), the other (1, 1) against (1, 3)
    rewards = np.zeros((2, 2, 2, 2))
    rewards[0, 0] = [[2.0, 0.0], [1.0, 1.0]]
    reference = np.zeros((2, 2, 2))
    reference[0] = [[1.0, 1.0], [1.0, 3.0]]
    found = simple(rewards, reference)
    assert found.win_rate[0, 0] == pytest.approx((0.5 + 0.25) / 2)
    assert found.win_rate[1, 0] == 0.5
    assert found.gain[0, 0] == pytest.approx(1.0 - 1.5)
    # the second condition has zeros: (2, 0) beats (0, 0) by 0.75, (1, 1) always
    assert found.between[0, 0, 1] == pytest.approx((0.75 + 1.0) / 2)
    assert found.between[0, 1, 0] == pytest.approx(1 - found.between[0, 0, 1])
    np.testing.assert_allclose(found.between[:, [0, 1], [0, 1]], 0.5)


def test_the_diagonal_is_own_over_the_mean_of_others():
    rewards, reference, groups, names = planted(0)
    found = cross_scores(rewards, reference, groups=groups, conditions=names, bootstrap=300)
    test = found.diagonal("tuned")
    square = found.win_rate[:, :4]
    others = (square.sum(axis=1) - np.diag(square)) / 3
    np.testing.assert_allclose(test.group_statistic, np.diag(square) - others)
    assert test.statistic == pytest.approx(np.mean(np.diag(square) - others))
    assert test.interval[0] < test.statistic < test.interval[1]
    assert test.exact


@pytest.mark.parametrize("seed", range(3))
def test_a_planted_preference_is_found(seed):
    rewards, reference, groups, names = planted(seed, effect=1.0)
    found = cross_scores(rewards, reference, groups=groups, conditions=names, shares=[4, 3, 2, 1], bootstrap=300)
    test = found.diagonal("tuned")
    assert test.p < 1e-6
    assert test.group_p.max() < 0.01
    assert found.gainers[:, 4].all()
    assert found.losers[:, 5].all()
    assert not found.losers[np.arange(4), np.arange(4)].any()
    np.testing.assert_allclose(found.mean, np.array([0.4, 0.3, 0.2, 0.1]) @ found.win_rate)
    np.testing.assert_allclose(found.worst, found.win_rate.min(axis=0))
    assert found.worst_group[4] == groups[int(np.argmin(found.win_rate[:, 4]))]
    assert (found.worst_low <= found.worst_high).all()


def test_nothing_planted_is_seldom_found():
    ps = [
        cross_scores(r, ref, groups=g, conditions=n, bootstrap=0).diagonal("tuned").p
        for r, ref, g, n in (planted(seed, effect=0.0, prompts=12) for seed in range(60))
    ]
    assert np.mean(np.array(ps) < 0.05) < 0.15
    assert np.mean(ps) == pytest.approx(0.5, abs=0.12)


def test_intervals_over_prompts_have_their_coverage():
    inside = []
    for seed in range(120):
        rng = np.random.default_rng([7, seed])
        # prompts differ in how well a condition does on them; a win rate of one half on average
        level = rng.normal(size=30)
        rewards = np.broadcast_to(level[:, None], (2, 1, 30, 4)) + rng.normal(size=(2, 1, 30, 4))
        found = simple(rewards, rng.normal(size=(2, 30, 4)), conditions=("one",), rng=seed)
        inside.append(found.low[0, 0] <= 0.5 <= found.high[0, 0])
    assert 0.88 <= np.mean(inside) <= 0.99


@given(st.integers(0, 10_000))
def test_only_the_order_within_prompts_and_groups_counts(seed):
    rng = np.random.default_rng(seed)
    rewards, reference = rng.integers(0, 4, size=(2, 2, 3, 2)).astype(float), rng.integers(0, 4, size=(2, 3, 2)) * 1.0
    shift = rng.normal(size=(2, 3))
    found = simple(rewards, reference, bootstrap=0)
    moved = simple(
        np.exp(rewards) * 3.0 + shift[:, None, :, None], np.exp(reference) * 3.0 + shift[..., None], bootstrap=0
    )
    np.testing.assert_array_equal(found.win_rate, moved.win_rate)
    np.testing.assert_array_equal(found.between, moved.between)
    assert found.diagonals[0].p == moved.diagonals[0].p


def test_names_say_methods_and_groups():
    rewards = np.random.default_rng(0).normal(size=(2, 3, 5, 2))
    found = simple(rewards, rewards[:, 0], conditions=("tuned/a", "tuned/b", "maxmin"))
    assert found.methods == ("tuned", "tuned", "maxmin")
    assert found.made_for.tolist() == [0, 1, -1]
    assert [test.method for test in found.diagonals] == ["tuned"]
    assert found.columns("maxmin").tolist() == [2]
    with pytest.raises(UsageError, match="no method 'x'"):
        found.columns("x")
    with pytest.raises(UsageError, match="no condition for every group"):
        found.diagonal("maxmin")
    table = found.to_frame().to_pylist()
    assert len(table) == 6
    assert table[2] == {
        "condition": "tuned/b",
        "method": "tuned",
        "made_for": "b",
        "group": "a",
        "win_rate": found.win_rate[0, 1],
        "low": found.low[0, 1],
        "high": found.high[0, 1],
        "gain": found.gain[0, 1],
    }
    document = json.loads(found.to_json())
    assert document["diagonals"][0]["method"] == "tuned"
    assert "tuned: own over others" in repr(found)


def test_the_order_of_conditions_does_not_matter():
    rewards, reference, groups, names = planted(1, prompts=10)
    found = cross_scores(rewards, reference, groups=groups, conditions=names, bootstrap=0)
    turned = cross_scores(rewards[:, ::-1], reference, groups=groups, conditions=names[::-1], bootstrap=0)
    assert turned.diagonal("tuned").p == found.diagonal("tuned").p
    np.testing.assert_allclose(turned.diagonal("tuned").group_p, found.diagonal("tuned").group_p)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"rewards": np.zeros((2, 2, 3))}, "do not fit"),
        ({"reference": np.zeros((2, 4, 1))}, "do not fit"),
        ({"rewards": np.full((2, 2, 3, 1), np.nan)}, "NaN"),
        ({"conditions": ("x", "x")}, "same name"),
        ({"shares": [1.0, -1.0]}, "shares"),
        ({"made_for": {"tuned/a": "nobody"}}, "known groups"),
        ({"level": 1.5}, "level"),
    ],
)
def test_what_does_not_fit_is_refused(change, says):
    given = {"rewards": np.zeros((2, 2, 3, 1)), "reference": np.zeros((2, 3, 1)), "conditions": ("tuned/a", "tuned/b")}
    given |= change
    with pytest.raises((DataError, UsageError)) as caught:
        cross_scores(given.pop("rewards"), given.pop("reference"), groups=GROUPS, bootstrap=10, **given)
    assert says in str(caught.value)
