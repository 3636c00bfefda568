"""Separation of answers by features: does a direction exist that no answer speaks against.

If some w has x.w >= 0 for every decided answer (x: features of the preferred item minus those of the other), x.w = 0
for every tie or graded answer, and x.w > 0 for at least one row, then the likelihood of a linear reward grows without
end along w and has no finite maximum (Albert & Anderson 1984).

Four steps, from cheap to dear, each exact:

1. Around a cycle of wins all rewards x.w must be equal. So w is orthogonal to the differences within each strongly
   connected component of the graph of wins, which leaves a smaller space, often none.
2. In that space a few Newton steps on the logistic loss of the remaining rows, weights p_i. If they find a w with all
   margins positive, that is the direction. If positive weights near p_i exist with sum_i y_i x_i = 0, there is none
   (Stiemke's lemma: the two exclude each other).
3. Else rows whose weight vanished are candidates for being separated while the others stay at zero: the same steps
   in the space orthogonal to the others may find such a direction.
4. Where all this is silent, a linear programme:  maximise sum_i x_i.w  subject to  x_i.w >= 0  and  -1 <= w <= 1.

Rows are added as a candidate w violates them, so that large data are settled by few rows.

References
----------
A. Albert, J. A. Anderson, On the existence of maximum likelihood estimates in logistic regression models,
Biometrika 71 (1984).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import linalg, optimize, special

from pluralism.data.graph import strong_components, win_edges

__all__ = ["Separation", "find_separation"]

ZERO = 1e-6
"""Margins below this share of the largest one count as zero."""


@dataclass(frozen=True, slots=True)
class Separation:
    """Answer of `find_separation`.

    Parameters
    ----------
    separable : bool or None
        None where the question was too large to settle.
    direction : (dim,) float or None
        A separating direction, with largest absolute value 1.
    n_strict : int
        Distinct pairs (winner, loser) strictly on the right side of it.
    n_tested : int
        Distinct pairs (winner, loser) outside of cycles that were looked at.
    n_pairs : int
        How many of these there are.
    """

    separable: bool | None
    direction: Float[np.ndarray, " dim"] | None = None
    n_strict: int = 0
    n_tested: int = 0
    n_pairs: int = 0


def find_separation(
    features: Float[np.ndarray, "items dim"],
    left: Int[np.ndarray, " pairs"],
    right: Int[np.ndarray, " pairs"],
    outcome: Float[np.ndarray, " pairs"],
    *,
    max_programme: int = 1_000_000,
    max_rounds: int = 40,
    max_values: int = 100_000_000,
) -> Separation:
    """Look for a direction of separation.

    Parameters
    ----------
    features : (items, dim)
    left, right : (pairs,) int
    outcome : (pairs,) float
        In [0, 1]; 0 and 1 are decided, all else speaks for both sides.
    max_programme : int
        Largest linear programme to solve, as rows x dim; at most three are solved.
    max_rounds : int
        How often to add violated rows.
    max_values : int
        Most feature values to hold in memory. Beyond it a random part of the rows is looked at: if that part is not
        separable and spans the space, neither is the whole; else the question is left open.

    Examples
    --------
    >>> one_feature = np.array([[0.0], [1.0], [2.0]])
    >>> find_separation(one_feature, np.array([1, 2]), np.array([0, 1]), np.array([1.0, 1.0])).separable
    True
    >>> find_separation(one_feature, np.array([1, 2]), np.array([0, 1]), np.array([1.0, 0.0])).separable
    False
    """
    winner, loser = win_edges(left, right, outcome)
    component = strong_components(winner, loser, len(features))
    edges = np.unique(np.column_stack([winner, loser])[component[winner] != component[loser]], axis=0)
    n_pairs = len(edges)
    space = _free_space(features, component)
    if n_pairs == 0 or space.shape[1] == 0:
        return Separation(False, n_tested=n_pairs, n_pairs=n_pairs)
    dim = space.shape[1]
    edges = np.random.default_rng(0).permutation(edges)
    if len(np.unique(edges)) * dim > max_values:
        edges = edges[: max_values // (2 * dim)]
    held, end = np.unique(edges, return_inverse=True)
    winner, loser = end.reshape(-1, 2).T
    reduced = _times(features, held, space)
    size = float(np.abs(reduced[winner] - reduced[loser]).max())
    largest = max(float(np.abs(features[block]).max()) for block in _blocks(held))
    if size <= ZERO * largest:
        return Separation(False if len(edges) == n_pairs else None, n_tested=len(edges), n_pairs=n_pairs)
    reduced /= size

    def answer(separable: bool | None, guess: Float[np.ndarray, " free"] | None = None) -> Separation:
        if guess is None or len(edges) < n_pairs:
            return Separation(None if separable else separable, n_tested=len(edges), n_pairs=n_pairs)
        direction, margin = space @ guess, reduced[winner] @ guess - reduced[loser] @ guess
        n_strict = int((margin > ZERO * np.abs(margin).max()).sum())
        return Separation(separable, direction / np.abs(direction).max(), n_strict, len(edges), n_pairs)

    chosen = np.zeros(len(edges), dtype=bool)
    chosen[: len(edges) if len(edges) * dim**2 <= 2e9 else 4 * dim] = True
    guess, programmes = np.zeros(dim), 0
    for _ in range(max_rounds):
        rows = reduced[winner[chosen]] - reduced[loser[chosen]]
        separable, guess, p = _newton(rows, guess)
        if separable is None:
            separable, guess = _face(rows, p)
        if separable is None:
            programmes += 1
            if rows.size > max_programme or programmes > 3:
                return answer(None)
            separable, guess = _programme(rows)
        if separable:
            margin = reduced[winner] @ guess - reduced[loser] @ guess
            violated = np.flatnonzero(~chosen & (margin < -ZERO * np.abs(margin).max()))
            if len(violated) == 0:
                return answer(True, guess)
            chosen[violated[np.argsort(margin[violated], kind="stable")[: 4 * dim]]] = True
        elif np.linalg.matrix_rank(rows) == dim:
            return answer(False)
        elif chosen.all():
            return answer(False if len(edges) == n_pairs else None)
        else:
            chosen[np.flatnonzero(~chosen)[: 4 * dim]] = True
            guess = np.zeros(dim)
    return answer(None)


def _free_space(
    features: Float[np.ndarray, "items dim"], component: Int[np.ndarray, " items"]
) -> Float[np.ndarray, "dim free"]:
    """Orthonormal basis of the directions along which all items of a strong component are equal."""
    dim = features.shape[1]
    size = np.bincount(component)
    held = np.flatnonzero(size[component] > 1)
    if len(held) == 0:
        return np.eye(dim)
    _, label = np.unique(component[held], return_inverse=True)
    mean = np.zeros((label.max() + 1, dim))
    gram = np.zeros((dim, dim))
    blocks = _blocks(np.arange(len(held)))
    for block in blocks:
        np.add.at(mean, label[block], features[held[block]].astype(np.float64))
    mean /= np.bincount(label)[:, None]
    for block in blocks:
        centred = features[held[block]].astype(np.float64) - mean[label[block]]
        gram += centred.T @ centred
    return _null_space(gram)


def _newton(
    rows: Float[np.ndarray, "rows dim"], start: Float[np.ndarray, " dim"], max_iterations: int = 30
) -> tuple[bool | None, Float[np.ndarray, " dim"], Float[np.ndarray, " rows"]]:
    """Step 2: True with a direction, False with zeros, or None where it cannot tell; and the weights at the end."""
    zeros = np.zeros(rows.shape[1])
    # In coordinates in which the columns are orthonormal; directions in which the rows do not differ drop out.
    value, vector = linalg.eigh(rows.T @ rows)
    held = value > ZERO**2 * value[-1]
    root = np.sqrt(value[held])
    white = rows @ (vector[:, held] / root)
    w = root * (vector[:, held].T @ start)
    loss = _loss(white @ w)
    for _ in range(max_iterations):
        margin = white @ w
        if margin.min() > ZERO * np.abs(margin).max() > 0:
            direction = vector[:, held] @ (w / root)
            return True, direction / np.abs(direction).max(), np.zeros(len(rows))
        p = special.expit(-margin)
        gradient = white.T @ p
        y = p - white @ gradient
        y -= white @ (white.T @ y)
        if y.min() > 1e-9 * p.max() and np.abs(white.T @ y).max() <= 1e-12 * np.linalg.norm(y):
            return False, zeros, p
        hessian = (white * (p * (1 - p))[:, None]).T @ white
        # Scaled to a unit diagonal, so that a direction with few, nearly settled rows is not damped by the others.
        scale = 1 / np.sqrt(np.maximum(np.diag(hessian), np.finfo(float).tiny))
        hessian *= np.outer(scale, scale)
        hessian[np.diag_indices_from(hessian)] += 1e-10
        step = scale * linalg.cho_solve(linalg.cho_factor(hessian), scale * gradient)
        length = 1.0
        while (shorter := _loss(white @ (w + length * step))) > loss and length > 1e-6:
            length /= 2
        w, loss = w + length * step, shorter
    return None, zeros, special.expit(-(white @ w))


def _face(
    rows: Float[np.ndarray, "rows dim"], p: Float[np.ndarray, " rows"]
) -> tuple[bool | None, Float[np.ndarray, " dim"]]:
    """Step 3: True with a direction that is zero on the rows that kept their weight, or None where there is none."""
    kept = p > 1e-5
    space = _null_space(rows[kept].T @ rows[kept])
    if kept.all() or space.shape[1] == 0:
        return None, np.zeros(rows.shape[1])
    separable, within, _ = _newton(rows[~kept] @ space, np.zeros(space.shape[1]))
    direction = space @ within
    margin = rows @ direction
    if separable and margin.min() >= -ZERO * margin.max():
        return True, direction / np.abs(direction).max()
    return None, np.zeros(rows.shape[1])


def _null_space(gram: Float[np.ndarray, "dim dim"]) -> Float[np.ndarray, "dim free"]:
    """Orthonormal basis of the directions along which a Gram matrix vanishes."""
    value, vector = linalg.eigh(gram)
    return vector[:, value <= ZERO**2 * max(float(value[-1]), np.finfo(float).tiny)]


def _loss(margin: Float[np.ndarray, " rows"]) -> float:
    return float(np.logaddexp(0, -margin).sum())


def _programme(rows: Float[np.ndarray, "rows dim"]) -> tuple[bool, Float[np.ndarray, " dim"]]:
    """Step 4: True with a direction, or False with zeros."""
    solution = optimize.linprog(-rows.sum(axis=0), A_ub=-rows, b_ub=np.zeros(len(rows)), bounds=(-1, 1), method="highs")
    if solution.x is not None and np.abs(solution.x).max() > 0:
        w = np.asarray(solution.x) / np.abs(solution.x).max()
        margin = rows @ w
        if margin.max() > 10 * ZERO and margin.min() >= -ZERO * margin.max():
            return True, w
    return False, np.zeros(rows.shape[1])


def _times(
    features: Float[np.ndarray, "items dim"], held: Int[np.ndarray, " held"], space: Float[np.ndarray, "dim free"]
) -> Float[np.ndarray, "held free"]:
    product = np.empty((len(held), space.shape[1]))
    first = 0
    for block in _blocks(held):
        product[first : first + len(block)] = features[block].astype(np.float64) @ space
        first += len(block)
    return product


def _blocks(held: Int[np.ndarray, " held"], size: int = 16_384) -> list[Int[np.ndarray, " block"]]:
    return [held[first : first + size] for first in range(0, len(held), size)]
