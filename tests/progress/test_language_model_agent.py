"""Language models that learn by DPO from period to period: which votes they learn from, and what becomes of them."""

from __future__ import annotations

import numpy as np
import pytest

from pluralism.errors import UsageError
from pluralism.progress.agent_run import run_agent
from pluralism.progress.agents import language_model
from pluralism.progress.agents.catalogue import make_agent
from pluralism.progress.agents.language_model import ExtrapolativeDPO, LifelongDPO
from pluralism.progress.episodes import Episodes
from pluralism.progress.items_in_words import worded_items
from pluralism.progress.published_score import cosine
from pluralism.progress.simulated_drift import SimulatedDrift
from pluralism.progress.task import Task

VOTES = {"survey_noise": None, "n_votes": 10, "n_queries": 24, "queries": "repeated"}
NAMES = ["freedom", "order", "care", "faith"]


def made(kind: str = "follow", n_periods: int = 4, **settings: object) -> Task:
    drift = SimulatedDrift(n_periods=n_periods, dims=4, start=1.2, mean_noise=0.05, spread=0.1)
    return Task(kind=kind, process=drift, items=worded_items(NAMES), **VOTES | settings)


def test_lifelong_learns_each_vote_of_the_last_period_and_extrapolative_the_published_rule() -> None:
    share = np.array([[0.5, 0.9, 0.8], [0.2, 0.3, 0.9], [0.9, 0.2, np.nan], [0.9, 0.2, 0.1], [np.nan] * 3])
    n = np.where(np.isnan(share), 0.0, 10.0)
    found = LifelongDPO().preferences(share, n)
    assert found.tolist() == [[8, 2], [9, 1], [0, 0], [1, 9], [0, 0]]
    agent = ExtrapolativeDPO(order=2, ahead=1)
    # Votes (0, 1, 1) with M = 2 come to nothing: the pair is left out, where the published code stops.
    assert agent.preferences(share, n).tolist() == [[0, 0], [5, 0], [4, 0], [1, 0], [0, 0]]
    one_back = ExtrapolativeDPO(order=1, ahead=1).preferences(share, n)
    assert one_back.tolist() == [[1, 0], [3, 0], [1, 0], [0, 1], [0, 0]]
    assert ExtrapolativeDPO(order=0, ahead=3).preferences(share, n).tolist()[3] == [0, 1]


def test_questions_become_rows_as_often_as_they_count() -> None:
    task = made()
    agent = LifelongDPO()
    agent.task = task
    times = np.zeros((64, 2), dtype=np.int64)
    times[3], times[5] = (2, 0), (0, 1)
    prompt, first, second = task.bank.words.query[3]
    _, other, preferred = task.bank.words.query[5]
    assert agent._rows(times) == {
        "prompt": [prompt] * 3,
        "chosen": [first, first, preferred],
        "rejected": [second, second, other],
    }


def test_what_a_language_model_needs_is_told() -> None:
    task = made()
    episodes = Episodes(task, 1)
    before = episodes.reset(np.arange(1), [np.random.default_rng(0)])
    with pytest.raises(UsageError, match="no words"):
        LifelongDPO().begin(Task(kind="follow", n_votes=1), before)
    with pytest.raises(UsageError, match="Nobody votes"):
        LifelongDPO().begin(task, {"period": np.zeros(1, dtype=np.int64)})
    with pytest.raises(UsageError, match="not possible"):
        LifelongDPO(beta=0.0)
    with pytest.raises(UsageError, match="not possible"):
        LifelongDPO(reference="middle")
    with pytest.raises(UsageError, match="ahead must"):
        ExtrapolativeDPO(ahead=-1)
    agent = make_agent("extrapolative_dpo:order=2;steps=7;independent=1;reference=last")
    assert (agent.order, agent.steps, agent.independent, agent.reference) == (2, 7, True, "last")


@pytest.fixture(scope="module")
def start():
    """A tiny model that writes the words of the questions."""
    return language_model._start("scratch", worded_items(NAMES).words.query, 0)


@pytest.mark.slow
def test_it_learns_what_people_want_from_other_questions(start) -> None:
    task = made(n_periods=9, n_queries=48)
    run = run_agent(task, LifelongDPO(model=start), [1])
    assert run.values.shape == (1, 8, 4) and cosine(run.values, run.target).min() > 0.8
    uniform = run_agent(task, make_agent("uniform"), [1])
    assert run.cost[0] < 0.6 * uniform.cost[0]
    # The start itself likes nothing: its words count for nothing, whatever it thinks of them.
    agent = LifelongDPO(model=start, steps=1, learning_rate=1e-9)
    still = run_agent(task, agent, [0])
    np.testing.assert_allclose(still.values, 0.0, atol=1e-3)


@pytest.mark.slow
def test_order_nought_is_lifelong_where_everybody_votes_once(start) -> None:
    # Nobody is asked anything twice.
    task = made("predict", n_votes=1, n_queries=4, horizon=1)
    lifelong = run_agent(task, LifelongDPO(model=start, steps=6), [0])
    nought = run_agent(task, ExtrapolativeDPO(order=0, model=start, steps=6), [0])
    np.testing.assert_allclose(nought.values, lifelong.values, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_a_run_in_a_folder_goes_on_and_independent_models_forget(start, tmp_path, monkeypatch) -> None:
    task = made()
    settings = {"model": start, "steps": 6, "folder": str(tmp_path)}
    first = run_agent(task, LifelongDPO(**settings), [0])
    folders = sorted(path.name for path in (tmp_path / "history 0").iterdir())
    assert folders == [f"period {t}" for t in range(4)]
    again = run_agent(task, LifelongDPO(**settings), [0])
    np.testing.assert_allclose(again.values, first.values, rtol=1e-5, atol=1e-6)
    with pytest.raises(UsageError):
        run_agent(task, LifelongDPO(**{**settings, "steps": 5}), [0])
    # Without memory the last model is that of the last period alone.
    alone = LifelongDPO(model=start, steps=6, independent=True)
    run = run_agent(task, alone, [0])
    fresh = LifelongDPO(model=start, steps=6)
    fresh.task, fresh.first, fresh.policies = task, start, [start]
    fresh.votes = alone.votes
    share, n = (part[0] for part in alone.votes[-1])
    trained = fresh._trained(0, fresh.preferences(share[:, None], n[:, None]))
    np.testing.assert_allclose(fresh._log_probs(trained), fresh._log_probs(alone.policies[0]), rtol=1e-5)
    assert not np.allclose(run.values[0, -1], first.values[0, -1], atol=1e-3)
