"""Expected information gain: the questions whose answers would say most about the strengths of values.

With Bradley-Terry and ties, and the posterior of strengths taken as normal at its mode, the gain of a question is the
mutual information of its answer with its log-odds z ~ N(m, s^2),

    I = H[E p(z)] - E H[p(z)],

by Gauss-Hermite quadrature over z. Further questions of one choice are chosen as if the first were answered: their
posterior is updated by the expected curvature.

References
----------
N. Houlsby, F. Huszar, Z. Ghahramani, M. Lengyel, Bayesian active learning for classification and preference learning,
arXiv 1112.5745, 2011.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from pluralism.elicitation.query_selection.question_state import Choice, QuestionState, Selector
from pluralism.errors import UsageError
from pluralism.solvers.davidson import DavidsonProblem, answer_probabilities, fit_davidson

__all__ = ["expected_gain", "information_gain", "information_gain_of"]

NODES = 20


def information_gain(state: QuestionState, n: int, rng: np.random.Generator) -> list[Choice]:
    """The open questions of the highest expected gain, under a prior of strengths with standard deviation 1."""
    return information_gain_of()(state, n, rng)


def information_gain_of(*, ridge: float = 1.0, acquiescence: bool = True) -> Selector:
    """A selector by expected gain.

    Parameters
    ----------
    ridge : float
        Prior precision of strengths, above 0.
    acquiescence : bool
        Whether saying yes readily has a term; it makes questions in the other direction worth asking.
    """
    if not ridge > 0:
        raise UsageError(f"ridge={ridge!r} is not possible.", fix="Use a number above 0.")

    def select(state: QuestionState, n: int, rng: np.random.Generator) -> list[Choice]:
        columns = [state.wiser, state.source]
        signs = [1.0, -1.0]
        if acquiescence:
            columns.append(np.full(len(state), state.n_values))
            signs.append(1.0)
        index = np.ascontiguousarray(np.stack(columns, axis=1).astype(np.int64))
        value = np.tile(signs, (len(state), 1))
        size = state.n_values + acquiescence
        problem = DavidsonProblem(index, value, np.full(size, ridge), bool(state.counts[:, 2].any()))
        fit = fit_davidson(problem, state.counts)
        covariance = fit.covariance[:size, :size]
        mean = np.sum(value * fit.parameters[index], axis=1)
        tie = float(fit.parameters[-1]) if problem.ties else -np.inf
        jitter = 1e-9 * rng.random(len(state))
        still = state.open.copy()
        chosen: list[Choice] = []
        while len(chosen) < n and still.any():
            spread = np.einsum("qi,qij,qj->q", value, covariance[index[:, :, None], index[:, None, :]], value)
            gain = expected_gain(mean, np.sqrt(np.maximum(spread, 0.0)), tie) + jitter
            best = int(np.argmax(np.where(still, gain, -np.inf)))
            chosen.append(Choice(best, "information gain"))
            still[best] = False
            covariance = _told(covariance, index[best], value[best], _curvature(mean[best], spread[best], tie))
        return chosen

    return select


def expected_gain(
    mean: Float[np.ndarray, " questions"], deviation: Float[np.ndarray, " questions"], tie: float
) -> Float[np.ndarray, " questions"]:
    """Mutual information, in nats, of the answer and the log-odds z ~ N(mean, deviation^2).

    Parameters
    ----------
    tie : float
        Tie parameter of Davidson's model; minus infinity where nobody ties.
    """
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    weights = weights / weights.sum()
    p = answer_probabilities(mean[:, None] + deviation[:, None] * nodes, tie)
    expected = np.einsum("n,qna->qa", weights, p)
    return np.maximum(_entropy(expected) - _entropy(p) @ weights, 0.0)


def _entropy(p: Float[np.ndarray, "*shape answers"]) -> Float[np.ndarray, "*shape"]:
    return -np.sum(p * np.log(np.where(p > 0, p, 1.0)), axis=-1)


def _curvature(mean: float, variance: float, tie: float) -> float:
    """Expected curvature of the log-likelihood of one answer in z."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NODES)
    p = answer_probabilities(mean + np.sqrt(max(variance, 0.0)) * nodes, tie)
    bend = 0.25 * (p[:, 0] + p[:, 1] - (p[:, 0] - p[:, 1]) ** 2)
    return float(weights @ bend / weights.sum())


def _told(
    covariance: Float[np.ndarray, "coefs coefs"], index: np.ndarray, value: np.ndarray, curvature: float
) -> Float[np.ndarray, "coefs coefs"]:
    """The covariance once a question of this curvature was answered."""
    direction = covariance[:, index] @ value
    spread = float(value @ direction[index])
    return covariance - np.outer(direction, direction) * (curvature / (1.0 + curvature * spread))
