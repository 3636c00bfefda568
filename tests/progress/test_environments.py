"""The environments: Gymnasium's own checks, the timeline, the scores, and one implementation for one and many."""

from __future__ import annotations

import sys
from itertools import product
from types import ModuleType
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import FlattenObservation

import pluralism.progress
from pluralism.errors import DataError, MissingExtraError, UsageError
from pluralism.progress.agent_run import run_agent
from pluralism.progress.agents.catalogue import make_agent
from pluralism.progress.environment import TemporalEnv
from pluralism.progress.registration import register_environments
from pluralism.progress.simulated_drift import PRESETS, SimulatedDrift
from pluralism.progress.task import Task
from pluralism.progress.task_settings import KINDS
from pluralism.progress.trajectory_table import TrajectoryTable
from pluralism.progress.vector_environment import TemporalVectorEnv
from pluralism.progress.wrappers import OracleInfo, QueryBudget, RecordTemporalStatistics

register_environments()
SMALL = {"dims": 3, "n_queries": 2}
MODES = [
    {"action": action, "metric": metric, **votes}
    for action, metric, votes in product(
        ("values", "policy"),
        ("v2", "progressgym"),
        (
            {},
            {"n_votes": 3},
            {"n_votes": 3, "survey_noise": None, "queries": "chosen"},
            {"n_votes": 3, "survey_noise": None, "queries": "repeated", "voters": "panel"},
        ),
    )
]


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: "-".join(map(str, mode.values())))
def test_gymnasium_finds_no_fault(name: str, mode: dict) -> None:
    env = gym.make(f"pluralism/{name}", **SMALL, **mode)
    check_env(env.unwrapped)
    env.close()


@pytest.mark.parametrize("process", PRESETS)
def test_every_process_is_a_faultless_environment(process: str) -> None:
    for kind in KINDS.values():
        check_env(TemporalEnv(kind, process, dims=2, reveal=True), skip_render_check=True)
    check_env(TemporalEnv("coevolve", process, dims=2, influence="direct"), skip_render_check=True)


@pytest.mark.parametrize("name", KINDS)
def test_wrapped_environments_have_no_fault_and_questions_cost(name: str) -> None:
    inner = TemporalEnv(KINDS[name], **SMALL, n_votes=5, render_mode="ansi")
    with pytest.warns(UserWarning, match="is different from the unwrapped version"):
        check_env(OracleInfo(QueryBudget(inner, cost=0.01)), skip_render_check=True)
    plain, paid = TemporalEnv(KINDS[name], **SMALL, n_votes=5), QueryBudget(inner, cost=0.01)
    plain.reset(seed=1)
    paid.reset(seed=1)
    action = np.zeros(3, dtype=np.float32)
    free, cost = plain.step(action), paid.step(action)
    assert cost[1] == pytest.approx(free[1] - 0.01 * 10) and cost[4]["query_cost"] == pytest.approx(0.1)
    assert inner.render().startswith("period 1: reward -")


@pytest.mark.parametrize("name", KINDS)
def test_each_wrapper_alone_has_no_fault(name: str) -> None:
    def made() -> TemporalEnv:
        return TemporalEnv(KINDS[name], **SMALL, n_votes=5)

    wrappers = (RecordTemporalStatistics, OracleInfo, lambda env: QueryBudget(env, cost=0.1), FlattenObservation)
    for wrap in wrappers:
        with pytest.warns(UserWarning, match="is different from the unwrapped version"):
            check_env(wrap(made()), skip_render_check=True)


def test_an_episode_is_summed_up_at_its_end() -> None:
    env = RecordTemporalStatistics(TemporalEnv("coevolve", **SMALL, n_votes=5, n_periods=5))
    steps = roll(env, lambda o: np.full(3, 0.1, dtype=np.float32))
    assert [("temporal" in info) for _, _, info in steps] == [False, False, True]
    found = steps[-1][2]["temporal"]
    assert found["return"] == pytest.approx(sum(reward for _, reward, _ in steps))
    assert found["cost"] == pytest.approx(np.mean([info["loss"] for *_, info in steps]))
    assert found["influence"] == pytest.approx(np.mean([info["influence"] for *_, info in steps]))
    assert found["answers"] == 4 * 2 * 5
    assert roll(env, lambda o: np.full(3, 0.1, dtype=np.float32))[-1][2]["temporal"] == found


