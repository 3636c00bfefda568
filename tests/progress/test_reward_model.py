"""Agents that learn from votes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize

from pluralism.errors import UsageError
from pluralism.progress.agent_run import run_agent
from pluralism.progress.agents.catalogue import make_agent
from pluralism.progress.agents.reward_model import RewardModel, VoteFilter
from pluralism.progress.episodes import Episodes
from pluralism.progress.simulated_drift import SimulatedDrift
from pluralism.progress.task import Task

VOTES = {"survey_noise": None, "n_votes": 15, "n_queries": 6}


def task(kind: str = "follow", preset: str = "damped_trend", **changes) -> Task:
    settings = {**VOTES, **{k: changes.pop(k) for k in ("horizon", "n_votes") if k in changes}}
    return Task(kind=kind, process=SimulatedDrift.preset(preset, dims=6, **changes), **settings)


def cost(made: Task, name: str, n: int = 30) -> np.ndarray:
    return run_agent(made, make_agent(name), range(n)).cost


def test_the_filter_beats_reward_models_and_they_beat_what_learns_from_one_period() -> None:
    made = task()
    found = {
        name: cost(made, name)
        for name in ("vote_filter", "reward_model", "persistence", "reward_model:discount=0", "uniform")
    }
    np.testing.assert_allclose(found["reward_model:discount=0"], found["persistence"], rtol=1e-6)
    means = [found[name].mean() for name in ("vote_filter", "reward_model", "persistence", "uniform")]
    assert means == sorted(means) and means[0] < 0.8 * means[1] and means[1] < 0.9 * means[2]


def test_pooling_is_right_where_nothing_moves_and_wrong_where_much_does() -> None:
    for preset, settings, better in (("static", {}, "1"), ("random_walk", {"mean_noise": 0.4}, "0.5")):
        made = task(preset=preset, n_votes=30, **settings)
        costs = {value: cost(made, f"reward_model:discount={value}").mean() for value in ("1", "0.5")}
        assert min(costs, key=costs.get) == better


def test_one_update_is_the_most_likely_state() -> None:
    made = task(spread=0.0)
    episodes = Episodes(made, 1)
    before = episodes.reset(np.zeros(1, dtype=np.int64), [np.random.default_rng(0)])
    agent = VoteFilter()
    agent.begin(made, before)
    pairs = (before["query_phi"][0, :, 0] - before["query_phi"][0, :, 1]).astype(float)
    prior = made.process.system(0.0).start_covariance[0, 0]

    def loss(w: np.ndarray) -> float:
        odds = pairs @ w
        return float((15 * (np.logaddexp(0, odds) - before["answers"][0] * odds)).sum() + w @ w / (2 * prior))

    best = minimize(loss, np.zeros(6), tol=1e-12).x
    np.testing.assert_allclose(agent.mean[0, :6], best, atol=1e-4)
    chance = 1 / (1 + np.exp(-pairs @ best))
    precision = np.eye(6) / prior + pairs.T @ (pairs * (15 * chance * (1 - chance))[:, None])
    np.testing.assert_allclose(agent.covariance[0, :6, :6], np.linalg.inv(precision), atol=1e-5)


def test_the_filter_uses_the_trend() -> None:
    made = task("predict", "damped_trend", horizon=3, trend_noise=0.2, n_votes=60)
    assert cost(made, "vote_filter").mean() < 0.8 * cost(made, "reward_model").mean()


def test_extrapolated_heads_follow_the_published_rule() -> None:
    made = task("predict", "damped_trend", horizon=2)
    plain, ahead = RewardModel(order=0), RewardModel(order=1)
    for agent in (plain, ahead):
        run_agent(made, agent, range(2))
    heads = ahead.heads
    np.testing.assert_allclose(heads[-1], plain.heads[-1])
    episodes = run_agent(made, RewardModel(order=1), range(2))
    np.testing.assert_allclose(episodes.values[:, -1], heads[-1] + 2 * (heads[-1] - heads[-2]), atol=1e-9)


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="Nobody votes"):
        run_agent(Task(kind="follow"), RewardModel(), [0])
    with pytest.raises(UsageError, match="no law"):
        run_agent(Task(kind="coevolve", **VOTES), VoteFilter(), [0])
    with pytest.raises(UsageError, match="out of range"):
        RewardModel(discount=2.0)
