"""Panels whose people answer one by one, and elections by what a model of low rank says that they want."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.errors import UsageError
from pluralism.progress.agent_run import run_agent
from pluralism.progress.agents.catalogue import make_agent
from pluralism.progress.agents.low_rank_vote import LowRankVote
from pluralism.progress.environment import TemporalEnv
from pluralism.progress.episodes import Episodes
from pluralism.progress.published_score import cosine
from pluralism.progress.simulated_drift import SimulatedDrift
from pluralism.progress.task import Task

CAMPS = SimulatedDrift(
    n_periods=4, dims=3, shares=(0.7, 0.3), start=0.0, group_start=1.2, mean_noise=0.02, spread=0.1, name="camps"
)
PANEL = {"survey_noise": None, "n_votes": 20, "n_queries": 30, "voters": "panel"}


def test_a_panel_is_the_same_people_in_every_period() -> None:
    """With sharp and static values everybody answers a repeated question alike, and as their own values say."""
    drift = SimulatedDrift(n_periods=4, dims=2, shares=(0.5, 0.5), group_start=50.0, spread=20.0)
    env = TemporalEnv("follow", drift, queries="repeated", **PANEL)
    observation, info = env.reset(seed=0)
    seen, ended = [info["initial"], observation], False
    while not ended:
        observation, _, ended, *_ = env.step(np.zeros(2))
        seen.append(observation)
    people = env.episodes.groups[0, 0][env.episodes._member[0]] + 20.0 * env.episodes._person[0]
    wants = people @ (seen[0]["query_phi"][:, 0] - seen[0]["query_phi"][:, 1]).T > 0
    for each in seen[:-1]:
        np.testing.assert_array_equal(each["query_phi"], seen[0]["query_phi"])
        np.testing.assert_allclose(each["answers"], each["ballots"].mean(axis=1), rtol=1e-6)
        assert (each["ballots"].T == wants).mean() > 0.97
    assert wants.shape == (20, 30) and not seen[-1]["ballots"].any()


def test_the_panel_is_drawn_from_its_groups() -> None:
    env = TemporalEnv("follow", CAMPS, survey_noise=None, n_votes=4000, n_queries=1, voters="panel")
    env.reset(seed=3)
    assert (env.episodes._member[0] == 0).mean() == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize("weights", ["free", pytest.param("mixture", marks=pytest.mark.slow)])
def test_elections_are_those_that_true_values_would_give(weights: str) -> None:
    task = Task(kind="follow", process=CAMPS, **PANEL)
    agent = LowRankVote("borda", weights=weights)
    run = run_agent(task, agent, range(2))
    majority = run.groups[:, 1:, 0]
    angles = cosine(run.values, majority[:, : task.n_steps])
    # Borda is the majority's choice wherever the majority ranks options in one way; the minority pulls some questions.
    assert angles.mean() > 0.8
    # The panel's people are told apart: each is on the side of its own group.
    people = agent.people(0)
    apart = people @ (run.groups[0, -1, 0] - run.groups[0, -1, 1])
    assert (np.sort(apart)[-8:] > 0).all() and (apart < apart.mean()).sum() <= 12


def test_without_memory_each_period_has_a_mixture_of_its_own() -> None:
    task = Task(kind="follow", process=CAMPS, **PANEL | {"n_votes": 8, "n_queries": 6})
    episodes = Episodes(task, 1)
    before = episodes.reset(np.arange(1), [np.random.default_rng(0)])
    seen = episodes.observe()
    found = []
    for initial in (before, {**before, "ballots": 1 - before["ballots"]}):
        agent = LowRankVote("utilitarian", weights="partition", discount=0.0)
        agent.begin(task, initial)
        found.append(agent.act(seen))
    np.testing.assert_array_equal(*found)


def test_rules_differ_where_people_do() -> None:
    """Of two camps that want opposite things plurality takes the larger; the worst-off rule stays between."""
    camps = SimulatedDrift(n_periods=3, dims=2, shares=(0.75, 0.25), start=0.0, group_start=1.5, spread=0.05)
    task = Task(kind="follow", process=camps, **PANEL)
    runs = {
        rule: run_agent(task, LowRankVote(rule, weights="free"), range(3))
        for rule in ("plurality", "utilitarian", "maxmin")
    }
    small = {rule: cosine(run.values, run.groups[:, 1 : 1 + task.n_steps, 1]).mean() for rule, run in runs.items()}
    assert small["maxmin"] > small["utilitarian"] > small["plurality"] - 0.05


def test_it_is_in_the_catalogue_and_says_what_it_needs() -> None:
    agent = make_agent("low_rank_vote:rule=schulze;rank=3;discount=1")
    assert (agent.rule, agent.rank, agent.discount) == ("schulze", 3, 1)
    with pytest.raises(UsageError, match="no panel"):
        run_agent(Task(kind="follow", n_votes=5), agent, [0])
    with pytest.raises(UsageError, match="no rule 'oracle'"):
        LowRankVote("oracle")
    with pytest.raises(UsageError, match="out of range"):
        LowRankVote(discount=1.5)
    with pytest.raises(UsageError, match="nobody votes"):
        Task(kind="follow", voters="panel")
