"""Policies by direction: each direction gets most of what it asks for; a ranker that learns to follow directions."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pluralism.data import Items, Ratings
from pluralism.errors import DataError, UsageError
from pluralism.models import DirectionalReward
from pluralism.models.pareto import pareto_front
from pluralism.policy import DirectionalPolicy, attribute_utilities, best_of_n, kl_optimal, rejection_sampling
from pluralism.policy.rejection_sampling import _best_exactly, _best_of_draws
from pluralism.social_choice import Utilities
from pluralism.solvers.conditional_ranker import conditional_log_probs, fit_conditional_ranker

NAMES = ["helpfulness", "verbosity"]


def pools(seed, prompts=60, candidates=10, k=2, correlation=0.6):
    rng = np.random.default_rng(seed)
    mixing = np.linalg.cholesky(correlation + (1 - correlation) * np.eye(k))
    values = rng.normal(size=(prompts, candidates, k)) @ mixing.T
    return Utilities(values, rng.normal(size=(prompts, candidates)), groups=[*NAMES, "honesty", "wit"][:k])


def around(n):
    turn = 2 * np.pi * np.arange(n) / n
    return np.stack([np.cos(turn), np.sin(turn)], axis=1)


def test_at_equal_kl_a_direction_gets_most_from_its_own_policy():
    policy = DirectionalPolicy(attributes=pools(0), kl=0.5)
    directions = around(12)
    brought = np.stack([policy.at(v).group_utilities for v in directions])
    scores = directions @ brought.T
    assert np.all(np.argmax(scores, axis=1) == np.arange(12))
    front = policy.front(directions)
    np.testing.assert_allclose(front.mean, brought, atol=1e-9)
    assert front.attributes == NAMES and front.n_pools == 60
    np.testing.assert_array_equal(front.on_front, pareto_front(brought))
    assert np.all((front.low <= front.mean) & (front.mean <= front.high))
    np.testing.assert_allclose(front.reference, policy.attributes.reference_mean.mean(axis=0))


def test_the_three_strengths_are_the_policies_of_the_scalar_reward():
    attributes = pools(1)
    v = np.array([3.0, -4.0]) / 5
    np.testing.assert_allclose(
        DirectionalPolicy(attributes=attributes, beta=0.5).at([3, -4]).probs,
        kl_optimal(attributes, beta=0.5, weights=v).probs,
    )
    np.testing.assert_allclose(
        DirectionalPolicy(attributes=attributes, n=16).at(v).probs, best_of_n(attributes, 16, weights=v).probs
    )
    budget = DirectionalPolicy(attributes=attributes, kl=0.3).at(v)
    assert budget.kl_mean == pytest.approx(0.3) and budget.method.startswith("direction (0.60, -0.80), kl-budget 0.3")
    prompt = DirectionalPolicy(attributes=attributes, n=2).system_prompt(v, persona="Be kind.")
    assert prompt.endswith("helpfulness*60 + verbosity*-80") and prompt.startswith("Be kind.")


def test_a_front_by_other_ratings():
    attributes = pools(2)
    noisy = attributes.values + np.random.default_rng(0).normal(size=attributes.values.shape) * 2
    policy = DirectionalPolicy(attributes=attributes, n=8)
    own, other = policy.front(around(8)), policy.front(around(8), values=noisy)
    assert abs(other.hypervolume - own.hypervolume) < 0.5 * own.hypervolume and other.hypervolume != own.hypervolume
    with pytest.raises(UsageError, match="Values"):
        policy.front(around(8), values=noisy[:2])


def test_policies_of_a_fitted_model():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(120, 5))
    items = Items(
        ids=[f"i{i}" for i in range(120)],
        texts=[f"t{i}" for i in range(120)],
        prompts=[f"q{i % 12}" for i in range(120)],
    ).with_features(features, "simulated")
    value = features @ rng.normal(size=(5, 2))
    item, attribute = np.nonzero(np.ones((120, 2)))
    model = DirectionalReward(ridge=0.1).fit(
        Ratings(items, ["r"], np.zeros(240, int), item, value[item, attribute], attribute, NAMES)
    )
    attributes = attribute_utilities(model, items)
    assert attributes.groups == tuple(NAMES) and attributes.values.shape == (12, 10, 2)
    policy = DirectionalPolicy.from_model(model, items, n=1e9)
    chosen = policy.at([1.0, -1.0])
    picked = attributes.items[np.arange(12), chosen.best()]
    np.testing.assert_array_equal(np.sort(picked), np.sort(model.best_of_n(items, [1.0, -1.0])))
    names = [attributes.candidates[i] for i in picked]
    assert names == [f"i{i}" for i in picked]


def test_directional_refusals():
    attributes = pools(0)
    for bad in ({}, {"beta": 1.0, "n": 2}, {"beta": -1.0}, {"kl": np.nan}, {"n": 0.5}):
        with pytest.raises(UsageError):
            DirectionalPolicy(attributes=attributes, **bad)
    policy = DirectionalPolicy(attributes=attributes, n=2)
    for bad in ([0.0, 0.0], [1.0], [np.nan, 1.0]):
        with pytest.raises(UsageError, match="Directions"):
            policy.at(bad)


def test_the_ranker_gradient_and_its_fit():
    rng = np.random.default_rng(0)
    p = np.log(rng.dirichlet(np.ones(4), size=3))
    phi, v = rng.normal(size=(3, 4, 2)), rng.normal(size=(3, 5, 2))
    truth = rng.normal(size=(3, 2))
    target = np.exp(conditional_log_probs(truth, p, phi, v))
    np.testing.assert_allclose(target.sum(axis=2), 1.0)
    score = phi[1] @ (truth[0] + truth[1:].T @ v[1, 3])
    expected = np.exp(p[1] + score)
    np.testing.assert_allclose(target[1, 3], expected / expected.sum())
    found = fit_conditional_ranker(np.zeros((3, 2)), p, phi, v, target, penalty=1e-10)
    np.testing.assert_allclose(found.x.reshape(3, 2), truth, atol=1e-4)
    assert found.converged


@pytest.mark.parametrize("target", ["samples", "exact"])
@pytest.mark.parametrize("k", [2, 3])
def test_rounds_bring_more_on_held_out_prompts(k, target):
    train, test = pools(3, k=k), pools(4, prompts=80, k=k)
    run = rejection_sampling(
        train, n=4, n_rounds=3, target=target, evaluation=(test, None), angle=np.pi / 3, penalty=1e-2, rng=0
    )
    mean = run.reward.mean(axis=1)
    assert np.all(np.diff(mean)[:2] > 0.02) and mean[-1] > mean[0] + 0.5
    assert np.all(np.diff(run.kl.mean(axis=1))[:2] > 0)
    np.testing.assert_allclose(run.kl[0], 0.0, atol=1e-12)
    # directions are followed: hardly any is served better by the policy of another, and all worse by the average one
    directions = run.fronts[-1].directions
    scores = directions @ run.fronts[-1].mean.T
    assert np.all(np.diag(scores) > scores.max(axis=1) - 0.1)
    assert np.mean(np.diag(scores) - scores.mean(axis=1)) > 0.1
    frame = run.to_frame()
    assert frame.num_rows == 4 * 9 and f"mean_{train.groups[-1]}" in frame.column_names
    assert json.loads(run.to_json())["attributes"] == list(train.groups) and "hypervolume" in repr(run)
    np.testing.assert_allclose(run.reward[-1], [v @ m for v, m in zip(directions, run.fronts[-1].mean, strict=True)])


def test_directions_stay_in_the_cone_and_the_run_is_reproducible():
    train = pools(5, prompts=10, k=3)
    run = rejection_sampling(train, n=4, n_rounds=1, centre=[0.0, 1.0, -1.0], angle=0.5, rng=3)
    cosine = run.fronts[0].directions @ np.array([0.0, 1.0, -1.0]) / np.sqrt(2)
    assert np.all(cosine >= np.cos(0.5) - 1e-9)
    again = rejection_sampling(train, n=4, n_rounds=1, centre=[0.0, 1.0, -1.0], angle=0.5, rng=3)
    np.testing.assert_array_equal(run.ranker.coef, again.ranker.coef)
    whole = rejection_sampling(pools(5, prompts=10), n=2, n_rounds=1, angle=np.pi).fronts[0].directions
    np.testing.assert_allclose(whole.sum(axis=0), 0.0, atol=1e-9)


def test_a_ranker_that_can_imitate_is_the_best_of_n_draws():
    rng = np.random.default_rng(0)
    values = rng.normal(size=(1, 5, 2))
    pool = Utilities(values, rng.normal(size=(1, 5)), groups=NAMES)
    one_hot = np.eye(5)[None]
    v = np.array([[0.8, 0.6]])
    run = rejection_sampling(
        pool, features=one_hot, n=3, n_rounds=2, centre=v[0], angle=1e-9, target="exact", penalty=1e-9, shown=v
    )
    for round_, draws in enumerate((1, 3, 9)):
        policy = run.rankers[round_].policy(pool, one_hot, v[0])
        np.testing.assert_allclose(policy.probs, best_of_n(pool, draws, weights=v[0]).probs, atol=2e-4)
        assert run.kl[round_, 0] == pytest.approx(policy.kl_mean)


def test_sampled_targets_have_the_exact_ones_as_their_mean():
    rng = np.random.default_rng(0)
    pool = Utilities(np.tile(rng.normal(size=(1, 5, 1)), (20_000, 1, 1)), np.tile(rng.normal(size=(1, 5)), (20_000, 1)))
    log_q = pool.log_reference[:, None]
    reward = pool.values[:, None, :, 0]
    drawn = _best_of_draws(log_q, reward, 3, rng)
    np.testing.assert_array_equal(drawn.sum(axis=2), 1.0)
    np.testing.assert_allclose(drawn.mean(axis=0), _best_exactly(log_q, reward, 3)[0], atol=0.012)


def test_rejection_sampling_refusals():
    train = pools(0, prompts=5)
    for bad in (
        {"n": 0},
        {"n": 2.5},
        {"n_rounds": 0},
        {"angle": 0.0},
        {"angle": 4.0},
        {"penalty": 0.0},
        {"target": "best"},
        {"directions_per_prompt": 0},
        {"centre": [1.0, 0.0, 0.0]},
        {"shown": [[0.0, 0.0]]},
    ):
        with pytest.raises(UsageError):
            rejection_sampling(train, **bad)
    with pytest.raises(DataError, match="Features"):
        rejection_sampling(train, features=np.zeros((5, 3, 2)))
    with pytest.raises(DataError, match="other attributes"):
        rejection_sampling(train, evaluation=(pools(0, k=3), None))
