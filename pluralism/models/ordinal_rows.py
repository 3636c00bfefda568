"""From comparisons with strengths to ordered categories: the levels, and each row's place among them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from jaxtyping import Float, Int

from pluralism.models.preparation import Prepared
from pluralism.solvers.ordinal import OrdinalRows

__all__ = ["levels_of", "ordinal_rows"]

MOST_DISTINCT = 7


def levels_of(prepared: Prepared, n_levels: int) -> Float[np.ndarray, " levels"]:
    """Lower edges of the levels of strength, ascending; the first also holds what lies below it.

    Up to seven distinct strengths are levels as they are; more are cut into `n_levels` parts of about as many rows
    each, equal strengths never apart: one that many rows share is a level of its own. Without strengths there is one
    level.
    """
    comparisons = prepared.comparisons
    if comparisons.strength is None:
        return np.zeros(1)
    counts = (comparisons.outcome != 0.5) & (comparisons.weight > 0) & ~np.isnan(comparisons.strength)
    values, rows = np.unique(comparisons.strength[counts], return_counts=True)
    if len(values) == 0:
        return np.zeros(1)
    if len(values) <= MOST_DISTINCT:
        return values
    below = np.concatenate([[0], np.cumsum(rows)])
    edges = [0, len(values)]
    for left in range(n_levels, 1, -1):
        end = _even_edge(below, edges[-2], len(values), left)
        if end == len(values):
            break
        edges.insert(-1, end)
    # strengths that many share may leave levels over: they halve the largest part that can be cut
    while len(edges) <= n_levels:
        parts = [(below[b] - below[a], a, b) for a, b in pairwise(edges) if b - a > 1]
        if not parts:
            break
        _, start, end = max(parts)
        edges = sorted([*edges, min(_even_edge(below, start, end, 2), end - 1)])
    return values[edges[:-1]]


def _even_edge(below: Int[np.ndarray, " edges"], start: int, end: int, n_parts: int) -> int:
    """The edge after `start`, at most `end`, that is nearest to one of `n_parts` even parts of the rows from there."""
    at = below[start] + (below[end] - below[start]) / n_parts
    edge = int(np.searchsorted(below, at))
    edge -= bool(at - below[edge - 1] < below[edge] - at)
    return min(max(edge, start + 1), end)


def ordinal_rows(
    prepared: Prepared, levels: Float[np.ndarray, " levels"], likelihood: str, ties: str
) -> tuple[OrdinalRows, bool]:
    """The rows of a likelihood, and whether ties are a middle category.

    A graded outcome counts for both sides, by its mass. Unknown strengths are any level for the ordinal likelihood,
    no margin, and a weight of one.
    """
    p, order = prepared.problem, prepared.order
    n = len(p.left)
    strength = prepared.comparisons.strength
    m = np.full(n, np.nan) if strength is None else strength[order]
    tied = p.outcome == 0.5
    middle = ties == "middle" and bool(np.any(tied & (p.weight > 0)))
    known = ~np.isnan(m) & ~tied
    low, high = np.zeros(n, np.int64), np.full(n, 1, np.int64)
    n_cuts, margin, weight = 1, np.zeros(n), p.weight.copy()
    if likelihood == "ordinal":
        n_cuts = len(levels)
        high[:] = n_cuts
        level = np.maximum(np.searchsorted(levels, m[known], side="right") - 1, 0)
        low[known], high[known] = level, level + 1
    elif likelihood == "margin":
        margin[known] = m[known]
    elif likelihood == "scaled" and known.any():
        mean = float(np.average(m[known], weights=p.weight[known])) if p.weight[known].sum() > 0 else 1.0
        weight[known] *= m[known] / (mean if mean > 0 else 1.0)
    own = tied & (ties != "half")
    both = ~own & (p.outcome > 0) & (p.outcome < 1)
    first = np.where(own, weight, np.where(p.outcome > 0, weight * p.outcome, weight * (1 - p.outcome)))
    pair = np.concatenate([np.arange(n), np.flatnonzero(both)])
    sign = np.concatenate([np.where(own | (p.outcome > 0), 1.0, -1.0), np.full(int(both.sum()), -1.0)])
    mass = np.concatenate([first, (weight * (1 - p.outcome))[both]])
    is_tie = np.concatenate([own, np.zeros(int(both.sum()), bool)])
    high = np.where(own, 0, high)
    return OrdinalRows(pair, sign, low[pair], high[pair], is_tie, margin[pair], mass, n_cuts), middle
