"""Preconditioned L-BFGS with Armijo backtracking: monotone, resumable, and honest about where it stopped.

Nocedal & Wright, Numerical Optimization (2006), algorithm 7.4, with a fixed preconditioner in the place of the
scaled identity. With a good preconditioner a few dozen evaluations reach a gap of 1e-9 an observation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

__all__ = ["Minimum", "minimise"]

Vector = Float[np.ndarray, " parameters"]
MEMORY = 8
ARMIJO = 1e-4
MAX_HALVINGS = 30


@dataclass(frozen=True)
class Minimum:
    """Where `minimise` stopped.

    Attributes
    ----------
    x : array of shape (parameters,)
    value : float
    gradient : array of shape (parameters,)
    decrement : float
        Half the squared gradient in the preconditioner's metric: about how much value is still to be gained.
    path : list of float
        Values after each iteration, never increasing.
    n_iter : int
    converged : bool
    """

    x: Vector
    value: float
    gradient: Vector
    decrement: float
    path: list[float]
    n_iter: int
    converged: bool


def minimise(
    objective: Callable[[Vector], tuple[float, Vector]],
    x0: Vector,
    precondition: Callable[[Vector], Vector],
    *,
    tol: float,
    max_iter: int = 500,
    state: dict[str, np.ndarray] | None = None,
    on_iteration: Callable[[int, float, Callable[[], dict[str, np.ndarray]]], None] | None = None,
) -> Minimum:
    """Minimise a smooth function.

    Parameters
    ----------
    objective : callable
        x -> (value, gradient).
    x0 : array of shape (parameters,)
    precondition : callable
        g -> approximate inverse Hessian times g; symmetric positive definite.
    tol : float
        Converged when the expected further decrease (half the preconditioned squared gradient, and the quasi-Newton
        model's) is below `tol`, or when the floating-point limit of the value is reached with a decrement below
        `100 * tol`.
    state : dict, optional
        What a previous call's `on_iteration` snapshot returned: the run goes on from there and gives bit for bit what
        the uninterrupted run would have given.
    on_iteration : callable, optional
        Called as (iteration, value, snapshot) after each iteration.
    """
    steps: list[Vector] = []
    changes: list[Vector] = []
    if state is None:
        x = np.array(x0, dtype=np.float64)
        value, gradient = objective(x)
        path = [value]
        iteration = 0
    else:
        x, gradient = state["x"].copy(), state["gradient"].copy()
        path = [float(v) for v in state["path"]]
        value, iteration = path[-1], len(path) - 1
        steps = list(state["steps"])
        changes = list(state["changes"])

    def snapshot() -> dict[str, np.ndarray]:
        empty = np.zeros((0, len(x)))
        return {
            "x": x.copy(),
            "gradient": gradient.copy(),
            "path": np.array(path),
            "steps": np.stack(steps) if steps else empty,
            "changes": np.stack(changes) if changes else empty,
        }

    converged = False
    while iteration < max_iter:
        direction = -_two_loop(gradient, steps, changes, precondition)
        slope = float(gradient @ direction)
        if not slope < 0 or not np.isfinite(slope):
            steps, changes = [], []
            direction = -precondition(gradient)
            slope = float(gradient @ direction)
        if -0.5 * slope <= tol and 0.5 * float(gradient @ precondition(gradient)) <= tol:
            converged = True
            break
        accepted = _backtrack(objective, x, value, direction, slope)
        if accepted is None:
            if steps:
                steps, changes = [], []
                continue
            # no decrease can be told from rounding any more
            converged = 0.5 * float(gradient @ precondition(gradient)) <= 100 * tol
            break
        step, new_value, new_gradient = accepted
        change = new_gradient - gradient
        curvature = float(step @ change)
        if curvature > 1e-12 * float(step @ step) ** 0.5 * float(change @ change) ** 0.5:
            steps.append(step)
            changes.append(change)
            del steps[:-MEMORY], changes[:-MEMORY]
        x = x + step
        value, gradient = new_value, new_gradient
        iteration += 1
        path.append(value)
        if on_iteration is not None:
            on_iteration(iteration, value, snapshot)
    decrement = 0.5 * float(gradient @ precondition(gradient))
    return Minimum(x, value, gradient, decrement, path, iteration, converged)


def _two_loop(
    gradient: Vector, steps: list[Vector], changes: list[Vector], precondition: Callable[[Vector], Vector]
) -> Vector:
    q = gradient.copy()
    weights = []
    for s, y in zip(reversed(steps), reversed(changes), strict=True):
        rho = 1.0 / float(s @ y)
        alpha = rho * float(s @ q)
        q -= alpha * y
        weights.append((rho, alpha))
    r = precondition(q)
    for (s, y), (rho, alpha) in zip(zip(steps, changes, strict=True), reversed(weights), strict=True):
        r = r + s * (alpha - rho * float(y @ r))
    return r


def _backtrack(
    objective: Callable[[Vector], tuple[float, Vector]], x: Vector, value: float, direction: Vector, slope: float
) -> tuple[Vector, float, Vector] | None:
    t = 1.0
    for _ in range(MAX_HALVINGS):
        step = t * direction
        new_value, new_gradient = objective(x + step)
        if np.isfinite(new_value) and new_value <= value + ARMIJO * t * slope:
            return step, new_value, new_gradient
        if np.isfinite(new_value):
            # the minimum of the parabola through both values and the slope, kept within [0.1, 0.5] of the step
            bend = new_value - value - t * slope
            t *= float(np.clip(-0.5 * t * slope / bend, 0.1, 0.5)) if bend > 0 else 0.5
        else:
            t *= 0.1
    return None
