"""Measures against their definitions and cases with known answers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm

from pluralism.errors import UsageError
from pluralism.progress.agent_run import AgentRun, run_agent
from pluralism.progress.agents.catalogue import make_agent
from pluralism.progress.fidelity import distributional_fidelity, worst_group
from pluralism.progress.metrics import crps, measures, recovery, similarity, skill
from pluralism.progress.simulated_drift import SimulatedDrift
from pluralism.progress.task import Task

SEEDS = range(20)


def run(kind: str, agent: str, preset: str = "damped_trend", seeds=SEEDS, **settings) -> AgentRun:
    changes = {k: settings.pop(k) for k in ("shock_period", "spread", "dims", "group_start") if k in settings}
    return run_agent(
        Task(kind=kind, process=SimulatedDrift.preset(preset, **changes), **settings), make_agent(agent), seeds
    )


def test_measures_by_their_definition() -> None:
    made = run("follow", "pooled", seeds=[3])
    table = similarity(made)[0]
    found = {name: part[0] for name, part in measures(made).items()}
    steps = range(8)
    assert found["now"] == pytest.approx(np.mean([table[i, i + 1] for i in steps])) == found["ahead"]
    assert found["backward_transfer"] == pytest.approx(np.mean([table[7, j + 1] - table[j, j + 1] for j in range(7)]))
    assert found["forward_transfer"] == pytest.approx(np.mean([table[j - 1, j + 1] for j in range(1, 8)]))
    forgotten = [max(table[i, j + 1] for i in range(j, 7)) - table[7, j + 1] for j in range(7)]
    assert found["forgetting"] == pytest.approx(np.mean(forgotten))
    means = [np.mean([table[i, i + 1 - lag] for i in steps if i + 1 >= lag]) for lag in range(8)]
    assert found["lag"] == np.argmax(means)


def test_the_clairvoyant_is_perfect_and_the_delayed_lags() -> None:
    sure = measures(run("follow", "clairvoyant"))
    for name in ("now", "change_cosine", "direction"):
        np.testing.assert_allclose(sure[name], 1.0)
    assert not sure["lag"].any()
    ahead = measures(run("predict", "clairvoyant", horizon=2))
    np.testing.assert_allclose(ahead["ahead"], 1.0)
    assert measures(run("predict", "persistence", horizon=3, survey_noise=0.0))["lag"].max() == 0
    assert measures(run("follow", "frozen"))["lag"].mean() > 2


def test_skill_is_relative_to_persistence() -> None:
    base, kalman, frozen = (run("predict", name) for name in ("persistence", "kalman", "frozen"))
    assert not skill(base, base).any()
    assert skill(kalman, base).mean() > 0.15 and skill(frozen, base).mean() < 0
    assert measures(kalman, base)["skill"] == pytest.approx(1 - kalman.cost / base.cost)
    with pytest.raises(UsageError, match="same histories"):
        skill(kalman, run("predict", "persistence", horizon=2))


def test_crps_is_the_integral_and_the_filter_is_calibrated() -> None:
    for mean, deviation, value in ((0.0, 1.0, 0.3), (1.0, 0.2, 1.5)):
        low = quad(lambda x, m=mean, s=deviation: norm.cdf(x, m, s) ** 2, -15, value)[0]
        high = quad(lambda x, m=mean, s=deviation: (1 - norm.cdf(x, m, s)) ** 2, value, 15)[0]
        assert float(crps(*map(np.array, (mean, deviation, value)))) == pytest.approx(low + high, abs=1e-7)
    assert float(crps(*map(np.array, (1.0, 0.0, 3.0)))) == 2.0
    found = measures(run("predict", "kalman", dims=200, horizon=2))
    assert found["coverage"].mean() == pytest.approx(0.9, abs=0.01)
    assert "crps" not in measures(run("predict", "persistence"))


def test_recovery_after_a_known_shock() -> None:
    quick, slow = (
        run("follow", name, "regime_shift", shock_period=4, seeds=range(50)) for name in ("persistence", "pooled")
    )
    lags = [np.nanmean(recovery(each, 4)) for each in (quick, slow)]
    assert lags[0] < 0.3 and lags[1] > lags[0] + 0.5
    with pytest.raises(UsageError, match="no recovery"):
        recovery(run("predict", "persistence"), 4)


def test_the_worst_group_is_found() -> None:
    made = run("follow", "clairvoyant", "polarise", group_start=1.0)
    bank = made.task.bank
    shown = bank.behaviour(bank.policy(made.values))
    least = np.empty((20, 8))
    for s in range(20):
        for t in range(8):
            groups = bank.behaviour(bank.policy(made.groups[s, t + 1]))
            least[s, t] = min(shown[s, t] @ g / np.linalg.norm(shown[s, t]) / np.linalg.norm(g) for g in groups)
    np.testing.assert_allclose(worst_group(made), least.mean(axis=1))
    assert worst_group(made).mean() < 0.9 < measures(made)["now"].min()


def test_a_policy_for_one_is_far_from_the_choices_of_many() -> None:
    alike = distributional_fidelity(run("follow", "clairvoyant", spread=0.0))
    varied = distributional_fidelity(run("follow", "clairvoyant", spread=1.0))
    np.testing.assert_allclose(alike["jensen_shannon"], 0.0, atol=1e-9)
    np.testing.assert_allclose(alike["wasserstein"], 0.0, atol=1e-9)
    assert (varied["jensen_shannon"] > 0.01).all() and (varied["wasserstein"] > 0.1).all()
    assert (varied["jensen_shannon"] < np.log(2)).all()


def test_leading_influences_most() -> None:
    found = {name: measures(run("coevolve", name)) for name in ("riccati", "lead", "frozen")}
    influence = {name: part["influence"].mean() for name, part in found.items()}
    assert influence["riccati"] < influence["lead"] and influence["riccati"] < influence["frozen"]
    end = run("coevolve", "lead")
    np.testing.assert_allclose(
        found["lead"]["terminal_error"], np.sqrt(((end.people[:, -1] - end.twin[:, -1]) ** 2).mean(axis=1))
    )
    total = found["lead"]["serve"] + found["lead"]["stay"] + 0.5 * found["lead"]["influence"]
    np.testing.assert_allclose(total, found["lead"]["cost"])