@pytest.mark.parametrize(
    ("action", "settings", "match"),
    [
        (np.full(3, np.nan), {}, "not finite"),
        (np.array([0.0, np.inf, 0.0]), {}, "not finite"),
        (np.full(3, 1e300), {}, "beyond"),
        (np.zeros(4), {}, "of shape"),
        (np.float32(0.0), {}, "of shape"),
        ([[0.0], [0.0, 1.0]], {}, "must be numbers"),
        ("left", {}, "must be numbers"),
        (None, {}, "must be numbers"),
        ({"values": np.zeros(3)}, {}, "must be numbers"),
        (np.full((32, 4), np.nan), {"action": "policy"}, "not finite"),
        (np.full((32, 4), -1.0), {"action": "policy"}, "negative"),
        (np.zeros(3), {"action": "policy"}, "of shape"),
        ({"query": np.array([0, 1])}, {"queries": "chosen", "n_votes": 1}, "no values"),
        ({"values": np.zeros(3), "query": np.array([0, 1, 2])}, {"queries": "chosen", "n_votes": 1}, "whole numbers"),
        ({"values": np.zeros(3), "query": np.array([0.5, 1])}, {"queries": "chosen", "n_votes": 1}, "whole numbers"),
        ({"values": np.zeros(3), "query": np.array([0, -1])}, {"queries": "chosen", "n_votes": 1}, "not in the bank"),
    ],
)
def test_actions_that_mean_nothing_are_refused_and_change_nothing(action: Any, settings: dict, match: str) -> None:
    env = TemporalEnv("coevolve", **SMALL | settings)
    env.reset(seed=0)
    before = env.episodes.people.copy()
    with pytest.raises(UsageError, match=match):
        env.step(action)
    np.testing.assert_array_equal(env.episodes.people, before)
    assert int(env.episodes.period[0]) == 1


@pytest.mark.parametrize("settings", [{"action": "policy"}, {"queries": "chosen", "n_votes": 2}])
def test_what_is_done_to_an_environment_that_begins_anew_does_not_matter(settings: dict) -> None:
    env = TemporalVectorEnv("follow", num_envs=2, **SMALL | settings, n_periods=4)
    env.reset(seed=np.int64(3))
    env.action_space.seed(0)
    for _ in range(2):
        env.step(env.action_space.sample())
    env.reset(seed=3, options={"reset_mask": np.array([True, False])})
    _, _, ended, *_ = env.step(env.action_space.sample())
    assert ended.tolist() == [False, True]
    action = env.action_space.sample()
    (action if settings.get("action") else action["values"])[1] = np.nan
    if "queries" in settings:
        action["query"][1] = -7
    observation, reward, *_ = env.step(action)
    assert observation["period"].tolist() == [3, 1] and np.isfinite(reward).all()
    assert all(np.isfinite(part).all() for part in observation.values())


def test_seeds_of_vector_environments_are_one_or_one_each() -> None:
    env = TemporalVectorEnv("follow", num_envs=2, **SMALL)
    for seed in ([1], 1.5, (1, 2, 3)):
        with pytest.raises(UsageError, match="one seed for each"):
            env.reset(seed=seed)
    one, each = env.reset(seed=4)[0]["survey"].copy(), env.reset(seed=[4, 5])[0]["survey"]
    np.testing.assert_array_equal(one, each)


def roll(env: TemporalEnv, act) -> list[tuple[dict, float, dict]]:
    observation, _ = env.reset(seed=5)
    seen, ended = [], False
    while not ended:
        observation, reward, ended, _, info = env.step(act(observation))
        seen.append((observation, reward, info))
    return seen


def test_the_published_loop_has_eight_evaluations_and_prediction_fewer() -> None:
    """The first query sees period 1; Follow is judged on 1 to 8, Predict on t + K, Coevolve on nine places."""
    follow = TemporalEnv("follow", dims=2, reveal=True)
    _, info = follow.reset(seed=5)
    assert info["initial"]["period"] == 0
    steps = roll(follow, lambda o: np.zeros(2, dtype=np.float32))
    np.testing.assert_allclose([i["target"] for _, _, i in steps], follow.episodes.mean[0, 1:])
    assert len(steps) == 8 and not steps[-1][0]["mask"].any() and not steps[-1][0]["survey"].any()
    for horizon in (1, 3):
        env = TemporalEnv("predict", dims=2, horizon=horizon, reveal=True)
        steps = roll(env, lambda o: np.zeros(2, dtype=np.float32))
        assert len(steps) == 8 - horizon and "target" not in TemporalEnv("predict").reset(seed=0)[1]
        np.testing.assert_allclose([i["target"] for _, _, i in steps], env.episodes.mean[0, 1 + horizon :])
    assert len(roll(TemporalEnv("coevolve", dims=2, metric="progressgym"), lambda o: np.zeros(2, np.float32))) == 8
    assert len(roll(TemporalEnv("coevolve", dims=2), lambda o: np.zeros(2, np.float32))) == 7


def test_rewards_are_minus_the_squared_error_and_the_right_answer_costs_nothing() -> None:
    env = TemporalEnv("predict", dims=3, horizon=2)
    env.reset(seed=5)
    truth = env.episodes.mean[0]
    for t in range(1, 7):
        _, reward, ended, _, _ = env.step((truth[t + 2] + 0.3) / env.task.value_range)
        assert reward == pytest.approx(-0.09)
    assert ended
    with pytest.raises(UsageError, match="ended"):
        env.step(np.zeros(3))


