r"""Symmetric zero-sum games: optimal strategies of full support, by an interior-point method.

The payoff K is skew-symmetric, ``K[a, b]`` what a wins against b. A strategy x is optimal just where
:math:`x^T K \ge 0`: nobody's answer gains. Tucker (1956) showed that some optimal strategy is strictly complementary:
every candidate either has a positive chance or strictly loses against it. Those with a positive chance are the ones
that some optimal strategy can play, and the method below finds them all, since its path leads into the middle of the
optimal strategies.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.linalg import lu_factor, lu_solve

from pluralism.solvers.threads import threads_for_square

__all__ = ["GameSolution", "max_entropy_strategy", "solve_symmetric_game"]


@dataclass(frozen=True)
class GameSolution:
    """An optimal strategy in the middle of all optimal strategies.

    Attributes
    ----------
    strategy : array of shape (candidates,)
        Adds up to 1.
    support : bool array of shape (candidates,)
        Who has a positive chance in some optimal strategy.
    exploitability : float
        The most that an answer gains against `strategy`, 0 or more, in the units of the payoff.
    n_iter : int
    converged : bool
        Whether the method reached its tolerance.
    """

    strategy: Float[np.ndarray, " candidates"]
    support: Bool[np.ndarray, " candidates"]
    exploitability: float
    n_iter: int
    converged: bool


def solve_symmetric_game(
    payoff: Float[np.ndarray, "candidates candidates"], *, tol: float = 1e-13, max_iter: int = 200
) -> GameSolution:
    r"""Solve a symmetric zero-sum game.

    Parameters
    ----------
    payoff : array of shape (candidates, candidates)
        Skew-symmetric.
    tol : float
        Of the complementarity :math:`z_i s_i`, on average, where the largest payoff is 1.
    max_iter : int

    Notes
    -----
    The self-dual embedding of Goldman and Tucker, in the form of Roos, Terlaky and Vial (Interior Point Methods for
    Linear Optimization, chapter 2): with one more variable, :math:`z = s = e` lies on the central path of
    :math:`s = \bar M z + q, z^T s \to 0`. Mehrotra's predictor and corrector follow it; a step solves one dense system.
    """
    n = len(payoff)
    scale = max(float(np.abs(payoff).max(initial=0.0)), np.finfo(float).tiny)
    matrix = np.zeros((n + 1, n + 1))
    matrix[:n, :n] = -payoff / scale
    matrix[:n, n] = 1.0 - matrix[:n, :n].sum(axis=1)
    matrix[n, :n] = -matrix[:n, n]
    offset = np.zeros(n + 1)
    offset[n] = n + 1.0
    z = np.ones(n + 1)
    s = np.ones(n + 1)
    n_iter = 0
    with threads_for_square(n + 1):
        while (mean := float(z @ s) / (n + 1)) > tol and n_iter < max_iter:
            n_iter += 1
            system = matrix.copy()
            system[np.diag_indices(n + 1)] += s / z
            factors = lu_factor(system, overwrite_a=True, check_finite=False)
            dz = lu_solve(factors, -s, check_finite=False)
            ds = matrix @ dz
            step = _longest(z, s, dz, ds)
            ahead = float((z + step * dz) @ (s + step * ds)) / (n + 1)
            centre = mean * max((ahead / mean) ** 3, 1e-3)
            dz = lu_solve(factors, (centre - dz * ds) / z - s, check_finite=False)
            ds = matrix @ dz
            step = 0.95 * _longest(z, s, dz, ds)
            z = z + step * dz
            # Near the end rounding may make the slack of the smallest pairs negative.
            s = np.maximum(matrix @ z + offset, mean * 1e-3 / z)
    strategy = z[:n] / z[:n].sum()
    gain = float((payoff @ strategy).max(initial=0.0))
    return GameSolution(strategy, z[:n] > s[:n], max(gain, 0.0), n_iter, mean <= tol)


def _longest(z: np.ndarray, s: np.ndarray, dz: np.ndarray, ds: np.ndarray) -> float:
    """The longest step, at most 1, that keeps z and s from becoming negative."""
    worst = max(float((-dz / z).max()), float((-ds / s).max()))
    return min(1.0, 1.0 / worst) if worst > 0 else 1.0


def max_entropy_strategy(
    payoff: Float[np.ndarray, "candidates candidates"], solution: GameSolution, dimension: int, *, tol: float = 1e-12
) -> Float[np.ndarray, " candidates"]:
    r"""Of all optimal strategies, that of the largest entropy.

    Parameters
    ----------
    payoff : array of shape (candidates, candidates)
        Skew-symmetric.
    solution : GameSolution
        Of `solve_symmetric_game`.
    dimension : int
        Of the set of optimal strategies: one less than that of the null space of the payoff among the support.
    tol : float
        Weight of the logarithmic barrier at the end.

    Notes
    -----
    Optimal strategies keep everybody in the support indifferent and let nobody else gain. From the middle one,
    Newton's method climbs the entropy along the former, with a logarithmic barrier for the latter.
    """
    inside, outside = np.flatnonzero(solution.support), np.flatnonzero(~solution.support)
    scaled = payoff / max(float(np.abs(payoff).max()), np.finfo(float).tiny)
    losses = scaled[np.ix_(inside, outside)]
    stacked = np.vstack([scaled[np.ix_(inside, inside)], np.ones(len(inside))])
    along = np.linalg.svd(stacked)[2][len(inside) - dimension :].T
    p = solution.strategy[inside] / solution.strategy[inside].sum()
    barrier = 0.1
    while dimension > 0 and barrier > tol:
        barrier *= 0.1
        for _ in range(100):
            slack = p @ losses
            slope = along.T @ (np.log(p) + 1.0 - barrier * (losses @ (1.0 / slack)))
            bend = along.T @ losses / slack
            move = -np.linalg.solve((along.T / p) @ along + barrier * bend @ bend.T, slope)
            decrement = -float(slope @ move)
            if decrement < 1e-16:
                break
            way = along @ move
            step = min(1.0, 0.95 * _room(p, way), 0.95 * _room(slack, way @ losses))
            before = _barrier_value(p, losses, barrier)
            while step > 1e-12 and _barrier_value(p + step * way, losses, barrier) > before - 1e-4 * step * decrement:
                step /= 2
            if step <= 1e-12:
                break
            p = p + step * way
    strategy = np.zeros(len(payoff))
    strategy[inside] = p
    return strategy


def _room(values: np.ndarray, change: np.ndarray) -> float:
    """How many times the change fits before a value is 0."""
    falls = change < 0
    return float((-values[falls] / change[falls]).min(initial=np.inf))


def _barrier_value(p: np.ndarray, losses: np.ndarray, barrier: float) -> float:
    return float(p @ np.log(p)) - barrier * float(np.log(p @ losses).sum())
