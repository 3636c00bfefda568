"""Every user's own regularised logistic regression at once: batched Newton steps, in the dual where answers are few.

A user with n answers and d features needs a system of n equations (the Gram matrix of the answers) or of d, whichever
is smaller; users of like n are solved together. Newton's method on the dual is that for the mode of a Gaussian process
classifier (Rasmussen & Williams, Gaussian Processes for Machine Learning, 2006, algorithm 3.1) with a linear kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from pluralism.solvers.features import FeatureMatrix
from pluralism.solvers.pairs import PairProblem

__all__ = ["UserHeads", "fit_user_heads"]

BATCH_ENTRIES = 8_000_000
MAX_ITER = 60
MAX_HALVINGS = 12


@dataclass(frozen=True)
class UserHeads:
    """Heads (users, dim), zero for users without answers; how many Newton steps it took, and whether all converged."""

    heads: Float[np.ndarray, "users dim"]
    n_iter: int
    converged: bool


def fit_user_heads(
    problem: PairProblem,
    features: FeatureMatrix,
    offset: Float[np.ndarray, " pairs"],
    ridge: float,
    *,
    tol: float = 1e-8,
) -> UserHeads:
    """Minimise, for each user, sum_i w_i loss(offset_i + x_i . h, y_i) + ridge / 2 |h|^2 over h.

    Parameters
    ----------
    problem : PairProblem
        Rows sorted by user; its own features play no part.
    features : FeatureMatrix
        A row for each item; x_i is the left item's less the right item's.
    offset : float array of shape (pairs,)
        Logits that are given.
    ridge : float
        Positive.
    tol : float
        Converged when no logit moves by more.
    """
    heads = np.zeros((problem.n_users, features.dim))
    steps, converged = 0, True
    for users, rows, filled in _batches(problem, features.dim):
        x = (features.rows(problem.left[rows].ravel()) - features.rows(problem.right[rows].ravel())).astype(np.float64)
        x = x.reshape(*rows.shape, features.dim)
        weight = np.where(filled, problem.weight[rows], 0.0)
        arguments = (x, problem.outcome[rows], weight, offset[rows], ridge, tol)
        few = rows.shape[1] <= features.dim
        heads[users], n, done = _in_answers(*arguments) if few else _in_features(*arguments)
        steps, converged = max(steps, n), converged and done
    return UserHeads(heads, steps, converged)


def _batches(problem: PairProblem, dim: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Users of about equally many rows: their codes, their rows (filled up with others), and which of these count."""
    sizes = np.diff(problem.user_start)
    order = np.argsort(sizes, kind="stable")
    order = order[sizes[order] > 0]
    first = 0
    while first < len(order):
        smallest = sizes[order[first]]
        last = int(np.searchsorted(sizes[order], 1.25 * smallest + 1, side="right"))
        width = int(sizes[order[last - 1]])
        last = min(last, first + max(1, BATCH_ENTRIES // (width * max(dim, width))))
        users = order[first:last]
        width = int(sizes[users].max())
        column = np.arange(width)
        filled = column < sizes[users][:, None]
        yield users, problem.user_start[users][:, None] + np.where(filled, column, 0), filled
        first = last


def _in_answers(
    x: Float[np.ndarray, "users rows dim"],
    y: Float[np.ndarray, "users rows"],
    weight: Float[np.ndarray, "users rows"],
    offset: Float[np.ndarray, "users rows"],
    ridge: float,
    tol: float,
) -> tuple[Float[np.ndarray, "users dim"], int, bool]:
    kernel = x @ x.transpose(0, 2, 1) / ridge
    a = np.zeros_like(y)
    f = np.zeros_like(y)
    value = _loss(f, y, weight, offset)
    eye = np.eye(y.shape[1])
    converged, n = False, 0
    while not converged and n < MAX_ITER:
        n += 1
        p = expit(offset + f)
        curvature = weight * p * (1.0 - p)
        root = np.sqrt(curvature)
        b = curvature * f + weight * (y - p)
        system = eye + root[:, :, None] * kernel * root[:, None, :]
        right = root * np.einsum("uij,uj->ui", kernel, b)
        direction = b - root * np.linalg.solve(system, right[..., None])[..., 0] - a
        moved = np.einsum("uij,uj->ui", kernel, direction)

        def at(
            t: np.ndarray,
            a: np.ndarray = a,
            f: np.ndarray = f,
            direction: np.ndarray = direction,
            moved: np.ndarray = moved,
        ) -> np.ndarray:
            new, g = a + t[:, None] * direction, f + t[:, None] * moved
            return _loss(g, y, weight, offset) + 0.5 * np.sum(new * g, axis=1)

        t, value = _shortened(at, value)
        a, f = a + t[:, None] * direction, f + t[:, None] * moved
        converged = bool(np.max(np.abs(moved), initial=0.0) <= tol)
    return np.einsum("uid,ui->ud", x, a) / ridge, n, converged


def _in_features(
    x: Float[np.ndarray, "users rows dim"],
    y: Float[np.ndarray, "users rows"],
    weight: Float[np.ndarray, "users rows"],
    offset: Float[np.ndarray, "users rows"],
    ridge: float,
    tol: float,
) -> tuple[Float[np.ndarray, "users dim"], int, bool]:
    heads = np.zeros((len(x), x.shape[2]))
    value = _loss(np.zeros_like(y), y, weight, offset)
    eye = ridge * np.eye(x.shape[2])
    converged, n = False, 0
    while not converged and n < MAX_ITER:
        n += 1
        f = np.einsum("uid,ud->ui", x, heads)
        p = expit(offset + f)
        curvature = weight * p * (1.0 - p)
        gradient = np.einsum("uid,ui->ud", x, weight * (y - p)) - ridge * heads
        system = x.transpose(0, 2, 1) @ (curvature[..., None] * x) + eye
        direction = np.linalg.solve(system, gradient[..., None])[..., 0]
        moved = np.einsum("uid,ud->ui", x, direction)

        def at(
            t: np.ndarray,
            heads: np.ndarray = heads,
            f: np.ndarray = f,
            direction: np.ndarray = direction,
            moved: np.ndarray = moved,
        ) -> np.ndarray:
            new = heads + t[:, None] * direction
            return _loss(f + t[:, None] * moved, y, weight, offset) + 0.5 * ridge * np.sum(new * new, axis=1)

        t, value = _shortened(at, value)
        heads = heads + t[:, None] * direction
        converged = bool(np.max(np.abs(moved), initial=0.0) <= tol)
    return heads, n, converged


def _loss(f: np.ndarray, y: np.ndarray, weight: np.ndarray, offset: np.ndarray) -> Float[np.ndarray, " users"]:
    z = offset + f
    return np.sum(weight * (np.logaddexp(0.0, z) - y * z), axis=1)


def _shortened(
    at: Callable[[np.ndarray], np.ndarray], value: np.ndarray
) -> tuple[Float[np.ndarray, " users"], Float[np.ndarray, " users"]]:
    """Steps of each user, halved until the objective does not rise, and the objective there."""
    t = np.ones(len(value))
    slack = 1e-12 * (1.0 + np.abs(value))
    new = at(t)
    for _ in range(MAX_HALVINGS):
        worse = ~(new <= value + slack)
        if not worse.any():
            break
        t[worse] *= 0.5
        new = at(t)
    t[~(new <= value + slack)] = 0.0
    return t, np.minimum(at(t), value + slack)