def test_a_policy_is_judged_by_the_values_it_stands_for() -> None:
    by_policy, by_values = TemporalEnv("coevolve", dims=3, action="policy"), TemporalEnv("coevolve", dims=3)
    by_policy.reset(seed=2)
    by_values.reset(seed=2)
    values = np.array([0.4, -0.2, 0.9])
    first = by_policy.step(3.0 * by_policy.task.bank.policy(values))
    second = by_values.step(values / 3.0)
    assert first[1] == pytest.approx(second[1], abs=1e-3)


def test_people_move_by_epochs_and_the_twin_does_not_hear_the_policy() -> None:
    env = TemporalEnv("coevolve", dims=2, learning_rate=0.2)
    env.reset(seed=5)
    h, mean = env.episodes.people[0].copy(), env.episodes.mean[0]
    np.testing.assert_array_equal(h, mean[0])
    env.step(np.full(2, 1.0 / 3.0))
    between = h + 0.2 * (mean[1] - h)
    np.testing.assert_allclose(env.episodes.people[0], between + 0.36 * (1.0 - between))
    np.testing.assert_allclose(env.episodes.twin[0], between)


@pytest.mark.parametrize("influence", ["proxy", "direct"])
def test_without_influence_people_are_their_twin(influence: str) -> None:
    env = TemporalEnv("coevolve", dims=3, epochs=(1.0, 0.0), influence=influence)
    for _, _, info in roll(env, lambda o: np.ones(3, dtype=np.float32)):
        assert info["influence"] == 0.0
    np.testing.assert_array_equal(env.episodes.people, env.episodes.twin)
    if influence == "direct":
        np.testing.assert_allclose(env.episodes.people[0], env.episodes.mean[0, -1])


def cos(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_the_published_scores_by_their_definition() -> None:
    env = TemporalEnv("follow", dims=3, metric="progressgym")
    bank = env.task.bank
    steps = roll(env, lambda o: np.full(3, 0.1, dtype=np.float32))
    history = bank.behaviour(bank.policy(env.episodes.mean[0]))
    shown = bank.behaviour(bank.policy(np.full(3, 0.3)))
    angles = [cos(shown, v) for v in history[1:]]
    np.testing.assert_allclose([r for _, r, _ in steps], angles, rtol=1e-5)
    assert steps[-1][2]["score"] == pytest.approx(np.mean(angles), rel=1e-5)
    assert "score" not in steps[0][2]

    env = TemporalEnv("coevolve", dims=3, metric="progressgym")
    env.reset(seed=5)
    places, ended = [env.episodes.people[0].copy()], False
    while not ended:
        *_, ended, _, info = env.step(np.full(3, 0.1))
        places.append(env.episodes.people[0].copy())
    history = bank.behaviour(bank.policy(env.episodes.mean[0]))
    stood = bank.behaviour(bank.policy(np.array(places)))
    expected = np.mean([[max(cos(s, a) for a in history[i:]) for i in range(9)] for s in stood])
    assert len(places) == 9 and info["score"] == pytest.approx(expected)


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("mode", [{}, {"n_votes": 3, "queries": "chosen"}, {"metric": "progressgym", "reveal": True}])
def test_one_and_many_live_through_the_same_histories(name: str, mode: dict) -> None:
    settings = {**SMALL, "n_periods": 5, **mode}
    one = gym.make_vec(f"pluralism/{name}", num_envs=3, vectorization_mode="sync", **settings)
    many = gym.make_vec(f"pluralism/{name}", num_envs=3, **settings)
    assert type(many.unwrapped).__name__ == "TemporalVectorEnv"
    assert one.single_observation_space == many.single_observation_space and one.action_space == many.action_space
    one.action_space.seed(0)

    def same(left, right) -> None:
        if isinstance(left, dict):
            assert left.keys() == right.keys()
            for key in left:
                same(left[key], right[key])
        else:
            np.testing.assert_allclose(left, right, rtol=1e-6, atol=1e-7)
            assert np.asarray(left).dtype == np.asarray(right).dtype

    same(one.reset(seed=11)[0], many.reset(seed=11)[0])
    for _ in range(12):
        action = one.action_space.sample()
        for left, right in zip(one.step(action), many.step(action), strict=True):
            same(left, right)
    mask = np.array([True, False, True])
    left = one.reset(seed=[1, None, 2], options={"reset_mask": mask.copy()})
    right = many.reset(seed=[1, None, 2], options={"reset_mask": mask})
    same(left[0], right[0])
    same(left[1], right[1])


def test_answers_are_those_of_the_people() -> None:
    """With many votes on each question the share is the mean choice of the groups."""
    drift = SimulatedDrift.preset("polarise", dims=2, spread=0.5)
    env = TemporalEnv("follow", drift, n_votes=20_000, n_queries=4)
    observation, _ = env.reset(seed=0)
    rng = np.random.default_rng(0)
    voters = env.episodes.groups[0, 1][rng.integers(2, size=20_000)] + 0.5 * rng.standard_normal((20_000, 2))
    difference = observation["query_phi"][:, 0] - observation["query_phi"][:, 1]
    expected = (1 / (1 + np.exp(-voters @ difference.T))).mean(axis=0)
    np.testing.assert_allclose(observation["answers"], expected, atol=0.015)


def test_chosen_questions_are_asked_in_the_next_period() -> None:
    env = TemporalEnv("follow", dims=2, n_votes=1, n_queries=2, queries="chosen")
    env.reset(seed=0)
    observation, *_ = env.step({"values": np.zeros(2), "query": np.array([7, 3])})
    np.testing.assert_allclose(observation["query_phi"], env.task.bank.query[[7, 3]], rtol=1e-6)
    with pytest.raises(UsageError, match="not in the bank"):
        env.step({"values": np.zeros(2), "query": np.array([7, 256])})
    with pytest.raises(UsageError, match="names no questions"):
        env.step(np.zeros(2))


def test_a_table_is_an_environment() -> None:
    rng = np.random.default_rng(0)
    table = TrajectoryTable.of_waves(range(6), ["a", "b"], rng.normal(size=(6, 2)) / 3)
    env = TemporalEnv("predict", table, horizon=1)
    check_env(env, skip_render_check=True)
    np.testing.assert_array_equal(env.episodes.mean[0], table.mean)
    gaps = TrajectoryTable.of_waves(range(3), ["a"], [[1.0], [np.nan], [2.0]])
    with pytest.raises(DataError, match="missing"):
        TemporalEnv("follow", gaps).reset(seed=0)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"kind": "predict", "horizon": 8}, "horizon=8"),
        ({"kind": "predict", "horizon": 0}, "horizon=0"),
        ({"kind": "follow", "n_periods": 1}, "periods"),
        ({"kind": "wander"}, "wander"),
        ({"kind": 3}, "3 is no task"),
        ({"kind": "coevolve", "epochs": (1, "a")}, "epochs"),
        ({"kind": "follow", "survey_noise": None}, "asked anything"),
        ({"kind": "follow", "process": "spiral"}, "no value process"),
        ({"kind": "follow", "colour": 1}, "no setting"),
        ({"kind": "coevolve", "influence": "direct", "metric": "progressgym"}, "proxy"),
        ({"kind": "follow", "queries": "chosen"}, "nobody votes"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict, match: str) -> None:
    with pytest.raises(UsageError, match=match):
        TemporalEnv(**settings)


