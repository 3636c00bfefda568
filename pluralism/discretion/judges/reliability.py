"""Which item is better, by judges who differ in reliability and prefer what they see first.

    logit P(judge j says left of pair i) = a_j theta_i + t_j u_ij + d_j s,    theta_i, u_ij ~ N(0, 1),

with s = 1 where left is shown first and -1 where it is second; a_j is the reliability of a judge (about 1; 0 guesses,
below 0 prefers the worse), d_j the position effect, and t_j how much the judge has views of its own on a pair, so that
its many verdicts on one pair are not as many witnesses. With a_j = 1, t_j = 0 and as many verdicts in either order the
posterior ranks pairs by the plain mean of the verdicts: balanced position calibration is that special case.

The marginal likelihood is summed over grids of theta and u, and maximised with priors a ~ N(1, 1), d ~ N(0, 4),
log t ~ N(-1, 1).
"""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy.optimize import minimize
from scipy.special import expit, logsumexp

from pluralism.calibration.text import format_table, json_ready
from pluralism.discretion.judges.trials import JudgeTrials
from pluralism.errors import ConvergenceWarning, DataError

__all__ = ["JudgeReliability", "judge_reliability"]

PRIOR_MEAN = np.array([1.0, 0.0, -1.0])
PRIOR_SD = np.array([1.0, 2.0, 1.0])
STEP = 1e-4


def _grid(points: int, width: float) -> tuple[np.ndarray, np.ndarray]:
    place = np.linspace(-width, width, points)
    log_weight = -0.5 * place**2
    return place, log_weight - logsumexp(log_weight)


_THETA, _LOG_THETA = _grid(41, 4.0)
_OWN, _LOG_OWN = _grid(11, 3.0)


