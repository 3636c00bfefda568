"""Is there a direction in feature space that no answer speaks against?

If some w has x.w >= 0 for every decided answer (x: features of the preferred minus the other), x.w = 0 for every tie
or graded answer, and x.w > 0 for at least one row, then the likelihood of a linear reward grows without end along w
and has no finite maximum (Albert & Anderson 1984, complete and quasi-complete separation).

The linear programme  maximise sum_i x_i.w  subject to the constraints and -1 <= w <= 1  has a positive value exactly
then. It is solved on a growing set of rows: rows that a candidate w violates are added until none is violated (w
proves separation on all rows) or only w = 0 is left (which proves that there is none, since more rows only constrain
more).

References
----------
A. Albert, J. A. Anderson, On the existence of maximum likelihood estimates in logistic regression models,
Biometrika 71 (1984).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

__all__ = ["Separation", "find_separation"]

TOLERANCE = 1e-6
"""Margins below this share of the largest one count as zero."""


@dataclass(frozen=True, slots=True)
class Separation:
    """Answer of `find_separation`.

    Parameters
    ----------
    kind : {"none", "quasi", "complete", "undecided"}
        Complete: all decided rows are strictly on the right side. Undecided: `max_rows` or `max_rounds` was reached.
    direction : (dim,) float or None
        The separating direction, with largest absolute value 1.
    n_strict : int
        Rows that are strictly on the right side of it.
    n_rows : int
        Rows that the linear programme has seen.
    """

    kind: Literal["none", "quasi", "complete", "undecided"]
    direction: Float[np.ndarray, " dim"] | None
    n_strict: int
    n_rows: int


def find_separation(
    features: Float[np.ndarray, "items dim"],
    left: Int[np.ndarray, " pairs"],
    right: Int[np.ndarray, " pairs"],
    outcome: Float[np.ndarray, " pairs"],
    *,
    max_rows: int = 20_000,
    max_rounds: int = 30,
) -> Separation:
    """Look for a direction of separation.

    Parameters
    ----------
    features : (items, dim)
    left, right : (pairs,) int
    outcome : (pairs,) float
        In [0, 1]; 0 and 1 are decided, all else speaks for both sides.
    max_rows : int
        Largest linear programme to solve; beyond it the answer is "undecided".
    max_rounds : int
        Most programmes to solve.

    Examples
    --------
    >>> one_feature = np.array([[0.0], [1.0], [2.0]])
    >>> find_separation(one_feature, np.array([1, 2]), np.array([0, 1]), np.array([1.0, 1.0])).kind
    'complete'
    >>> find_separation(one_feature, np.array([1, 2]), np.array([0, 1]), np.array([1.0, 0.0])).kind
    'none'
    """
    decided = (outcome == 0) | (outcome == 1)
    winner, loser = np.where(outcome > 0.5, left, right), np.where(outcome > 0.5, right, left)
    edge = np.column_stack([winner, loser, decided]).astype(np.int64)
    edge = np.unique(edge[winner != loser], axis=0)
    winner, loser, decided = edge[:, 0], edge[:, 1], edge[:, 2].astype(bool)
    dim = features.shape[1]
    if not decided.any():
        return Separation("none", None, 0, 0)

    order = np.random.default_rng(0).permutation(len(edge))
    chosen = np.zeros(len(edge), dtype=bool)
    chosen[order[: 4 * dim]] = True
    for _ in range(max_rounds):
        rows = np.flatnonzero(chosen)
        difference = features[winner[rows]].astype(np.float64) - features[loser[rows]]
        direction = _solve(difference, decided[rows], np.abs(difference).max())
        reward = np.zeros(len(features)) if direction is None else _reward(features, direction)
        margin = reward[winner] - reward[loser]
        violation = np.where(decided, -margin, np.abs(margin))
        limit = TOLERANCE * max(float(np.abs(margin).max()), np.finfo(float).tiny)
        if direction is None:
            if np.linalg.matrix_rank(difference) >= min(dim, len(edge)):
                return Separation("none", None, 0, len(rows))
            new = order[~chosen[order]][: 4 * dim]
            if len(new) == 0:
                return Separation("none", None, 0, len(rows))
        else:
            violated = np.flatnonzero(~chosen & (violation > limit))
            if len(violated) == 0:
                strict = decided & (margin > limit)
                kind: Literal["quasi", "complete"] = "complete" if strict[decided].all() else "quasi"
                return Separation(kind, direction, int(strict.sum()), len(rows))
            new = violated[np.argsort(-violation[violated], kind="stable")[: 2 * dim]]
        chosen[new] = True
        if chosen.sum() > max_rows:
            break
    return Separation("undecided", None, 0, int(chosen.sum()))


def _solve(
    difference: Float[np.ndarray, "rows dim"], decided: Float[np.ndarray, " rows"], size: float
) -> Float[np.ndarray, " dim"] | None:
    """The best direction for these rows, or None where only w = 0 satisfies them."""
    from scipy.optimize import linprog

    if size == 0:
        return None
    scaled = difference / size
    for_both = scaled[~decided]
    solution = linprog(
        -scaled[decided].sum(axis=0),
        A_ub=-scaled[decided],
        b_ub=np.zeros(int(decided.sum())),
        A_eq=for_both if len(for_both) else None,
        b_eq=np.zeros(len(for_both)) if len(for_both) else None,
        bounds=(-1, 1),
        method="highs",
    )
    if solution.x is None or np.abs(solution.x).max() < 1e-5:
        return None
    direction = solution.x / np.abs(solution.x).max()
    margin = scaled @ direction
    worst = max(float(-margin[decided].min(initial=0.0)), float(np.abs(margin[~decided]).max(initial=0.0)))
    if margin[decided].max(initial=0.0) <= 1e-5 or worst > TOLERANCE * np.abs(margin).max():
        return None
    return direction


def _reward(features: Float[np.ndarray, "items dim"], direction: Float[np.ndarray, " dim"]) -> Float[np.ndarray, " items"]:
    reward = np.empty(len(features))
    for first in range(0, len(features), 65_536):
        reward[first : first + 65_536] = features[first : first + 65_536].astype(np.float64) @ direction
    return reward
