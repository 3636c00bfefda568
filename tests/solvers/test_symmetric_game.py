"""Symmetric games: closed forms, HiGHS, strict complementarity, and the strategy of the largest entropy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from pluralism.solvers.symmetric_game import max_entropy_strategy, solve_symmetric_game


def game(rng, n, kind):
    upper = {
        "normal": rng.normal(size=(n, n)),
        "signs": np.where(rng.random((n, n)) < 0.5, -1.0, 1.0),
        "whole": rng.integers(-2, 3, (n, n)).astype(float),
    }[kind]
    above = np.triu(upper, 1)
    return above - above.T


def can_play(payoff, candidate):
    """The largest chance that a candidate has in an optimal strategy, and whether it always loses, by HiGHS."""
    n = len(payoff)
    chance = linprog(
        -np.eye(n)[candidate], A_ub=payoff, b_ub=np.zeros(n), A_eq=np.ones((1, n)), b_eq=[1], bounds=(0, 1)
    )
    return -chance.fun


@pytest.mark.parametrize("stakes", [(1, 1, 1), (2, 3, 1), (7, 1, 5)])
def test_rock_paper_scissors_in_closed_form(stakes):
    x, y, z = stakes
    payoff = np.array([[0, x, -y], [-x, 0, z], [y, -z, 0]], dtype=float)
    solution = solve_symmetric_game(payoff)
    np.testing.assert_allclose(solution.strategy, np.array([z, y, x]) / sum(stakes), atol=1e-10)
    assert solution.support.all() and solution.converged and solution.exploitability < 1e-10


@pytest.mark.parametrize("kind", ["normal", "signs", "whole"])
@pytest.mark.parametrize("n", [1, 2, 3, 6, 9])
def test_support_is_what_some_optimal_strategy_plays(n, kind):
    for seed in range(6):
        payoff = game(np.random.default_rng([n, seed]), n, kind)
        solution = solve_symmetric_game(payoff)
        assert solution.converged and solution.exploitability < 1e-10
        np.testing.assert_allclose(solution.strategy.sum(), 1)
        np.testing.assert_array_equal(solution.support, [can_play(payoff, c) > 1e-7 for c in range(n)])
        losses = -payoff @ solution.strategy
        assert (losses[~solution.support] > 1e-7).all() and (solution.strategy[solution.support] > 1e-7).all()


def test_scale_and_order_do_not_matter():
    rng = np.random.default_rng(0)
    payoff = game(rng, 8, "whole")
    order = rng.permutation(8)
    plain = solve_symmetric_game(payoff)
    np.testing.assert_allclose(solve_symmetric_game(payoff * 1e9).strategy, plain.strategy, atol=1e-12)
    np.testing.assert_allclose(
        solve_symmetric_game(payoff[np.ix_(order, order)]).strategy, plain.strategy[order], atol=1e-7
    )


def test_three_hundred_candidates():
    solution = solve_symmetric_game(game(np.random.default_rng(1), 300, "signs"))
    assert solution.converged and solution.exploitability < 1e-11 and solution.n_iter < 40
    assert solution.support.sum() % 2 == 1


@pytest.mark.parametrize("seed", range(8))
def test_the_largest_entropy_against_a_general_solver(seed):
    """Games of two copies of a small game, one of them perhaps worse, so that there are many optimal strategies."""
    rng = np.random.default_rng(seed)
    small = game(rng, 3, "whole")
    payoff = np.zeros((7, 7))
    payoff[:3, :3] = small
    payoff[3:6, 3:6] = game(rng, 3, "whole")
    payoff[6, :6] = rng.integers(-2, 2, 6)
    payoff[:6, 6] = -payoff[6, :6]
    solution = solve_symmetric_game(payoff)
    inside = solution.support
    null = int(inside.sum() - np.linalg.matrix_rank(payoff[np.ix_(inside, inside)]))
    strategy = max_entropy_strategy(payoff, solution, null - 1)
    assert (payoff @ strategy).max() < 1e-9
    np.testing.assert_allclose(strategy.sum(), 1, atol=1e-12)

    def negative_entropy(p):
        p = np.maximum(p, 1e-300)
        return float(p @ np.log(p))

    start = solution.strategy
    found = minimize(
        negative_entropy,
        start,
        jac=lambda p: np.log(np.maximum(p, 1e-300)) + 1,
        bounds=[(0, 1)] * 7,
        constraints=[
            {"type": "eq", "fun": lambda p: p.sum() - 1, "jac": lambda p: np.ones(7)},
            {"type": "ineq", "fun": lambda p: -payoff @ p, "jac": lambda p: -payoff},
        ],
        method="SLSQP",
        options={"ftol": 1e-14, "maxiter": 500},
    )
    assert negative_entropy(strategy) <= negative_entropy(found.x) + 1e-6
    assert negative_entropy(strategy) <= negative_entropy(start) + 1e-9


def test_equal_candidates_share_equally():
    solution = solve_symmetric_game(np.zeros((5, 5)))
    np.testing.assert_allclose(max_entropy_strategy(np.zeros((5, 5)), solution, 4), np.full(5, 0.2), atol=1e-12)
