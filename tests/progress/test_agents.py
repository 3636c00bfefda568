"""Agents against formulas and definitions; oracles that nobody beats."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from scipy.optimize import minimize

from pluralism.errors import UsageError
from pluralism.progress.agent_run import run_agent
from pluralism.progress.agents.catalogue import agent_names, make_agent
from pluralism.progress.agents.extrapolation import Extrapolative, extrapolate_votes, extrapolated
from pluralism.progress.agents.naive import Lifelong
from pluralism.progress.coevolution_frontiers import WEIGHTS, coevolution_frontier
from pluralism.progress.published_score import coevolve_bound, coevolve_score, extrapolation_weights
from pluralism.progress.riccati import coevolution_optimum
from pluralism.progress.scoring import mean_interval, normalised_score
from pluralism.progress.simulated_drift import SimulatedDrift
from pluralism.progress.task import Task
from pluralism.progress.toy_chain import ToyChain
from pluralism.progress.vote_estimate import vote_estimate

WIDE = SimulatedDrift.preset("damped_trend", dims=400)


def within(values: np.ndarray, expected: float, errors: float = 3.0) -> bool:
    return abs(values.mean() - expected) < errors * values.std(ddof=1) / np.sqrt(len(values))


def test_weights_of_differences() -> None:
    assert [extrapolation_weights(m).tolist() for m in range(4)] == [[1], [-1, 2], [1, -3, 3], [-1, 4, -6, 4]]
    cubic = (np.arange(6.0) ** 3)[:, None]
    assert extrapolated(cubic, 3, 4)[0] == pytest.approx(9.0**3)
    assert extrapolated(cubic[:2], 3, 1)[0] == 2.0


def test_votes_that_cancel_teach_nothing() -> None:
    share = np.array([[0.5, 0.9, 0.8], [0.2, 0.3, 0.9], [np.nan, np.nan, np.nan], [0.9, 0.2, 0.1]])
    ordering, weight = extrapolate_votes(share, 2)
    assert ordering.tolist() == [0, 1, 0, 1] and weight.tolist() == [0, 5, 0, 1]
    ordering, weight = extrapolate_votes(share, 0)
    assert ordering.tolist() == [1, 1, 0, -1] and weight.tolist() == [1, 1, 0, 1]


@pytest.mark.parametrize("horizon", [1, 2, 4])
def test_forecasts_reach_the_errors_of_the_formulas(horizon: int) -> None:
    task = Task(kind="predict", process=WIDE, horizon=horizon)
    kalman, state = (run_agent(task, make_agent(name), range(60)).loss for name in ("kalman", "state_oracle"))
    for step in range(task.n_steps):
        assert within(kalman[:, step], task.system.least_mse(step + 1, horizon), 3.5)
        assert within(state[:, step], task.system.forecast_variance(step + 1, horizon), 3.5)
    assert within(kalman.mean(axis=1), np.mean([task.system.least_mse(t + 1, horizon) for t in range(task.n_steps)]))
    assert run_agent(task, make_agent("clairvoyant"), range(3)).loss.max() < 1e-30


@pytest.mark.parametrize("kind", ["follow", "predict"])
@pytest.mark.parametrize("preset", ["random_walk", "damped_trend", "s_curve", "cycle", "polarise"])
def test_nobody_beats_the_oracle_of_following_and_predicting(kind: str, preset: str) -> None:
    task = Task(kind=kind, process=SimulatedDrift.preset(preset, dims=100))
    oracle = run_agent(task, make_agent("kalman"), range(20)).cost
    names = ["uniform", "frozen", "persistence", "pooled", "lifelong", "extrapolative", "straight_line", "damped_trend"]
    for name in names:
        gap = run_agent(task, make_agent(name), range(20)).cost - oracle
        assert gap.mean() > -3 * gap.std() / np.sqrt(20), name


@pytest.mark.parametrize("influence", ["proxy", "direct"])
@pytest.mark.parametrize("weights", [(1.0, 0.5), (0.0, 1.0), (0.3, 0.0)])
def test_the_optimum_of_coevolution_costs_what_the_formula_says(weights: tuple, influence: str) -> None:
    task = Task(
        kind="coevolve",
        process=SimulatedDrift.preset("damped_trend", dims=200, n_periods=12),
        history_weight=weights[0],
        influence_weight=weights[1],
        influence=influence,
    )
    optimum = coevolution_optimum(task)
    runs = {name: run_agent(task, make_agent(name), range(40)).cost for name in ("riccati", "lqg")}
    if influence == "direct":
        # People are on the path of their twin: whoever knows it serves them without moving them.
        assert optimum.cost == pytest.approx(0.0, abs=1e-12) and runs["riccati"].max() < 1e-20
    else:
        assert within(runs["riccati"], optimum.cost)
    assert within(runs["lqg"], optimum.survey_cost)
    assert optimum.cost < optimum.survey_cost
    for name in ("history", "lead", "frozen", "persistence", "kalman", "damped_trend", "uniform"):
        cost = run_agent(task, make_agent(name), range(40)).cost
        assert cost.mean() > runs["riccati"].mean() - 1e-12, name
        if name not in ("history", "lead"):
            assert cost.mean() > runs["lqg"].mean(), name


def test_the_optimum_is_that_of_a_numerical_search() -> None:
    """Without noise the best sequence of actions is a least-squares problem."""
    drift = SimulatedDrift(n_periods=6, dims=1, damping=0.8, start=1.0, start_trend=0.5)
    task = Task(kind="coevolve", process=drift, survey_noise=0.0)
    run = run_agent(task, make_agent("riccati"), [3])
    lqg = run_agent(task, make_agent("lqg"), [3])
    mean = run.mean[0, :, 0]

    def total(actions: np.ndarray) -> float:
        h = c = mean[0]
        cost = 0.0
        for t, a in enumerate(actions, start=1):
            cost += (a - h) ** 2
            between = h + 0.2 * (mean[t] - h)
            h, c = between + 0.36 * (a - between), c + 0.2 * (mean[t] - c)
            cost += (h - mean[t + 1]) ** 2 + 0.5 * (h - c) ** 2
        return cost

    best = minimize(total, np.zeros(4), tol=1e-14)
    np.testing.assert_allclose(run.values[0, :, 0], best.x, atol=1e-5)
    assert run.cost[0] * 4 == pytest.approx(best.fun, abs=1e-9)
    assert lqg.cost[0] >= run.cost[0] - 1e-12


def test_leading_and_freezing_are_both_punished_and_the_published_score_pays_for_leading() -> None:
    drift = SimulatedDrift.preset("damped_trend", dims=19, start_trend=0.2, n_periods=9)
    ours = Task(kind="coevolve", process=drift)
    cost = {n: run_agent(ours, make_agent(n), range(20)).cost.mean() for n in ("riccati", "history", "lead", "frozen")}
    assert cost["riccati"] < cost["history"] < min(cost["lead"], cost["frozen"])
    published = Task(kind="coevolve", process=drift, metric="progressgym")
    score = {n: run_agent(published, make_agent(n), range(20)).score.mean() for n in ("history", "lead", "frozen")}
    assert score["lead"] > score["history"] > score["frozen"]


def test_the_published_score_has_its_bound() -> None:
    history = np.random.default_rng(0).normal(size=(9, 4)) + np.linspace(0, 3, 9)[:, None]
    assert coevolve_score(history[-1], history) == pytest.approx(1.0)
    assert coevolve_bound(history) == pytest.approx((coevolve_score(history[0], history) + 8) / 9)


@pytest.mark.parametrize("weights", [(1.0, 0.5), (0.0, 2.0)])
def test_the_toy_is_solved_as_by_enumeration(weights: tuple) -> None:
    chain = ToyChain(2, 1, 0.2, 0.6, *weights)
    _, value = chain.solve()
    least = np.full((2, 2, 2), np.inf)
    for choice in product(range(2), repeat=8):
        least = np.minimum(least, chain.evaluate(np.array(choice).reshape(1, 2, 2, 2)))
    np.testing.assert_allclose(value, least)


def test_no_policy_beats_the_dynamic_programme_and_simulation_agrees_with_it() -> None:
    chain = ToyChain()
    best, value = chain.solve()
    np.testing.assert_allclose(chain.evaluate(best), value)
    h, _, mu = np.meshgrid(*[np.arange(5)] * 3, indexing="ij")
    rng = np.random.default_rng(0)
    for policy in (h, mu, np.zeros_like(h), rng.integers(5, size=h.shape)):
        assert (chain.evaluate(np.repeat(policy[None], 6, axis=0)) >= value - 1e-12).all()
    totals = np.zeros(4000)
    people, twin, history = (np.full(4000, k) for k in (1, 1, 3))
    for t in range(6):
        action = best[t, people, twin, history]
        totals += (action - people) ** 2
        heard, step = rng.random(4000) < 0.5, rng.choice([1, -1, 0], p=[0.3, 0.3, 0.4], size=4000)
        twin = np.where(heard, twin, twin + np.sign(history - twin))
        people = people + np.sign(np.where(heard, action, history) - people)
        history = np.clip(history + step, 0, 4)
        totals += (people - history) ** 2 + 0.5 * (people - twin) ** 2
    assert within(totals, value[1, 1, 3])


def test_votes_give_back_the_values_they_were_cast_with() -> None:
    rng = np.random.default_rng(0)
    values, pairs = rng.normal(size=(3, 4)) / 2, rng.normal(size=(3, 300, 4))
    share = 1 / (1 + np.exp(-np.einsum("bqd,bd->bq", pairs, values)))
    found = vote_estimate(pairs, share, np.full((3, 300), 50.0))
    np.testing.assert_allclose(found, values, atol=2e-3)
    assert not vote_estimate(pairs, share, np.zeros((3, 300))).any()


def test_agents_work_on_votes_alone() -> None:
    drift = SimulatedDrift.preset("damped_trend", dims=4, spread=0.2)
    task = Task(kind="follow", process=drift, survey_noise=None, n_votes=50, n_queries=20)
    cost = {name: run_agent(task, make_agent(name), range(20)).cost.mean() for name in ("persistence", "uniform")}
    assert cost["persistence"] < 0.3 * cost["uniform"]
    assert run_agent(task, make_agent("persistence"), [0]).n_answers == 50 * 20 * 8
    with pytest.raises(UsageError, match="no surveys"):
        run_agent(task, make_agent("kalman"), [0])


def test_normalised_scores_and_where_they_mean_nothing() -> None:
    oracle, reference = np.array([1.0, 2.0, 1.5]), np.array([3.0, 4.0, 5.0])
    assert normalised_score(oracle, reference, oracle).value == 1.0
    assert normalised_score(reference, reference, oracle).value == 0.0
    half = normalised_score((reference + oracle) / 2, reference, oracle)
    assert half.value == pytest.approx(0.5) and half.low == pytest.approx(0.5) == half.high
    undefined = normalised_score(oracle, oracle, oracle)
    assert np.isnan(undefined.value) and "as good as" in undefined.reason
    assert "better than" in normalised_score(oracle, oracle, reference).reason
    with pytest.raises(UsageError, match="same histories"):
        normalised_score(oracle[:2], reference, oracle)
    mean, low, high = mean_interval(np.random.default_rng(0).normal(size=200))
    assert low < mean < high and high - low == pytest.approx(2 * 1.96 / np.sqrt(200), rel=0.15)


def test_intervals_cover() -> None:
    """Of 95 % intervals over 40 histories, about that many hold the truth."""
    rng = np.random.default_rng(1)
    held = 0
    for seed in range(200):
        oracle = rng.gamma(4.0, size=40)
        reference = oracle + rng.gamma(2.0, size=40)
        score = normalised_score(0.7 * oracle + 0.3 * reference + rng.normal(0, 0.3, 40), reference, oracle, rng=seed)
        held += score.low <= 0.7 <= score.high
    assert 178 <= held <= 199


def test_agents_are_made_by_name() -> None:
    assert {"kalman", "persistence", "lqg"} <= set(agent_names())
    assert make_agent("lifelong:rate=0.25").rate == 0.25
    past = np.arange(4.0)[None, :, None]
    assert Lifelong(1.0).forecast(past, 0)[0, 0] == 3.0
    assert Lifelong(0.5).forecast(past, 0)[0, 0] == pytest.approx(((0 * 0.5 + 1 * 0.5) * 0.5 + 2 * 0.5) * 0.5 + 1.5)
    for name, match in [
        ("nobody", "no agent"),
        ("lifelong:rate", "not a setting"),
        ("lifelong:colour=1", "does not take"),
        ("lifelong:rate=0", "rate must"),
        ("extrapolative:order=-1", "order must"),
    ]:
        with pytest.raises(UsageError, match=match):
            make_agent(name)
    assert Extrapolative(2).order == 2
    with pytest.raises(UsageError, match="coevolution"):
        run_agent(Task(kind="coevolve"), make_agent("clairvoyant"), [0])


def test_leading_and_freezing_are_dominated_and_no_naive_agent_is_on_the_frontier_of_its_weights() -> None:
    task = Task(kind="coevolve", process=SimulatedDrift.preset("damped_trend", dims=50, start_trend=0.2))
    frontier = coevolution_frontier(task)
    assert {"lead", "frozen"} <= set(frontier.dominated())
    for (stay, move), own in zip(WEIGHTS, frontier.aims, strict=False):
        costs = frontier.aims @ [1.0, stay, move]
        assert costs.min() == pytest.approx(own @ [1.0, stay, move], rel=1e-9)
    assert frontier.to_frame().num_rows == len(WEIGHTS) + 4 and "optimum ω=1, λ=0.5" in repr(frontier)
    with pytest.raises(UsageError, match="no weights"):
        coevolution_frontier(task, weights=())
