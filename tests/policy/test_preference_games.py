"""Preference games: who is exploitable, self-play and its bound, and the regularised equilibrium."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import linprog

from pluralism.errors import ConvergenceWarning, DataError, UsageError
from pluralism.policy import FinitePolicy, PreferenceGame, regularised_nash, self_play
from pluralism.social_choice import Utilities
from pluralism.solvers.log_policies import log_normalise
from pluralism.solvers.preference_games import regularised_nash_gap

CYCLE = np.array([[0.5, 1.0, 0.0], [0.0, 0.5, 1.0], [1.0, 0.0, 0.5]])
UNEVEN = [0.6, 0.3, 0.1]


def random_game(seed, prompts=5, candidates=6):
    rng = np.random.default_rng(seed)
    skew = 2 * rng.normal(size=(prompts, candidates, candidates))
    matrix = 1 / (1 + np.exp(skew.transpose(0, 2, 1) - skew))
    there = rng.random((prompts, candidates)) < 0.85
    there[:, 0] = True
    log_reference = np.where(there, rng.normal(size=there.shape), -np.inf)
    return PreferenceGame.from_matrix(matrix, log_reference=log_reference)


def nash_value(matrix):
    """Linear programme: max v with q P >= v for every column."""
    n = len(matrix)
    found = linprog(
        np.r_[np.zeros(n), -1.0],
        A_ub=np.column_stack([-matrix.T, np.ones(n)]),
        b_ub=np.zeros(n),
        A_eq=np.r_[np.ones(n), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
    )
    return found.x[:n], found.x[n]


def policy_of(game, logs):
    return FinitePolicy(log_normalise(np.where(game.utilities.mask, logs, -np.inf)), game.utilities, "test")


def test_exploitability_is_the_best_answer_by_search():
    game = random_game(0)
    policy = policy_of(game, np.random.default_rng(1).normal(size=game.utilities.mask.shape))
    for x, value in enumerate(game.exploitability(policy)):
        there = np.flatnonzero(game.utilities.mask[x])
        answers = [sum(policy.probs[x, z] * game.preferences[x, y, z] for z in there) for y in there]
        assert value == pytest.approx(max(answers) - 0.5)
        matrix = game.preferences[x][np.ix_(there, there)]
        q, nash = nash_value(matrix)
        assert nash == pytest.approx(0.5, abs=1e-9)
        logs = np.full(len(game.utilities.mask[x]), -np.inf)
        logs[there] = np.log(np.maximum(q, 1e-300))
        full = np.array(policy.log_probs)
        full[x] = logs
        assert game.exploitability(policy_of(game, full))[x] == pytest.approx(0.0, abs=1e-8)


def test_games_from_utilities_mix_groups_by_their_shares():
    rng = np.random.default_rng(0)
    raw = Utilities(rng.normal(size=(3, 4, 2)), shares=[0.7, 0.3], unit="gain")
    game = PreferenceGame.from_utilities(raw)
    difference = raw.values[1, 2] - raw.values[1, 0]
    assert game.preferences[1, 2, 0] == pytest.approx(
        0.7 / (1 + np.exp(-difference[0])) + 0.3 / (1 + np.exp(-difference[1]))
    )
    assert game.utilities is raw
    shifted = PreferenceGame.from_utilities(raw.to_unit("regret"))
    np.testing.assert_allclose(game.preferences, shifted.preferences)
    with pytest.raises(UsageError, match="logits"):
        PreferenceGame.from_utilities(raw.to_unit("cdf"))


def test_three_groups_without_circles_make_one():
    orders = [[3.0, 2.0, 1.0], [1.0, 3.0, 2.0], [2.0, 1.0, 3.0]]
    game = PreferenceGame.from_utilities(Utilities.from_matrix(orders, unit="raw"))
    p = game.preferences[0]
    assert p[0, 1] > 0.5 and p[1, 2] > 0.5 and p[2, 0] > 0.5
    play = self_play(game, n_rounds=4000)
    np.testing.assert_allclose(play.policy.probs, 1 / 3, atol=0.02)


def test_games_from_groups_carry_each_groups_win_rate_against_the_reference():
    groups = np.stack([CYCLE, CYCLE.T, np.full((3, 3), 0.5)])
    game = PreferenceGame.from_groups(
        groups, shares=[0.5, 0.3, 0.2], log_reference=np.log([UNEVEN]), groups=["a", "b", "c"]
    )
    np.testing.assert_allclose(game.preferences[0], 0.5 * CYCLE + 0.3 * CYCLE.T + 0.1)
    np.testing.assert_allclose(game.utilities.values[0, :, 0], CYCLE @ UNEVEN)
    np.testing.assert_allclose(game.reference_policy.group_utilities, 0.5)
    assert game.utilities.unit == "cdf" and "3 groups" in repr(game)


def test_self_play_on_a_cycle_averages_to_thirds_while_the_rounds_go_round():
    game = PreferenceGame.from_matrix(CYCLE, reference=UNEVEN)
    play = self_play(game, n_rounds=20_000)
    np.testing.assert_allclose(play.policy.probs, 1 / 3, atol=0.01)
    assert np.all(play.exploitability <= play.bound + 1e-12)
    assert play.bound[-1, 0] == pytest.approx(np.sqrt(np.log(10) / (2 * 20_000)))
    late = play.last_exploitability[10_000:, 0]
    assert late.min() > 0.1 and play.exploitability[-1, 0] < 0.01
    np.testing.assert_allclose(game.exploitability(play.policy), play.exploitability[-1])
    np.testing.assert_allclose(game.exploitability(play.last), play.last_exploitability[-1])
    assert play.policy.certificate.gap == pytest.approx(play.exploitability[-1, 0])


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("rounds", "eta"), [(1, None), (50, None), (1000, None), (300, 0.5)])
def test_the_average_never_exceeds_its_bound(seed, rounds, eta):
    game = random_game(seed)
    for start in ("reference", "uniform"):
        play = self_play(game, n_rounds=rounds, eta=eta, start=start)
        assert np.all(play.exploitability <= play.bound + 1e-12)
    if eta is None:
        size = game.utilities.mask.sum(axis=1)
        np.testing.assert_allclose(play.bound[-1], np.sqrt(np.log(size) / (2 * rounds)))


def test_a_condorcet_winner_takes_all():
    matrix = np.array([[0.5, 0.6, 0.7], [0.4, 0.5, 0.9], [0.3, 0.1, 0.5]])
    play = self_play(PreferenceGame.from_matrix(matrix), n_rounds=5000)
    assert play.last.probs[0, 0] > 0.95 and play.policy.probs[0, 0] > 0.75
    frame = play.to_frame()
    assert frame.num_rows == 5000 and frame["exploitability"][-1].as_py() == pytest.approx(play.exploitability[-1, 0])
    assert json.loads(play.to_json())["policy"]["groups"] == ["0"] and "5,000 rounds" in repr(play)


def test_one_candidate_and_absent_candidates():
    logs = np.array([[0.0, -np.inf, -np.inf], [0.0, 0.0, -np.inf]])
    game = PreferenceGame.from_matrix(np.stack([CYCLE, CYCLE]), log_reference=logs)
    play = self_play(game, n_rounds=500)
    np.testing.assert_allclose(play.policy.probs[0], [1.0, 0.0, 0.0])
    assert play.exploitability[-1, 0] == 0.0 and play.policy.probs[1, 2] == 0.0
    # without the third, the first beats the second
    assert play.policy.probs[1, 0] > 0.9
    fixed = regularised_nash(game, beta=0.05)
    np.testing.assert_allclose(fixed.probs[0], [1.0, 0.0, 0.0])


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("beta", [1.0, 0.1, 0.02])
def test_the_regularised_equilibrium_is_the_fixed_point(seed, beta):
    game = random_game(seed)
    policy = regularised_nash(game, beta=beta)
    wins = game.win_rates(policy)
    logs = np.where(game.utilities.mask, game.utilities.log_reference + wins / beta, -np.inf)
    np.testing.assert_allclose(policy.probs, np.exp(log_normalise(logs)), atol=1e-5)
    assert policy.certificate.gap < 1e-9
    # every policy is exploitable in the regularised game, this one is not
    rng = np.random.default_rng(seed)
    for _ in range(5):
        other = policy_of(game, game.utilities.log_reference + rng.normal(size=wins.shape))
        assert np.all(
            regularised_nash_gap(game.preferences, other.log_probs, game.utilities.log_reference, beta)
            > 1e-6 * (game.utilities.mask.sum(axis=1) > 1)
        )
    rarest = np.where(game.utilities.mask, -game.utilities.log_reference, 0.0).max(axis=1)
    assert np.all(game.exploitability(policy) <= beta * rarest + 1e-9)


def test_the_gap_is_what_the_best_answer_wins():
    game = random_game(3, prompts=1, candidates=3)
    p, beta = game.utilities.log_reference, 0.3
    q = log_normalise(p + np.random.default_rng(0).normal(size=p.shape))
    gap = regularised_nash_gap(game.preferences, q, p, beta)[0]
    kl = policy_of(game, q).kl[0]
    rng = np.random.default_rng(1)
    answers = log_normalise(p + 2 * rng.normal(size=(20_000, 3)))
    payoff = np.exp(answers) @ game.preferences[0] @ np.exp(q[0])
    cost = np.sum(np.exp(answers) * (answers - p), axis=1)
    reached = payoff - beta * cost + beta * kl - 0.5
    assert reached.max() <= gap + 1e-12 and reached.max() == pytest.approx(gap, abs=1e-3)


def test_nash_md_agrees_and_slows_down():
    game = random_game(0)
    exact = regularised_nash(game, beta=0.3)
    published = regularised_nash(game, beta=0.3, method="nash_md")
    np.testing.assert_allclose(published.probs, exact.probs, atol=1e-3)
    with pytest.warns(ConvergenceWarning, match="After 30 steps"):
        early = regularised_nash(game, beta=0.1, method="nash_md", max_iter=30)
    with pytest.warns(ConvergenceWarning, match="After 300 steps"):
        later = regularised_nash(game, beta=0.1, method="nash_md", max_iter=300)
    assert later.certificate.gap < early.certificate.gap


def test_a_high_price_stays_at_the_reference():
    game = PreferenceGame.from_matrix(CYCLE, reference=UNEVEN)
    np.testing.assert_allclose(regularised_nash(game, beta=1e4).probs, [UNEVEN], atol=1e-4)
    np.testing.assert_allclose(regularised_nash(game, beta=2e-3).probs, 1 / 3, atol=5e-3)


def test_refusals():
    with pytest.raises(DataError, match="sum to 1") as caught:
        PreferenceGame.from_matrix([[0.5, 0.9], [0.2, 0.5]])
    assert "candidates 0 and 1: 0.9 and 0.2" in str(caught.value)
    with pytest.raises(DataError, match="sum to 1") as caught:
        PreferenceGame.from_groups([CYCLE, CYCLE + 0.1], groups=["a", "b"])
    assert "group 'b'" in str(caught.value)
    with pytest.raises(DataError, match="shape"):
        PreferenceGame.from_matrix(np.zeros(3))
    with pytest.raises(DataError, match="shape"):
        PreferenceGame.from_groups(np.zeros((2, 3, 4)))
    with pytest.raises(DataError, match="do not fit"):
        PreferenceGame(CYCLE, Utilities.from_matrix([[0.0, 1.0, 2.0]]))
    with pytest.raises(UsageError, match="twice"):
        PreferenceGame.from_matrix(CYCLE, reference=UNEVEN, log_reference=np.log([UNEVEN]))
    game = PreferenceGame.from_matrix(CYCLE)
    for bad in ({"n_rounds": 0}, {"n_rounds": np.nan}, {"eta": 0.0}, {"eta": np.nan}, {"start": "best"}):
        with pytest.raises(UsageError):
            self_play(game, **bad)
    for bad in ({"beta": 0.0}, {"beta": 0.1, "method": "newton"}):
        with pytest.raises(UsageError):
            regularised_nash(game, **bad)
