r"""Symmetric games in which two policies each choose a candidate, and preferences say who wins.

P[y, z] is the probability that y is preferred to z, P + P^T = 1; no reward need stand behind it. The value is 1/2, and
the exploitability of a policy is what its best answer wins beyond that. Candidates that a prompt lacks have
log-probability minus infinity in the reference.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from pluralism.solvers.log_policies import kl_divergence, log_normalise
from pluralism.solvers.preference_kernels import play_rounds
from pluralism.solvers.tilt import log_partition

__all__ = [
    "Play",
    "RegularisedNash",
    "exploitability",
    "multiplicative_weights",
    "regularised_nash",
    "regularised_nash_gap",
    "win_rates",
]

Matrix = Float[np.ndarray, "prompts candidates"]
Preferences = Float[np.ndarray, "prompts candidates candidates"]
Vector = Float[np.ndarray, " prompts"]

STEP = 2.0
"""One over the Lipschitz constant of P from the 1-norm to the maximum norm, on differences of policies."""


@dataclass(frozen=True)
class Play:
    """Multiplicative weights in self-play.

    Attributes
    ----------
    log_average, log_last : arrays of shape (prompts, candidates)
        The average of the iterates, and the last of them.
    average_exploitability, last_exploitability : arrays of shape (rounds, prompts)
        Of the average up to each round, and of the iterate.
    bound : array of shape (rounds, prompts)
        What the average's exploitability cannot be above.
    eta : array of shape (prompts,)
    """

    log_average: Matrix
    log_last: Matrix
    average_exploitability: Float[np.ndarray, "rounds prompts"]
    last_exploitability: Float[np.ndarray, "rounds prompts"]
    bound: Float[np.ndarray, "rounds prompts"]
    eta: Vector


@dataclass(frozen=True)
class RegularisedNash:
    """A policy near the Nash equilibrium of the KL-regularised game.

    Attributes
    ----------
    log_policy : array of shape (prompts, candidates)
    gap : array of shape (prompts,)
    residual : array of shape (prompts,)
        Largest distance between log q and log p + P q / tau, free of the constant, in nats.
    n_iter : int
    """

    log_policy: Matrix
    gap: Vector
    residual: Vector
    n_iter: int


def win_rates(preferences: Preferences, log_policy: Matrix) -> Matrix:
    """Probability that each candidate is preferred to a draw of the policy."""
    return np.matmul(preferences, np.exp(log_policy)[..., None])[..., 0]


def exploitability(preferences: Preferences, log_policy: Matrix, log_reference: Matrix) -> Vector:
    """What the best answer to a policy wins beyond 1/2: at least 0, and 0 at a Nash equilibrium alone."""
    wins = np.where(log_reference > -np.inf, win_rates(preferences, log_policy), -np.inf)
    return wins.max(axis=1) - 0.5


def multiplicative_weights(preferences: Preferences, log_start: Matrix, rounds: int, eta: float | None = None) -> Play:
    r"""Play :math:`q_{t+1} \propto q_t e^{\eta P q_t}` against itself.

    The average of T iterates is exploitable by at most :math:`L/(\eta T) + \eta/8`, L the largest
    :math:`\log 1/q_1(y)` (Freund and Schapire 1999); the iterates themselves may go in circles.

    Parameters
    ----------
    log_start : array of shape (prompts, candidates)
    eta : float, optional
        By default :math:`\sqrt{8 L / T}`, for which the bound is :math:`\sqrt{L / (2T)}`.
    """
    there = log_start > -np.inf
    farthest = np.where(there, -log_start, 0.0).max(axis=1)
    rate = np.sqrt(8.0 * farthest / rounds) if eta is None else np.full(len(log_start), float(eta))
    average, last = np.empty((2, rounds, len(log_start)))
    mean, log_last = np.zeros_like(log_start), np.where(there, 0.0, -np.inf)
    play_rounds(preferences, log_start, rate, average, last, mean, log_last)
    played = np.arange(1.0, rounds + 1.0)[:, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.where(farthest > 0, farthest / (rate * played), 0.0) + rate / 8.0
        log_average = np.log(mean)
    return Play(log_average, log_last, average, last, bound, rate)


def regularised_nash_gap(preferences: Preferences, log_policy: Matrix, log_reference: Matrix, tau: float) -> Vector:
    r"""What the best answer wins in the game with payoff :math:`P(q, q') - \tau KL(q||p) + \tau KL(q'||p)`.

    :math:`\tau \log \sum_y p(y) e^{(Pq)_y / \tau} + \tau KL(q||p) - 1/2`: at least 0, and 0 at the equilibrium alone.
    """
    wins = win_rates(preferences, log_policy) - 0.5
    answer = tau * log_partition(np.where(log_reference > -np.inf, wins, 0.0) / tau, log_reference)
    return answer + tau * kl_divergence(log_policy, log_reference)


def regularised_nash(
    preferences: Preferences,
    log_reference: Matrix,
    tau: float,
    *,
    method: Literal["extragradient", "nash_md"] = "extragradient",
    tol: float = 1e-10,
    max_iter: int = 20_000,
) -> RegularisedNash:
    r"""Solve :math:`q = softmax(\log p + P q / \tau)` by mirror descent in self-play, from the reference.

    "extragradient" answers the answer to q (mirror-prox, Nemirovski 2004, with the KL term taken exactly): the
    distance shrinks by :math:`1/(1 + 2\tau)` or better a step. "nash_md" answers the mixture
    :math:`q^{1-a} p^a` from itself, with steps that shrink as 2/(t + 2) (R. Munos et al., arXiv:2312.00886): the
    distance shrinks as 1/t.

    Parameters
    ----------
    tau : float
        Price of KL against winning, above 0.
    tol : float
        Of the gap, and of the residual where the method can reach it ("extragradient").
    """
    there = log_reference > -np.inf
    base = np.where(there, log_reference, 0.0)
    log_q = log_reference

    def towards(log_from: Matrix, wins: Matrix) -> Matrix:
        moved = np.where(there, log_from, 0.0) + STEP * (tau * base + wins)
        return log_normalise(np.where(there, moved / (1.0 + STEP * tau), -np.inf))

    gap = residual = np.full(len(log_q), np.inf)
    iteration = 0
    for iteration in range(max_iter + 1):
        wins = win_rates(preferences, log_q)
        gap = regularised_nash_gap(preferences, log_q, log_reference, tau)
        drift = np.where(there, wins / tau - (np.where(there, log_q, 0.0) - base), 0.0)
        drift = np.where(there, drift - np.sum(np.exp(log_q) * drift, axis=1, keepdims=True), 0.0)
        residual = np.abs(drift).max(axis=1)
        met = (gap <= tol) & ((residual <= np.sqrt(tol)) | (method == "nash_md"))
        if met.all() or iteration == max_iter:
            break
        if method == "extragradient":
            log_q = towards(log_q, win_rates(preferences, towards(log_q, wins)))
        else:
            a = 2.0 / (iteration + 2.0)
            mixed = log_normalise(np.where(there, (1.0 - a) * np.where(there, log_q, 0.0) + a * base, -np.inf))
            log_q = log_normalise(mixed + (a / tau) * win_rates(preferences, mixed))
    return RegularisedNash(log_q, gap, residual, iteration)
