"""Bradley-Terry with ties (Davidson 1970) on counted questions, for one table of counts or for many at once.

A question has a linear predictor z = x . coef, and answers yes, no and tie with

    P(yes) = exp(z/2) / S,   P(no) = exp(-z/2) / S,   P(tie) = exp(t) / S,   S = exp(z/2) + exp(-z/2) + exp(t),

so that P(yes | no tie) = sigmoid(z). The penalised log-likelihood is concave in (coef, t); it is maximised by damped
Newton steps on dense matrices, since graphs of values have hundreds of nodes and not thousands.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numba import njit
from scipy.linalg import cho_factor, cho_solve

from pluralism.solvers.threads import threads_for_square

__all__ = ["DavidsonFit", "DavidsonProblem", "answer_probabilities", "fit_davidson", "fit_davidson_draws"]

TOL = 1e-10
MAX_ITER = 100
TIE_PRECISION = 1e-3


@dataclass(frozen=True)
class DavidsonProblem:
    """Questions with few coefficients each.

    Attributes
    ----------
    index, value : arrays of shape (rows, terms)
        Which coefficients a question has, and with which factor; unused terms have the factor 0.
    precision : array of shape (coefs,)
        Of the normal priors with mean 0, above 0.
    ties : bool
        Whether there is a tie parameter t (its prior precision is `TIE_PRECISION`); without it ties are half a yes and
        half a no.
    """

    index: Int[np.ndarray, "rows terms"]
    value: Float[np.ndarray, "rows terms"]
    precision: Float[np.ndarray, " coefs"]
    ties: bool

    @property
    def full_precision(self) -> Float[np.ndarray, " parameters"]:
        """Precisions with that of the tie parameter, where there is one."""
        return np.append(self.precision, TIE_PRECISION) if self.ties else self.precision


@dataclass(frozen=True)
class DavidsonFit:
    """The mode and its curvature.

    Attributes
    ----------
    parameters : array of shape (parameters,)
        Coefficients and, last, the tie parameter where the problem has one.
    hessian : array of shape (parameters, parameters)
        Of the penalised negative log-likelihood.
    objective : float
    converged : bool
    """

    parameters: Float[np.ndarray, " parameters"]
    hessian: Float[np.ndarray, "parameters parameters"]
    objective: float
    converged: bool

    @property
    def covariance(self) -> Float[np.ndarray, "parameters parameters"]:
        """Covariance of the posterior taken as normal at its mode (Laplace)."""
        with threads_for_square(len(self.hessian)):
            return cho_solve(cho_factor(self.hessian), np.eye(len(self.hessian)))

    @property
    def log_evidence(self) -> float:
        """Log marginal likelihood up to terms that do not depend on precisions, less half their log determinant."""
        with threads_for_square(len(self.hessian)):
            return -self.objective - 0.5 * float(np.linalg.slogdet(self.hessian)[1])


def fit_davidson(
    problem: DavidsonProblem,
    counts: Float[np.ndarray, "rows answers"],
    *,
    start: Float[np.ndarray, " parameters"] | None = None,
) -> DavidsonFit:
    """Fit one table of counts.

    Parameters
    ----------
    counts : array of shape (rows, 3)
        Answers yes, no and tie.
    start : array of shape (parameters,), optional
    """
    precision = problem.full_precision
    first = np.zeros(len(precision)) if start is None else np.array(start, dtype=np.float64)
    centre = np.zeros(len(precision))
    with threads_for_square(len(first)):
        parameters, converged = _newton(problem, counts, first, centre)
    objective, _, hessian = _terms(problem.index, problem.value, counts, precision, centre, parameters, problem.ties)
    return DavidsonFit(parameters, hessian, float(objective), converged)


def fit_davidson_draws(
    problem: DavidsonProblem,
    counts: Float[np.ndarray, "draws rows answers"],
    start: Float[np.ndarray, " parameters"],
    *,
    centres: Float[np.ndarray, "draws coefs"] | None = None,
) -> Float[np.ndarray, "draws parameters"]:
    """Fit many tables of counts of the same questions, each from the same start; returns the modes.

    Parameters
    ----------
    centres : array of shape (draws, coefs), optional
        Means of the prior in each draw. With centres drawn from the prior, and counts resampled, the modes are draws of
        a posterior (randomise, then optimise); with centres at 0 they leave out what the prior does not know.
    """
    n = len(problem.precision)
    out = np.empty((len(counts), len(start)))
    for draw, drawn in enumerate(counts):
        centre = np.zeros(len(start))
        if centres is not None:
            centre[:n] = centres[draw]
        with threads_for_square(len(start)):
            out[draw], _ = _newton(problem, np.ascontiguousarray(drawn), start, centre)
    return out


def answer_probabilities(
    z: Float[np.ndarray, "*shape"], tie: Float[np.ndarray, "*#shape"] | float
) -> Float[np.ndarray, "*shape answers"]:
    """Probabilities of yes, no and tie; `tie` is t, minus infinity where nobody ties."""
    logits = np.stack([0.5 * z, -0.5 * z, np.broadcast_to(np.asarray(tie, dtype=np.float64), z.shape)], axis=-1)
    weights = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


@njit(cache=True, error_model="numpy")
def _terms(index, value, counts, precision, centre, parameters, ties):
    """Penalised negative log-likelihood, gradient and Hessian."""
    n = len(parameters)
    gradient, hessian = np.zeros(n), np.zeros((n, n))
    objective = 0.0
    for j in range(n):
        off = parameters[j] - centre[j]
        objective += 0.5 * precision[j] * off**2
        gradient[j] = precision[j] * off
        hessian[j, j] = precision[j]
    t = parameters[n - 1] if ties else -np.inf
    for i in range(len(index)):
        yes, no, tie = counts[i, 0], counts[i, 1], counts[i, 2]
        if not ties:
            yes, no, tie = yes + 0.5 * tie, no + 0.5 * tie, 0.0
        total = yes + no + tie
        if total == 0.0:
            continue
        z = 0.0
        for k in range(index.shape[1]):
            z += value[i, k] * parameters[index[i, k]]
        top = max(abs(0.5 * z), t)
        a, b, c = np.exp(0.5 * z - top), np.exp(-0.5 * z - top), np.exp(t - top)
        s = a + b + c
        a, b, c = a / s, b / s, c / s
        objective += total * (top + np.log(s)) - 0.5 * (yes - no) * z
        slope = 0.5 * (total * (a - b) - (yes - no))
        bend = 0.25 * total * (a + b - (a - b) ** 2)
        if ties:
            objective -= tie * t
            gradient[n - 1] += total * c - tie
            hessian[n - 1, n - 1] += total * c * (1.0 - c)
        for k in range(index.shape[1]):
            if value[i, k] == 0.0:
                continue
            j = index[i, k]
            gradient[j] += value[i, k] * slope
            for m in range(index.shape[1]):
                hessian[j, index[i, m]] += value[i, k] * value[i, m] * bend
            if ties:
                cross = -0.5 * total * (a - b) * c * value[i, k]
                hessian[j, n - 1] += cross
                hessian[n - 1, j] += cross
    return objective, gradient, hessian


def _newton(
    problem: DavidsonProblem,
    counts: Float[np.ndarray, "rows answers"],
    start: Float[np.ndarray, " parameters"],
    centre: Float[np.ndarray, " parameters"],
) -> tuple[Float[np.ndarray, " parameters"], bool]:
    """Damped Newton steps until the decrement is a negligible part of the answers."""
    given = (problem.index, problem.value, counts, problem.full_precision, centre)
    parameters = start
    scale = max(float(counts.sum()), 1.0)
    objective, gradient, hessian = _terms(*given, parameters, problem.ties)
    for _ in range(MAX_ITER):
        step = np.linalg.solve(hessian, gradient)
        decrement = 0.5 * float(gradient @ step)
        if decrement <= TOL * scale:
            return parameters - step, True
        length = 1.0
        while True:
            moved = parameters - length * step
            new, new_gradient, new_hessian = _terms(*given, moved, problem.ties)
            if new <= objective - 1e-4 * length * decrement:
                break
            length *= 0.5
            if length < 1e-8:
                return parameters, False
        parameters, objective, gradient, hessian = moved, new, new_gradient, new_hessian
    return parameters, False
