"""The leximin optimum on finite candidates, by a sequence of linear programs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack, vstack

__all__ = ["Leximin", "leximin_levels"]

HELD = 1e-9
"""How far a level that is held may be missed, relative to the range of the utilities."""

RAISED = 1e-7
"""A group whose utility cannot be raised by more than this, relative to the range, has its level."""


@dataclass(frozen=True)
class Leximin:
    """A policy whose sorted group utilities no other policy's exceed, compared from the least on.

    Attributes
    ----------
    probs : array of shape (prompts, candidates)
    levels : array of shape (groups,)
        The utility that each group was fixed at.
    order : tuple of tuples of int
        Groups in the order in which they were fixed, those of a round together.
    """

    probs: Float[np.ndarray, "prompts candidates"]
    levels: Float[np.ndarray, " groups"]
    order: tuple[tuple[int, ...], ...]


def leximin_levels(
    values: Float[np.ndarray, "prompts candidates groups"],
    mask: Bool[np.ndarray, "prompts candidates"],
    prompt_weights: Float[np.ndarray, " prompts"],
) -> Leximin:
    """Raise the least utility as far as it goes, hold the groups that cannot have more, and go on with the others.

    A group is held in a round if its own utility cannot exceed the round's level while all others that are not held
    yet have it: multipliers alone would miss groups where the program is degenerate.

    Raises
    ------
    RuntimeError
        If a linear program is not solved; they are feasible and bounded by construction.
    """
    n_prompts, _, n_groups = values.shape
    row, place = np.nonzero(mask)
    size = float(np.ptp(values[mask], axis=0).max(initial=0.0))
    scale = size if size > 0 else 1.0
    centre = values[mask].mean(axis=0)
    table = csr_array(((values[row, place] - centre) / scale * prompt_weights[row, None]).T)
    simplex = csr_array((np.ones(len(row)), (row, np.arange(len(row)))), shape=(n_prompts, len(row)))
    levels = np.full(n_groups, -np.inf)
    offset = prompt_weights.sum() * centre / scale
    left = list(range(n_groups))
    order: list[tuple[int, ...]] = []
    q = np.zeros(len(row))
    while left:
        level, q = _raise_all(table, simplex, offset, levels, left)
        stuck = [k for k in left if _highest(table, simplex, offset, levels, left, level, k) <= level + RAISED]
        # rounding may leave room for all: the group with the least room is the one that binds
        if not stuck:
            room = [_highest(table, simplex, offset, levels, left, level, k) for k in left]
            stuck = [left[int(np.argmin(room))]]
        levels[stuck] = level
        order.append(tuple(stuck))
        left = [k for k in left if k not in stuck]
    probs = np.zeros(mask.shape)
    probs[row, place] = np.maximum(q, 0.0)
    return Leximin(probs / probs.sum(axis=1, keepdims=True), levels * scale, tuple(order))


def _raise_all(
    table: csr_array, simplex: csr_array, offset: np.ndarray, levels: np.ndarray, left: list[int]
) -> tuple[float, np.ndarray]:
    """The highest level that all groups left reach together, those held keeping theirs, and a policy that does it."""
    held = np.isfinite(levels)
    rows, at_least = table[np.flatnonzero(held)], levels[held] - offset[held] - HELD
    constraints = vstack(
        [hstack([-rows, csr_array((int(held.sum()), 1))]), hstack([-table[left], csr_array(np.ones((len(left), 1)))])]
    )
    bounds = [(0.0, None)] * simplex.shape[1] + [(None, None)]
    cost = np.zeros(simplex.shape[1] + 1)
    cost[-1] = -1.0
    found = _solve(
        cost,
        constraints,
        np.concatenate([-at_least, offset[left]]),
        hstack([simplex, csr_array((simplex.shape[0], 1))]),
        bounds,
    )
    return float(found[-1]), found[:-1]


def _highest(
    table: csr_array,
    simplex: csr_array,
    offset: np.ndarray,
    levels: np.ndarray,
    left: list[int],
    level: float,
    group: int,
) -> float:
    """The highest utility of one group while all others keep what they have."""
    floor = np.where(np.isfinite(levels), levels, level)
    at_least = floor - offset - HELD
    found = _solve(-table[[group]].toarray()[0], -table, -at_least, simplex, (0.0, None))
    return float((table[[group]] @ found)[0] + offset[group])


def _solve(cost: np.ndarray, rows: Any, most: np.ndarray, simplex: Any, bounds: Any) -> np.ndarray:
    found = linprog(
        cost, A_ub=rows, b_ub=most, A_eq=simplex, b_eq=np.ones(simplex.shape[0]), bounds=bounds, method="highs"
    )
    if found.status != 0:
        raise RuntimeError(f"A linear program of leximin was not solved: {found.message}")
    return np.asarray(found.x)
