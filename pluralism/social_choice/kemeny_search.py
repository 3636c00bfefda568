"""Kemeny's rule where exact search takes too long: local search from several starts, and lower bounds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int64
from scipy.optimize import linprog
from scipy.sparse import csr_array

from pluralism.random import RNG, as_generator
from pluralism.social_choice.kemeny_kernels import cycle_bound, improve_by_insertion

__all__ = ["SearchResult", "search"]

LARGEST_PROGRAM = 80
"""More candidates than this get the bound from cycles instead of the linear program."""

CUTS = 4_000
"""Cycles that are added to the linear program at a time."""

TOLERANCE = 1e-6


@dataclass(frozen=True)
class SearchResult:
    """The best order found.

    Attributes
    ----------
    order : list of int
        Candidates, best first.
    disagreement : int
        Pairwise disagreements of voters with it.
    bound : int
        No order has fewer.
    solver : str
        What found the order and the bound.
    """

    order: list[int]
    disagreement: int
    bound: int
    solver: str


def search(support: Int64[np.ndarray, "candidates candidates"], *, starts: int, rng: RNG) -> SearchResult:
    """Order candidates by insertion search, and bound the disagreement from below.

    Parameters
    ----------
    support : int64 array of shape (candidates, candidates)
    starts : int
        Of these, one is the order of sums of margins, one that of wins; the others are random.
    rng : int, Generator or None
    """
    generator = as_generator(rng, "kemeny")
    margins = support - support.T
    k = len(margins)
    orders = [np.argsort(-margins.sum(axis=1), kind="stable"), np.argsort(-(margins > 0).sum(axis=1), kind="stable")]
    orders = [*orders[:starts], *(generator.permutation(k) for _ in range(starts - len(orders)))]
    floor = int(np.minimum(support, support.T).sum()) // 2
    relaxed = _linear_program(margins) if k <= LARGEST_PROGRAM else None
    if relaxed is None:
        bound = int(cycle_bound(margins))
        how = f"3-cycles{' after HiGHS failed' if k <= LARGEST_PROGRAM else ''}"
    else:
        bound, above = relaxed
        how = "a linear program (HiGHS)"
        orders.append(np.argsort(-above.sum(axis=1), kind="stable"))
    for order in orders:
        improve_by_insertion(margins, order)
    best = min(orders, key=lambda order: disagreement(support, order))
    solver = f"insertion search from {starts} starts, bound from {how}"
    return SearchResult(best.tolist(), disagreement(support, best), floor + bound, solver)


def disagreement(support: Int64[np.ndarray, "candidates candidates"], order: np.ndarray | list[int]) -> int:
    """Voters' pairwise disagreements with an order: for each pair, those who rank the lower one above."""
    ranked = support[order][:, order]
    return int(np.tril(ranked, -1).sum())


def _linear_program(
    margins: Int64[np.ndarray, "candidates candidates"],
) -> tuple[int, Float[np.ndarray, "candidates candidates"]] | None:
    """Least sum of reversed majorities over relaxed orders, rounded up, and how far each candidate is above each other.

    A relaxed order says how far a is above b, with ``above[a, b] + above[b, a] = 1``; that of three no cycle is
    complete, ``above[a, b] + above[b, c] + above[c, a] <= 2``, is asked for where it is violated, in turns. None where
    HiGHS gives up.
    """
    k = len(margins)
    rows, columns = np.triu_indices(k, 1)
    variable = np.zeros((k, k), dtype=np.int64)
    variable[rows, columns] = variable[columns, rows] = np.arange(len(rows))
    scale = max(int(np.abs(margins).max()), 1)
    # Of a pair a < b the variable is above[a, b]; it costs the margin of b over a, where that is a majority, and so on.
    cost = -margins[rows, columns] / scale
    constant = int(np.maximum(margins[rows, columns], 0).sum())
    cuts: list[csr_array] = []
    sides: list[np.ndarray] = []
    known: set[tuple[int, int, int]] = set()
    while True:
        matrix: Any = _stacked(cuts, len(rows)) if cuts else None
        solved = linprog(
            cost,
            A_ub=matrix,
            b_ub=np.concatenate(sides) if cuts else None,
            bounds=(0, 1),
            method="highs",
        )
        if solved.x is None or solved.fun is None:
            return None
        above = np.zeros((k, k))
        above[rows, columns] = solved.x
        above[columns, rows] = 1 - solved.x
        fresh = [cycle for cycle in _violated(above) if cycle not in known]
        if not fresh:
            value = float(solved.fun) * scale + constant
            return int(np.ceil(value - TOLERANCE * scale)), above
        known.update(fresh)
        block, side = _cuts(np.array(fresh), variable, len(rows))
        cuts.append(block)
        sides.append(side)


def _stacked(blocks: list[csr_array], n: int) -> csr_array:
    data = np.concatenate([block.data for block in blocks])
    indices = np.concatenate([block.indices for block in blocks])
    return csr_array((data, indices, np.arange(0, len(indices) + 1, 3)), shape=(len(indices) // 3, n))


def _violated(above: Float[np.ndarray, "candidates candidates"]) -> list[tuple[int, int, int]]:
    """The most violated cycles of three, each once."""
    k = len(above)
    found: list[tuple[float, int, int, int]] = []
    for a in range(k):
        rest = slice(a + 1, k)
        excess = above[a, rest, None] + above[rest, rest] + above[rest, a][None, :] - 2
        for b, c in zip(*np.nonzero(excess > TOLERANCE), strict=True):
            found.append((-float(excess[b, c]), a, a + 1 + int(b), a + 1 + int(c)))
    return [(a, b, c) for _, a, b, c in sorted(found)[:CUTS]]


def _cuts(cycles: np.ndarray, variable: np.ndarray, n: int) -> tuple[csr_array, np.ndarray]:
    """Rows of ``above[a, b] + above[b, c] + above[c, a] <= 2`` in the variables of pairs."""
    tails, heads = cycles, np.roll(cycles, -1, axis=1)
    forward = tails < heads
    data = np.where(forward, 1.0, -1.0)
    side = 2.0 - (~forward).sum(axis=1)
    indices = variable[tails, heads]
    return csr_array((data.ravel(), indices.ravel(), np.arange(0, indices.size + 1, 3)), shape=(len(cycles), n)), side
