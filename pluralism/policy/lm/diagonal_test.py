"""Whether judges prefer what was made for them: permutations of conditions within prompts, counted exactly."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from math import factorial

import numpy as np
from jaxtyping import Float, Int

from pluralism.errors import DataError
from pluralism.random import RNG, as_generator

__all__ = ["LabelPermutation", "label_permutation"]

MOST_CELLS = 400_000_000
"""Additions that an exact count may take; beyond them permutations are drawn."""

MOST_GROUPS = 8
"""Groups whose permutations are written out: 40,320 of them."""


@dataclass(frozen=True, eq=False)
class LabelPermutation:
    """One-sided p-values of the diagonal of a cross table.

    Attributes
    ----------
    p : float
        Of all groups together: permutations within prompts that give a diagonal at least as large, as a share of all.
    p_groups : array of shape (groups,)
        Of each group alone.
    exact : bool
        Whether `p` counts all permutations; drawn ones count the one observed as well. `p_groups` are exact if True.
    """

    p: float
    p_groups: Float[np.ndarray, " groups"]
    exact: bool


def label_permutation(
    points: Int[np.ndarray, "groups conditions prompts"], *, draws: int = 20_000, rng: RNG = 0
) -> LabelPermutation:
    r"""Test the diagonal of a table of groups and of conditions made for them, against their labels permuted.

    If it made no difference for whom a condition was made, then on each prompt all ways of assigning the conditions to
    the groups were equally likely. The diagonal is :math:`\sum_x \sum_g n_{g, \sigma_x(g), x}` under the permutations
    :math:`\sigma_x`, one for each prompt and the same for all judges, since they judge the same generations; for one
    group alone its condition is drawn uniformly. As points are whole numbers, the distribution of the sum is a
    convolution over prompts, which is computed without sampling.

    Parameters
    ----------
    points : int array of shape (groups, conditions, prompts)
        What the judge of a group gives a condition on a prompt, in whole points of the same size; condition g was made
        for group g.
    draws : int
        Permutations drawn where there are too many to count.
    rng : int, Generator or None

    Raises
    ------
    DataError
        If groups and conditions do not pair up, or there are fewer than two.

    Examples
    --------
    >>> points = np.broadcast_to(np.array([[2, 0], [0, 2]])[..., None], (2, 2, 5))
    >>> label_permutation(points).p == 2.0**-5
    True
    """
    table = np.asarray(points)
    if table.ndim != 3 or table.shape[0] != table.shape[1] or min(table.shape[0] - 1, table.shape[2]) < 1:
        raise DataError(
            f"A table of shape {table.shape} has no diagonal to test.",
            fix="Give points of shape (groups, conditions, prompts), with two or more groups and a condition for each.",
        )
    k, _, n_prompts = table.shape
    low = table.min(axis=1, keepdims=True)
    # Shifted so that all points count from 0: permutations of a prompt share the shift.
    rest = (table - low).astype(np.int64)
    own = rest[np.arange(k), np.arange(k)]
    exact_groups = all(_cells(rest[g].max(axis=0), k) <= MOST_CELLS for g in range(k))
    generator = as_generator(rng, "label_permutation")
    group_sums = own.sum(axis=1)
    if exact_groups:
        counted = [[np.unique(x, return_counts=True) for x in rest[g].T] for g in range(k)]
        p_groups = np.array([_tail(counted[g], group_sums[g]) for g in range(k)])
    else:
        p_groups = np.array([_drawn_alone(rest[g], int(group_sums[g]), draws, generator) for g in range(k)])
    if exact_groups and k <= MOST_GROUPS and _cells(rest.sum(axis=0).max(axis=0), factorial(k)) <= MOST_CELLS:
        orders = np.array(list(permutations(range(k))))
        sums = [np.unique(rest[np.arange(k), orders, x].sum(axis=1), return_counts=True) for x in range(n_prompts)]
        return LabelPermutation(_tail(sums, own.sum()), p_groups, True)
    return LabelPermutation(_drawn(rest, int(own.sum()), draws, generator), p_groups, False)


def _cells(most: Int[np.ndarray, " prompts"], ways: int) -> int:
    """Additions of a convolution, at most."""
    return int(np.sum(np.minimum(most + 1, ways) * (np.cumsum(most) + 1)))


def _tail(values: list[tuple[np.ndarray, np.ndarray]], least: int) -> float:
    """P(sum >= least) of independent variables, each given by its values from 0 and their counts."""
    mass = np.ones(1)
    for points, counts in values:
        chance = counts / counts.sum()
        wider = np.zeros(len(mass) + int(points[-1]))
        for point, share in zip(points.tolist(), chance.tolist(), strict=True):
            wider[point : point + len(mass)] += share * mass
        mass = wider
    # Added from the far end, where the smallest are.
    return min(float(np.cumsum(mass[::-1])[len(mass) - 1 - int(least)]), 1.0)


def _drawn(rest: Int[np.ndarray, "groups groups prompts"], least: int, draws: int, rng: np.random.Generator) -> float:
    k, _, n_prompts = rest.shape
    groups, prompts = np.arange(k)[:, None], np.arange(n_prompts)
    reached = 1
    for _ in range(draws):
        order = rng.permuted(np.broadcast_to(np.arange(k)[:, None], (k, n_prompts)), axis=0)
        reached += int(rest[groups, order, prompts].sum()) >= least
    return reached / (draws + 1)


def _drawn_alone(
    rest: Int[np.ndarray, "conditions prompts"], least: int, draws: int, rng: np.random.Generator
) -> float:
    k, n_prompts = rest.shape
    reached = 1
    for _ in range(draws):
        reached += int(rest[rng.integers(k, size=n_prompts), np.arange(n_prompts)].sum()) >= least
    return reached / (draws + 1)
