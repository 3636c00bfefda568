"""The exact optimum of co-evolution with quadratic aims: what is reached with full information, and with surveys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.progress.linear_gaussian import LinearGaussian
from pluralism.progress.task import Task

__all__ = ["CoevolutionOptimum", "coevolution_optimum"]


@dataclass(frozen=True, eq=False)
class CoevolutionOptimum:
    r"""The best policy of a task, :math:`a_t = -L_t x_t`, and what it costs.

    Attributes
    ----------
    gains : array of shape (steps, state)
        :math:`L_t`, for the state (h, c, mean, trend).
    cost : float
        Expected loss per step and dimension where the state is known: no policy has less.
    survey_cost : float
        Where it is estimated from surveys by Kalman's filter, with the same gains: no policy that sees the surveys
        alone has less (the separation principle).
    """

    gains: Float[np.ndarray, "steps state"]
    cost: float
    survey_cost: float


def coevolution_optimum(task: Task) -> CoevolutionOptimum:
    r"""Solve a task of kind "coevolve" by dynamic programming on quadratic forms.

    With :math:`X = S_{t+1} + M`, where :math:`x^\top M x = \omega (h - \mu)^2 + \lambda (h - c)^2`, transition A,
    control B, and :math:`e_h` the coordinate of h,

    .. math::

        L_t = \frac{B^\top X A - e_h^\top}{1 + B^\top X B}, \qquad
        S_t = e_h e_h^\top + A^\top X A - L_t^\top (1 + B^\top X B) L_t

    and the cost is :math:`\frac{1}{n} [\mathrm{tr}(S_1 P_1) + \sum_t \mathrm{tr}(X_t W_t)]`, with P the second moment
    of the first state and W the noise. Estimation adds
    :math:`\mathrm{tr}(L_t^\top (1 + B^\top X B) L_t P_{t|t})` a step.

    With ``influence="direct"`` people are on the path of their twin from the start, and whoever knows where they are
    can serve them without moving them: the cost with full information is 0.

    Raises
    ------
    UsageError
        If the task is of another kind or metric, or its law is not known.
    """
    system, informed = task.system, task.informed_system
    if task.kind != "coevolve" or task.metric != "v2":
        raise UsageError("The optimum is that of the v2 costs of coevolution.", fix='Use kind="coevolve", metric="v2".')
    if system is None or informed is None:
        raise UsageError(
            "The law of the values is not known, or there are no surveys.",
            fix="Use a SimulatedDrift, and set survey_noise.",
        )
    gains, curvature, values, compared = _solve(task, system)
    first = system.start_covariance + np.outer(system.start_mean, system.start_mean)
    total = float(np.trace(values[0] @ first))
    total += sum(float(np.trace(compared[t] @ system.noise[t])) for t in range(task.n_steps))
    after, _ = informed.covariances()
    unseen = sum(float(curvature[t] * (gains[t] @ after[t] @ gains[t])) for t in range(task.n_steps))
    return CoevolutionOptimum(gains, total / task.n_steps, (total + unseen) / task.n_steps)


def _solve(
    task: Task, system: LinearGaussian
) -> tuple[
    Float[np.ndarray, "steps state"],
    Float[np.ndarray, " steps"],
    Float[np.ndarray, "steps state state"],
    Float[np.ndarray, "steps state state"],
]:
    n, control = task.n_steps, task.control
    to_history, to_twin = np.array([1.0, 0.0, -1.0, 0.0]), np.array([1.0, -1.0, 0.0, 0.0])
    aim = task.history_weight * np.outer(to_history, to_history) + task.influence_weight * np.outer(to_twin, to_twin)
    here = np.array([1.0, 0.0, 0.0, 0.0])
    gains, curvature = np.empty((n, 4)), np.empty(n)
    values, compared = np.empty((n, 4, 4)), np.empty((n, 4, 4))
    following = np.zeros((4, 4))
    for t in reversed(range(n)):
        weight, step = following + aim, system.transition[t]
        curvature[t] = 1.0 + control @ weight @ control
        gains[t] = (control @ weight @ step - here) / curvature[t]
        following = np.outer(here, here) + step.T @ weight @ step - curvature[t] * np.outer(gains[t], gains[t])
        values[t], compared[t] = following, weight
    return gains, curvature, values, compared