@dataclass(frozen=True, eq=False, repr=False)
class JudgeReliability:
    """Judges and pairs, as the model sees them.

    Attributes
    ----------
    judges, pairs : tuples of str
    reliability, position, own : arrays of shape (judges,)
        a, d and t of the model, in logits; a position effect above 0 prefers what is shown first.
    reliability_sd, position_sd : arrays of shape (judges,)
        Standard errors, from the curvature of the posterior at its mode.
    theta : array of shape (pairs,)
        Posterior mean of how much better left is.
    left : array of shape (pairs,)
        Posterior probability that left is better.
    log_likelihood : float
    converged : bool
    """

    judges: tuple[str, ...]
    pairs: tuple[str, ...]
    reliability: Float[np.ndarray, " judges"]
    position: Float[np.ndarray, " judges"]
    own: Float[np.ndarray, " judges"]
    reliability_sd: Float[np.ndarray, " judges"]
    position_sd: Float[np.ndarray, " judges"]
    theta: Float[np.ndarray, " pairs"]
    left: Float[np.ndarray, " pairs"]
    log_likelihood: float
    converged: bool

    def to_frame(self) -> pa.Table:
        """A row a judge: `judge, reliability, reliability_sd, position, position_sd, own`."""
        names = ("reliability", "reliability_sd", "position", "position_sd", "own")
        return pa.table({"judge": list(self.judges)} | {name: getattr(self, name) for name in names})

    def to_dict(self) -> dict[str, Any]:
        """Judges and pairs as plain types."""
        pairs = [
            {"pair": name, "theta": theta, "left": left}
            for name, theta, left in zip(self.pairs, self.theta.tolist(), self.left.tolist(), strict=True)
        ]
        return json_ready(
            {"judges": self.to_frame().to_pylist(), "pairs": pairs, "log_likelihood": self.log_likelihood}
        )

    def to_json(self) -> str:
        """`to_dict` as JSON."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)

    def __repr__(self) -> str:
        table = self.to_frame()
        return format_table({name: table[name].to_pylist() for name in table.column_names}, 2)


def judge_reliability(
    trials: JudgeTrials, *, known: ArrayLike | None = None, equal: bool = False, max_iter: int = 200
) -> JudgeReliability:
    """Fit reliabilities and position effects of judges, and which item of each pair is better.

    Parameters
    ----------
    trials : JudgeTrials
        Ties count half for either item.
    known : array of shape (pairs,), optional
        1 or 0 for pairs of which people have said that left is better or worse, NaN for the others; judges are then
        learned from these pairs alone. Left out, the better item is what judges have in common, and that is wrong
        where most of them are deceived alike.
    equal : bool
        Hold all reliabilities at 1 and own views at 0, so that judges differ in their position effects alone.
    max_iter : int
        Of the optimiser.

    Raises
    ------
    DataError
        If there are no verdicts, or what is known is not 1, 0 or NaN for each pair.

    Warns
    -----
    ConvergenceWarning
        If the optimiser stops early.
    """
    if not trials.answered.any():
        raise DataError("There are no verdicts.", fix="Pass trials with answers.")
    counts, log_theta = _counts(trials), np.tile(_LOG_THETA, (len(trials.pairs), 1))
    learning = np.ones(len(trials.pairs), dtype=bool)
    if known is not None:
        log_theta += _known(known, len(trials.pairs))
        learning = ~np.isnan(np.asarray(known, dtype=np.float64))
        if not learning.any():
            raise DataError("Nothing is known of any pair.", fix="Leave out known=, or say which item is better.")
    # judges are learned from what is known alone: what they have in common elsewhere may be an error in common
    learned = counts[:, learning], log_theta[learning]
    n_judges = len(trials.judges)
    free = np.zeros((n_judges, 3), dtype=bool)
    free[:, 1] = True
    free[:, [0, 2]] = not equal
    start = np.tile(PRIOR_MEAN, (n_judges, 1))
    if equal:
        start[:, 2] = -np.inf

    def objective(x: np.ndarray) -> tuple[float, np.ndarray]:
        parameters = start.copy()
        parameters[free] = x
        value, gradient, _ = _marginal(learned[0], parameters, learned[1])
        off = (parameters - PRIOR_MEAN) / PRIOR_SD
        value -= 0.5 * float((off[free] ** 2).sum())
        return -value, -(gradient[free] - (off / PRIOR_SD)[free])

    found = minimize(objective, start[free], jac=True, method="L-BFGS-B", options={"maxiter": max_iter, "gtol": 1e-4})
    if not found.success:
        warnings.warn(
            f"The reliabilities stopped before they converged ({found.message}).", ConvergenceWarning, stacklevel=2
        )
    parameters = start.copy()
    parameters[free] = found.x
    value, _, posterior = _marginal(counts, parameters, log_theta)
    deviation = np.zeros((n_judges, 3))
    deviation[free] = _deviations(objective, found.x)
    return JudgeReliability(
        trials.judges,
        trials.pairs,
        parameters[:, 0],
        parameters[:, 1],
        np.exp(parameters[:, 2]),
        deviation[:, 0],
        deviation[:, 1],
        posterior @ _THETA,
        posterior @ np.where(_THETA == 0, 0.5, _THETA > 0),
        value,
        bool(found.success),
    )


def _known(known: ArrayLike, n_pairs: int) -> Float[np.ndarray, "pairs thetas"]:
    """Log-probability of what is known at each theta; at 0 either may be."""
    given = np.asarray(known, dtype=np.float64)
    if given.shape != (n_pairs,) or not (np.isnan(given) | np.isin(given, (0.0, 1.0))).all():
        raise DataError("What is known of a pair is 1, 0 or NaN.", fix="Give one for each of the pairs of the trials.")
    towards = np.where(np.isnan(given), 0.0, 2.0 * given - 1.0)[:, None] * _THETA
    return np.where(towards < 0, -np.inf, np.where((towards == 0) & ~np.isnan(given)[:, None], -np.log(2.0), 0.0))


def _counts(trials: JudgeTrials) -> Float[np.ndarray, "judges pairs four"]:
    """Verdicts of each judge on each pair: for left and for right where left is first, then where right is."""
    rows = np.flatnonzero(trials.answered)
    shape = (len(trials.judges), len(trials.pairs), 2)
    cell = (trials.judge[rows].astype(np.int64) * shape[1] + trials.pair[rows]) * 2 + trials.swapped[rows]
    size = int(np.prod(shape))
    left = np.bincount(cell, trials.verdict[rows], size)
    right = np.bincount(cell, 1.0 - trials.verdict[rows], size)
    return np.stack([left, right], axis=-1).reshape(*shape[:2], 4)


def _marginal(
    counts: Float[np.ndarray, "judges pairs four"],
    parameters: Float[np.ndarray, "judges three"],
    log_theta: Float[np.ndarray, "pairs thetas"],
) -> tuple[float, Float[np.ndarray, "judges three"], Float[np.ndarray, "pairs thetas"]]:
    """Log marginal likelihood, its gradient, and the posterior of theta on its grid."""
    shape = (counts.shape[1], len(_THETA), len(_OWN))
    log_joint = log_theta.copy()
    inner, slopes = [], []
    for own, (a, d, log_t) in zip(counts, parameters, strict=True):
        z = a * _THETA[:, None] + np.exp(log_t) * _OWN
        first, second = z + d, z - d
        # log-probabilities of the four kinds of verdict, and their slopes along z, at each point of the grid
        logs = -np.logaddexp(0.0, np.stack([-first, first, -second, second]).reshape(4, -1))
        slopes.append(np.stack([expit(-first), -expit(first), expit(-second), -expit(second)]).reshape(4, -1))
        joint = (own @ logs).reshape(shape) + _LOG_OWN
        top = joint.max(axis=2, keepdims=True)
        weight = np.exp(joint - top)
        total = weight.sum(axis=2, keepdims=True)
        log_joint += (top + np.log(total))[..., 0]
        inner.append(weight / total)
    log_pair = logsumexp(log_joint, axis=1)
    posterior = np.exp(log_joint - log_pair[:, None])
    gradient = np.empty((len(counts), 3))
    for j, log_t in enumerate(parameters[:, 2]):
        weight = (posterior[..., None] * inner[j]).reshape(shape[0], -1)
        pulled = slopes[j] * (counts[j].T @ weight)
        along = pulled.sum(axis=0).reshape(shape[1:])
        gradient[j, 0] = _THETA @ along.sum(axis=1)
        gradient[j, 1] = pulled[:2].sum() - pulled[2:].sum()
        gradient[j, 2] = np.exp(log_t) * (along.sum(axis=0) @ _OWN)
    return float(log_pair.sum()), gradient, posterior


def _deviations(objective: Any, x: Float[np.ndarray, " parameters"]) -> Float[np.ndarray, " parameters"]:
    """Standard errors from the Hessian, by differences of the gradient."""
    hessian = np.empty((len(x), len(x)))
    for k in range(len(x)):
        step = np.zeros(len(x))
        step[k] = STEP
        hessian[k] = (objective(x + step)[1] - objective(x - step)[1]) / (2 * STEP)
    return np.sqrt(np.maximum(np.diag(np.linalg.pinv(0.5 * (hessian + hessian.T))), 0.0))
