"""Budgets of KL, ensembles pushed too far, fronts, online against offline: closed forms and planted hacks."""

from __future__ import annotations

import numpy as np
import pytest
from instrument_checks import check_result

from pluralism.data.simulate import simulate_mixture
from pluralism.diagnostics import (
    ensemble_disagreement,
    ensemble_disagreement_of_model,
    kl_budget_curve,
    online_against_offline,
    utility_front,
    utility_front_of_values,
)
from pluralism.errors import DataError, UsageError
from pluralism.models import BradleyTerry, RewardEnsemble
from pluralism.policy import best_of_n, frontier, kl_budget, kl_optimal, maxmin
from pluralism.social_choice import Utilities


def made(seed=0, prompts=20, candidates=12, groups=2):
    rng = np.random.default_rng(seed)
    return Utilities(rng.normal(size=(prompts, candidates, groups)), shares=np.arange(1, groups + 1)).to_unit("gain")


def test_the_judges_own_curve_is_the_optimum_at_each_budget():
    utilities = made()
    found = kl_budget_curve({"noise": np.random.default_rng(1).normal(size=(20, 12))}, utilities, kl=[0.0, 0.4, 1.0])
    own = found.curves["the judge itself"]
    for k, budget in enumerate((0.0, 0.4, 1.0)):
        policy = kl_budget(utilities, kl=budget)
        np.testing.assert_allclose(own.kl[k], budget, atol=1e-9)
        np.testing.assert_allclose(own.judged[k], policy.group_utilities @ utilities.shares, atol=1e-9)
        np.testing.assert_allclose(own.group_utilities[k], policy.group_utilities, atol=1e-9)
    other = found.curves["noise"]
    assert (other.judged <= own.judged + 1e-9).all()
    # Without KL nobody gains; half the reference is beaten.
    np.testing.assert_allclose([other.judged[0], other.claimed[0], other.win_rate[0]], [0, 0, 0.5], atol=1e-12)
    assert (np.diff(other.claimed) > 0).all()
    check_result(found, rows=6)


def test_best_of_n_lies_below_the_judges_curve():
    utilities = made(2)
    points = frontier(utilities, n=[2, 8]).best_of_n
    found = kl_budget_curve({}, utilities, kl=points.kl).curves["the judge itself"]
    assert (found.judged >= points.reward - 1e-9).all()


def test_a_hacked_reward_rises_while_what_it_is_worth_falls():
    utilities = Utilities(np.array([[[0.0], [1.0], [2.0], [-9.0]]]), unit="raw")
    found = kl_budget_curve({"hacked": [[0.0, 1.0, 2.0, 3.0]], "sound": [[0.0, 1.0, 2.0, -1.0]]}, utilities)
    hacked, sound = found.curves["hacked"], found.curves["sound"]
    assert hacked.judged[-1] < hacked.judged[0] and (np.diff(hacked.claimed) > 0).all()
    assert sound.peak == len(sound.kl) - 1 and hacked.peak < sound.peak


def test_a_monotone_image_of_the_judge_is_as_good_at_the_end_only():
    utilities = Utilities(np.array([[[0.0], [1.0], [5.0]]]), unit="raw")
    found = kl_budget_curve({"cubed": [[0.0, 1.0, 125.0]]}, utilities, kl=[0.5, np.log(3)])
    own, cubed = found.curves["the judge itself"], found.curves["cubed"]
    np.testing.assert_allclose(cubed.judged[-1], own.judged[-1], atol=1e-6)
    assert cubed.judged[0] < own.judged[0]


def test_a_reward_of_any_size_and_a_constant_one():
    utilities, reward = made(9, prompts=4), np.random.default_rng(1).normal(size=(4, 12))
    rewards = {"small": reward, "large": 1e200 * reward, "constant": np.full((4, 12), 0.1)}
    curves = kl_budget_curve(rewards, utilities, kl=[0.3, 0.8]).curves
    np.testing.assert_allclose(curves["large"].claimed, curves["small"].claimed)
    np.testing.assert_allclose(curves["large"].judged, curves["small"].judged)
    np.testing.assert_allclose([curves["constant"].claimed, curves["constant"].kl], 0, atol=1e-12)


def test_members_that_agree_overstate_nothing():
    reward = np.random.default_rng(3).normal(size=(10, 16))
    found = ensemble_disagreement([reward, 2 * reward + 5, 0.1 * reward - 3], n=[1, 4, 16])
    np.testing.assert_allclose(found.overstated, 0, atol=1e-9)
    np.testing.assert_allclose(found.spread, 0, atol=1e-9)
    np.testing.assert_allclose(found.agreement, 1)
    # The mean of standardised members is that member: best-of-n of it, exactly.
    utilities = Utilities(reward[..., None], unit="raw")
    for k, n in enumerate((1, 4, 16)):
        policy = best_of_n(utilities, n)
        np.testing.assert_allclose(found.kl[k], policy.kl_mean, atol=1e-9)
    check_result(found, rows=3)


