r"""MaxMin without a price of KL, as a linear program: a vertex of the optimal face, with weights from the duals.

.. math:: \max_{q, t} t \quad \text{subject to} \quad E_x E_{q_x} R_k \ge t \text{ for all } k, \quad \sum_y q_x(y) = 1.

The multipliers of the first constraints are the groups' weights. `solve_saddle` with beta = 0 finds the middle of the
optimal face instead, in less time; a vertex mixes as few candidates as can be.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.optimize import linprog
from scipy.sparse import csr_array, hstack

from pluralism.errors import PluralismError
from pluralism.solvers.saddle import SaddlePoint

__all__ = ["maxmin_lp", "maxmin_lp_each"]

Values = Float[np.ndarray, "prompts candidates groups"]
Logs = Float[np.ndarray, "prompts candidates"]
BLOCK = 100


def maxmin_lp(
    values: Values, log_reference: Logs, prompt_weights: Float[np.ndarray, " prompts"] | None = None
) -> SaddlePoint:
    """Raise the least mean utility over all prompts, by HiGHS on a sparse program.

    Parameters
    ----------
    values : array of shape (prompts, candidates, groups)
        Rewards; not read where a candidate is absent.
    log_reference : array of shape (prompts, candidates)
        Minus infinity for absent candidates; else it plays no part.
    prompt_weights : array of shape (prompts,), optional
        Summing to 1; equal by default.
    """
    mass = np.full(len(values), 1.0 / len(values)) if prompt_weights is None else prompt_weights
    return _solve(values, log_reference, mass, np.zeros(len(values), np.int64))


def maxmin_lp_each(values: Values, log_reference: Logs) -> SaddlePoint:
    """Raise the least utility on every prompt by itself; programs are solved in blocks of prompts."""
    blocks = [slice(a, a + BLOCK) for a in range(0, len(values), BLOCK)]
    found = [
        _solve(values[b], log_reference[b], np.ones(len(values[b])), np.arange(len(values[b]), dtype=np.int64))
        for b in blocks
    ]
    names = ("log_policy", "weights", "value", "gap", "away", "n_iter")
    return SaddlePoint(*(np.concatenate([getattr(each, name) for each in found]) for name in names))


def _solve(values: Values, log_reference: Logs, mass: np.ndarray, problem: np.ndarray) -> SaddlePoint:
    """One program for several problems, where prompt x belongs to `problem[x]`."""
    n_groups, n_problems = values.shape[2], int(problem[-1]) + 1
    row, place = np.nonzero(np.isfinite(log_reference))
    n_cells, worth = len(row), values[row, place]
    scale = float(np.ptp(worth, axis=0).max()) or 1.0
    table = worth * (mass[row, None] / scale)
    cell = np.arange(n_cells)
    limits = (problem[row][:, None] * n_groups + np.arange(n_groups)).ravel()
    gains = csr_array((-table.ravel(), (limits, np.repeat(cell, n_groups))), shape=(n_problems * n_groups, n_cells))
    levels = csr_array(np.kron(np.eye(n_problems), np.ones((n_groups, 1))))
    bounds: Any = [(0, None)] * n_cells + [(None, None)] * n_problems
    above: Any = hstack([gains, levels], format="csr")
    sums: Any = csr_array((np.ones(n_cells), (row, cell)), shape=(len(values), n_cells + n_problems))
    found: Any = linprog(
        np.concatenate([np.zeros(n_cells), -np.ones(n_problems)]),
        A_ub=above,
        b_ub=np.zeros(n_problems * n_groups),
        A_eq=sums,
        b_eq=np.ones(len(values)),
        bounds=bounds,
        method="highs",
    )
    if found.status != 0:
        raise PluralismError(f"The linear program of MaxMin was not solved: {found.message}")
    q = np.zeros(log_reference.shape)
    q[row, place] = np.maximum(found.x[:n_cells], 0.0)
    q /= q.sum(axis=1, keepdims=True)
    weights = np.maximum(-found.ineqlin.marginals.reshape(n_problems, n_groups), 0.0)
    weights /= weights.sum(axis=1, keepdims=True)
    utility, bound = np.zeros((n_problems, n_groups)), np.zeros(n_problems)
    np.add.at(utility, problem, mass[:, None] * np.einsum("xy,xyk->xk", q, np.where(q[..., None] > 0, values, 0.0)))
    reward = np.full(log_reference.shape, -np.inf)
    reward[row, place] = np.sum(worth * weights[problem[row]], axis=1)
    np.add.at(bound, problem, mass * reward.max(axis=1))
    value = utility.min(axis=1)
    with np.errstate(divide="ignore"):
        log_policy = np.log(q)
    away, steps = np.zeros(n_problems), np.full(n_problems, int(found.nit), np.int64)
    return SaddlePoint(log_policy, weights, value, np.maximum(bound - value, 0.0), away, steps)