def test_a_task_that_is_made_takes_no_settings() -> None:
    task = Task(kind="follow")
    assert TemporalEnv(task).task is task
    with pytest.raises(UsageError, match="settings already"):
        TemporalEnv(task, horizon=2)


def test_an_id_may_name_the_module_that_registers_it() -> None:
    env = gym.make("pluralism.progress.registration:pluralism/Predict-v0", horizon=2, dims=4)
    assert env.unwrapped.task.ahead == 2 and env.action_space.shape == (4,)


def test_runs_of_agents_are_the_histories_of_the_environments() -> None:
    env = TemporalEnv("coevolve", dims=3)
    observation, info = env.reset(seed=8)
    agent = make_agent("lqg")
    agent.begin(env.task, {name: part[None] for name, part in info["initial"].items()})
    losses, ended = [], False
    while not ended:
        values = agent.act({name: np.asarray(part)[None] for name, part in observation.items()})
        observation, reward, ended, _, _ = env.step(values[0] / env.task.value_range)
        losses.append(-reward)
    np.testing.assert_allclose(run_agent(env.task, make_agent("lqg"), [8]).loss[0], losses)


def test_flattened_observations_work(recwarn: pytest.WarningsRecorder) -> None:
    env = gym.wrappers.FlattenObservation(gym.make("pluralism/Follow-v0", **SMALL, n_votes=3))
    observation, _ = env.reset(seed=0)
    assert observation in env.observation_space and observation.ndim == 1 and not recwarn


def test_every_public_name_is_what_it_says_and_no_file() -> None:
    for name in pluralism.progress.__all__:
        assert not isinstance(getattr(pluralism.progress, name), ModuleType), name


def test_without_gymnasium_the_line_to_run_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gymnasium", None)
    with pytest.raises(MissingExtraError, match="needs the module 'gymnasium'") as caught:
        pluralism.progress.TemporalVectorEnv  # noqa: B018
    assert "pluralism[progress]" in str(caught.value)