def test_members_that_err_apart_overstate_more_the_harder_they_are_pushed():
    for seed in range(3):
        rng = np.random.default_rng(seed)
        truth = rng.normal(size=(60, 24))
        found = ensemble_disagreement(truth + 1.2 * rng.normal(size=(4, 60, 24)), n=[1, 2, 8, 64])
        assert abs(found.overstated[0]) < 1e-9
        assert (np.diff(found.overstated) > 0).all() and (np.diff(found.kl) > 0).all()
        # A judge that was not asked sees a gain all the same.
        assert found.left_out[-1] > found.left_out[0]
        assert 0.5 < found.mean_agreement < 0.9


def test_a_fitted_ensemble():
    data = simulate_mixture(
        n_users=60, n_groups=2, n_items=60, n_prompts=12, dim=4, pairs_per_user=8, rng=0
    ).comparisons
    ensemble = RewardEnsemble(base=BradleyTerry(ridge=1.0, item_effects=False), n_members=3, rng=0).fit(data)
    found = ensemble_disagreement_of_model(ensemble, data.items, n=[1, 4])
    assert found.agreement.shape == (3, 3) and found.aggregate == "mean"
    assert found.kl[1] > 0.1 > found.kl[0] and found.mean_agreement > 0.6
    prompts = data.items.prompt_codes()
    z = ensemble.member_rewards(data.items)
    pairs = [(i, j) for i in range(60) for j in range(i) if prompts[i] == prompts[j]]
    same = np.mean([np.sign(z[0, i] - z[0, j]) == np.sign(z[1, i] - z[1, j]) for i, j in pairs])
    np.testing.assert_allclose(found.agreement[0, 1], same)


def test_rewards_of_any_size():
    rewards = np.random.default_rng(4).normal(size=(3, 4, 6))
    first, second = (ensemble_disagreement(factor * rewards, n=[1, 4]) for factor in (1, 1e200))
    np.testing.assert_allclose(second.claimed, first.claimed, atol=1e-12)
    np.testing.assert_allclose(second.left_out, first.left_out, atol=1e-12)
    # Rounding of a mean is no preference.
    with pytest.raises(DataError, match="same reward"):
        ensemble_disagreement(np.broadcast_to(np.array([[[0.1], [0.2], [0.3]]]), (2, 3, 7)))


def test_spread_by_hand():
    found = ensemble_disagreement([[[1.0, -1.0]], [[-1.0, 1.0]]], n=[1], aggregate="min")
    # Two members of opposite signs: at both candidates they are 2 apart.
    np.testing.assert_allclose(found.spread, np.sqrt(2))
    np.testing.assert_allclose(found.agreement, [[1, 0], [0, 1]])


def test_the_front_of_finite_policies():
    utilities = made(4, prompts=40)
    policies = {
        "shares": kl_optimal(utilities, beta=0.5),
        "maxmin": maxmin(utilities, beta=0.5),
        "timid": kl_optimal(utilities, beta=5.0),
    }
    found = utility_front(policies, n_bootstrap=150, rng=0)
    np.testing.assert_allclose(found.front.mean, [policy.group_utilities for policy in policies.values()])
    np.testing.assert_allclose(found.front.reference, 0, atol=1e-12)
    assert found.front.on_front.tolist() == [True, True, False]
    assert (found.front.low <= found.front.mean).all() and (found.front.mean <= found.front.high).all()
    alone = utility_front({"timid": policies["timid"]}, n_bootstrap=150, rng=0)
    assert alone.front.hypervolume_high < found.front.hypervolume_low
    np.testing.assert_allclose(alone.front.hypervolume, np.prod(alone.front.mean[0]))
    check_result(found, rows=3)


def test_prompts_that_count_more():
    values = np.random.default_rng(5).normal(size=(6, 4, 3))
    utilities = Utilities(values, unit="gain", prompt_weights=[5, 1, 1, 1, 1, 1])
    policy = kl_optimal(utilities, beta=1.0)
    found = utility_front({"one": policy})
    np.testing.assert_allclose(found.front.mean[0], policy.group_utilities)
    check_result(found, rows=1)
    # Where every prompt brings the same there is nothing to be unsure of.
    assert "over 1 prompt:" in repr(utility_front_of_values({"a": [[1.0]]}, groups=["x"], reference=[0.0]))
    same = utility_front_of_values({"a": np.ones((6, 1))}, groups=["x"], reference=[0.0], weights=[5, 1, 1, 1, 1, 0])
    np.testing.assert_allclose([same.front.low, same.front.mean, same.front.high], 1)
    np.testing.assert_allclose([same.front.hypervolume_low, same.front.hypervolume_high], 1)


def test_a_front_of_judged_values():
    values = {"a": [[1.0, 0.0], [3.0, 0.0]], "b": [[0.5, -1.0], [0.5, -1.0]]}
    found = utility_front_of_values(values, groups=["x", "y"], reference=[0.0, -2.0])
    np.testing.assert_allclose(found.front.mean, [[2, 0], [0.5, -1]])
    assert found.front.on_front.tolist() == [True, False] and found.front.hypervolume == 4.0
    check_result(found, rows=2)


@pytest.fixture(scope="module")
def many_candidates():
    """So many that few labels on the reference's pairs say little of the best."""
    return Utilities(1.5 * np.random.default_rng(6).normal(size=(30, 16, 1)), unit="raw")


def test_labels_on_its_own_answers_choose_better_far_from_the_reference(many_candidates):
    found = online_against_offline(many_candidates, n_labels=30, rounds=6, repeats=10, n_points=4, rng=0)
    low, _ = found.advantage_interval()
    assert low[-1] > 0.1
    # Nobody beats the truth, and without KL all are the reference.
    assert (found.judged <= found.ideal + 1e-9).all()
    np.testing.assert_allclose(found.judged[..., 0], found.ideal[0])
    # The offline way tells the reference's own pairs apart better, and chooses worse all the same.
    assert found.accuracy[1].mean() > found.accuracy[0].mean() > 0.5
    check_result(found, rows=4)


def test_one_round_of_labels_is_offline(many_candidates):
    found = online_against_offline(many_candidates, n_labels=20, rounds=1, repeats=20, n_points=2, rng=1)
    low, high = found.advantage_interval(0.999)
    assert low[-1] < 0 < high[-1]


def test_many_labels_meet_the_truth():
    utilities = made(7, prompts=5, candidates=4, groups=1)
    found = online_against_offline(utilities, n_labels=2000, rounds=2, precision=1e-3, repeats=1, kl=[0.5])
    np.testing.assert_allclose(found.judged[..., 0], found.ideal[0], rtol=0.03)
    assert found.accuracy.min() > 0.85
    assert np.isnan(found.advantage_interval()[0]).all()


def test_bad_input_is_refused():
    utilities = made()
    with pytest.raises(DataError, match="shape"):
        kl_budget_curve({"x": np.zeros((2, 2))}, utilities)
    with pytest.raises(UsageError, match="budgets"):
        kl_budget_curve({}, utilities, kl=[1.0, 0.5])
    with pytest.raises(UsageError, match="budgets"):
        kl_budget_curve({}, utilities, kl=[0.0, np.nan])
    with pytest.raises(UsageError, match="the name of the judge"):
        kl_budget_curve({"the judge itself": np.zeros((20, 12))}, utilities)
    with pytest.raises(DataError, match="two members"):
        ensemble_disagreement(np.zeros((1, 2, 2)))
    with pytest.raises(DataError, match="same reward"):
        ensemble_disagreement(np.zeros((2, 2, 2)))
    with pytest.raises(UsageError, match="aggregate"):
        ensemble_disagreement(np.zeros((2, 2, 2)), aggregate="max")
    with pytest.raises(UsageError, match="k=nan"):
        ensemble_disagreement(np.zeros((2, 2, 2)), k=np.nan)
    with pytest.raises(UsageError, match="no n"):
        ensemble_disagreement(np.ones((2, 2, 2)), n=[])
    with pytest.raises(DataError, match="do not fit"):
        utility_front_of_values({"a": np.zeros((2, 3))}, groups=["x"], reference=[0.0])
    with pytest.raises(DataError, match="weights are at least 0"):
        utility_front_of_values({"a": np.zeros((2, 1))}, groups=["x"], reference=[0.0], weights=[1, -1])
    with pytest.raises(UsageError, match="no coverage"):
        utility_front_of_values({"a": np.zeros((2, 1))}, groups=["x"], reference=[0.0], level=2.0)
    with pytest.raises(UsageError, match="rounds"):
        online_against_offline(utilities, n_labels=2, rounds=3)
    with pytest.raises(UsageError, match="worth the same"):
        online_against_offline(Utilities([[[0.5], [0.5], [0.0]]], [[-0.7, -0.7, -np.inf]]))
    with pytest.raises(UsageError, match="no coverage"):
        online_against_offline(utilities, n_labels=1, rounds=1, repeats=1, n_points=2).advantage_interval(2.0)
    with pytest.raises(UsageError, match="no logits"):
        online_against_offline(utilities.to_unit("cdf"))
