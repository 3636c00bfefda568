r"""Policies that do best against the worst weights of the groups: max over q, min over w in a convex set.

.. math:: \max_q \min_{w \in W} \; E_x \Big[ \sum_k w_k E_{q_x} R_k - \beta\, KL(q_x \| p_x) \Big]

A primal-dual interior point method. Policy and weights are both variables, with multipliers z of q >= 0, s of w >= 0,
y of w <= cap and eta of h(w) <= 0:

.. math::

    \beta (\log(q / p) + 1) - R w + \nu - z = 0, \qquad u(q) - t - s + y + \eta \nabla h(w) = 0, \\
    q z = w s = (cap - w) y = -h \eta = \mu \to 0

(with w s = share for Nash welfare, and t = 0 where the weights need no total). The policy is eliminated prompt by
prompt, which leaves one small system in the weights. Steps are Mehrotra's (On the implementation of a primal-dual
interior point method, SIAM J. Optim. 2, 1992). As the policy is a variable, not a function of the weights, the number
of steps hardly depends on beta, and beta = 0 is a linear programme like any other.

What is returned is certified: for weights of the set and any policy, with :math:`q_w \propto p\,e^{w \cdot R / \beta}`,

.. math:: \text{dual} - \text{primal} = w \cdot u(q) - V(u(q)) + \beta\,KL(q \| q_w) \ge 0,

whose terms are computed as they stand, so that a small gap is not the difference of two large numbers.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numba import get_num_threads

from pluralism.solvers.saddle_kernels import BLOCKED, FIRST_ITER, LEAST, NEAR, PATIENCE, SMOOTH, UNIFORM, solve_chunk
from pluralism.solvers.saddle_passes import assemble_all, correct_all, move_all, reach_all, tilted_all
from pluralism.solvers.saddle_steps import EXTRA, ROWS, SCALARS, advance, begin, centre, predict, recentre
from pluralism.solvers.weight_set_kernels import excess, inside, worst
from pluralism.solvers.weight_sets import WeightSet

__all__ = ["SaddlePoint", "solve_saddle", "solve_saddle_each"]

Values = Float[np.ndarray, "prompts candidates groups"]
Logs = Float[np.ndarray, "prompts candidates"]
TOL = 1e-9
MAX_ITER = 200
CHUNK = 256
Q, Z, DW, W = 0, 1, 5, 0


@dataclass(frozen=True, eq=False)
class SaddlePoint:
    """A policy and weights of the groups, with the proof of how good they are.

    Attributes
    ----------
    log_policy : array of shape (prompts, candidates)
    weights : array of shape (problems, groups)
        One row, or one for each prompt where prompts are solved apart.
    value : array of shape (problems,)
        Welfare of the policy less beta times its KL.
    gap : array of shape (problems,)
        No policy has a value above `value + gap`.
    away : array of shape (problems,)
        Largest KL of the policy from the tilt of the reference by the weights, in nats; 0 where it is that tilt.
    n_iter : int array of shape (problems,)
    """

    log_policy: Logs
    weights: Float[np.ndarray, "problems groups"]
    value: Float[np.ndarray, " problems"]
    gap: Float[np.ndarray, " problems"]
    away: Float[np.ndarray, " problems"]
    n_iter: Int[np.ndarray, " problems"]


def solve_saddle_each(
    values: Values,
    log_reference: Logs,
    weight_set: WeightSet,
    *,
    beta: float,
    tol: float = TOL,
    max_iter: int = MAX_ITER,
) -> SaddlePoint:
    """Solve every prompt by itself, each with its own weights of the groups.

    Parameters
    ----------
    values : array of shape (prompts, candidates, groups)
        Rewards; not read where a candidate is absent.
    log_reference : array of shape (prompts, candidates)
        Log-probabilities, -inf for absent candidates.
    weight_set : WeightSet
    beta : float
        At least 0: price of a nat of KL in units of reward (of log-welfare for the Nash rule).
    tol : float
        Gap to reach, relative to the largest range of a group's rewards on the prompt (absolute for the Nash rule).
    max_iter : int
    """
    inner = np.ascontiguousarray(weight_set.inner(values), dtype=np.float64)
    logs = np.ascontiguousarray(log_reference, dtype=np.float64)
    log_policy, weights = np.empty_like(logs), np.empty((len(inner), inner.shape[2]))
    found = np.empty((len(inner), 4))
    settings = (inner, logs, float(beta), *weight_set.arguments, tol, max_iter, log_policy, weights, found)
    bounds = _chunks(len(inner), CHUNK)
    if len(bounds) == 2:
        solve_chunk(0, len(inner), *settings)
    else:
        # threads rather than a parallel loop, which takes as long to compile as all the rest
        with ThreadPoolExecutor(get_num_threads()) as pool:
            list(pool.map(lambda first, last: solve_chunk(first, last, *settings), bounds[:-1], bounds[1:]))
    value, gap, away, n_iter = found.T
    return SaddlePoint(log_policy, weight_set.spread(weights), value, gap, away, n_iter.astype(np.int64))


def solve_saddle(
    values: Values,
    log_reference: Logs,
    weight_set: WeightSet,
    *,
    beta: float,
    prompt_weights: Float[np.ndarray, " prompts"] | None = None,
    tol: float = TOL,
    max_iter: int = MAX_ITER,
) -> SaddlePoint:
    """Solve all prompts together: utilities are means over prompts, and all share the weights of the groups.

    Parameters
    ----------
    values, log_reference, weight_set, beta, max_iter
        As in `solve_saddle_each`.
    prompt_weights : array of shape (prompts,), optional
        Summing to 1; equal by default.
    tol : float
        Gap to reach, relative to the largest range of a group's rewards on any prompt (absolute for the Nash rule).
    """
    cells = _Cells.of(weight_set.inner(values), log_reference, prompt_weights, weight_set)
    price = float(beta) if weight_set.logarithmic else float(beta) / cells.spread
    log_q, w, value, gap, away, n_iter = _solve(cells, weight_set, price, tol, max_iter)
    if weight_set.logarithmic:
        value, w = value + float(weight_set.share @ np.log(cells.size)), w / cells.size
    else:
        value, gap = value * cells.spread + cells.base, gap * cells.spread
    log_policy = np.full(log_reference.shape, -np.inf)
    log_policy[np.isfinite(log_reference)] = log_q
    one = [np.array([x]) for x in (value, gap, away)]
    return SaddlePoint(log_policy, weight_set.spread(w[None]), one[0], one[1], one[2], np.array([n_iter]))


@dataclass(frozen=True, eq=False)
class _Cells:
    """Candidates of all prompts, one after the other, with rewards centred under the reference and scaled."""

    start: Int[np.ndarray, " bounds"]
    table: Float[np.ndarray, "groups cells"]
    log_p: Float[np.ndarray, " cells"]
    mass: Float[np.ndarray, " prompts"]
    offset: Float[np.ndarray, " groups"]
    size: Float[np.ndarray, " groups"]
    spread: float
    base: float

    @classmethod
    def of(
        cls, values: Values, log_reference: Logs, mass: Float[np.ndarray, " prompts"] | None, weight_set: WeightSet
    ) -> _Cells:
        there = np.isfinite(log_reference)
        counts = there.sum(axis=1)
        start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        log_p = log_reference[there].astype(np.float64)
        weights = np.full(len(counts), 1.0 / len(counts)) if mass is None else np.asarray(mass, np.float64)
        table = np.ascontiguousarray(values[there].T, dtype=np.float64)
        bounds = start[:-1]
        each = np.maximum.reduceat(table, bounds, axis=1) - np.minimum.reduceat(table, bounds, axis=1)
        mean = np.add.reduceat(table * np.exp(log_p), bounds, axis=1)
        offset = mean @ weights
        base = float(offset.min()) if weight_set.total else 0.0
        # where no group cares, what is left to find are the weights alone
        spread = float(each.max()) or max(float(offset.max()) - base, 0.0) or 1.0
        size = np.full(len(table), spread)
        if weight_set.logarithmic:
            # each group has a unit of its own where units do not matter
            own = each.max(axis=1)
            size = np.where(own > 0, own, spread)
        table -= np.repeat(mean, counts, axis=1)
        table /= size[:, None]
        return cls(start, table, log_p, weights, (offset - base) / size, size, spread, base)


def _solve(
    cells: _Cells, weight_set: WeightSet, beta: float, tol: float, max_iter: int
) -> tuple[Float[np.ndarray, " cells"], Float[np.ndarray, " groups"], float, float, float, int]:
    """The loop of `saddle_kernels._solve_one`, with passes over many prompts on all threads."""
    start, table, log_p, mass, offset = cells.start, cells.table, cells.log_p, cells.mass, cells.offset
    kind, total, share, cap, level = weight_set.arguments
    n, n_prompts = len(share), len(mass)
    chunks = _chunks(n_prompts, CHUNK)
    many = len(chunks) - 1
    cell, prompt = np.empty((6, len(log_p))), np.empty((n_prompts, n + 3))
    state, scalar, work = np.zeros((ROWS, n)), np.zeros(SCALARS), np.zeros((n + EXTRA, n))
    log_q, middle, room = np.empty(len(log_p)), np.empty(n), np.empty(n)

    def measure(weights: np.ndarray, price: float, given: bool) -> tuple[np.ndarray, float, float, float]:
        utility, found = np.zeros((many, n)), np.zeros((many, 3))
        tilted_all(chunks, start, table, log_p, mass, price, weights, given, cell, log_q, utility, found)
        return utility.sum(axis=0) + offset, found[:, 0].sum(), found[:, 1].sum(), found[:, 2].max()

    width = len(log_p) / n_prompts
    best_q, best_w, best = log_q.copy(), share.copy(), (-np.inf, np.inf, 0.0)
    steps, iteration, left, wary, strict = 0, 0, 0.0, 0, False
    while True:
        if iteration == 0:
            v = measure(share, max(beta, SMOOTH), False)[0]
            cell[Q] = (1.0 - UNIFORM) * np.exp(log_q) + UNIFORM / np.repeat(np.diff(start), np.diff(start))
            cell[Z] = 0.1
            begin(v, strict, kind, total, share, cap, level, state, scalar)
            limit = FIRST_ITER if weight_set.curved and not strict else max_iter
        if left <= NEAR * tol or iteration >= limit:
            inside(kind, total, share, cap, level, state[W], middle)
            for given in (False, True) if beta > 0 else (True,):
                v, kl, short, away = measure(middle, beta, given)
                gap = excess(kind, total, share, cap, level, middle, v, room) + short
                if gap < best[1]:
                    best = worst(kind, total, share, cap, level, v, room) - beta * kl, gap, away
                    best_q[:], best_w[:] = log_q, middle
                if gap <= tol:
                    break
            if best[1] <= tol or (iteration >= limit and (strict or not weight_set.curved)):
                return best_q, best_w, *best, steps
            if iteration >= limit:
                iteration, left, wary, strict = 0, 0.0, 0, True
                continue
        steps, iteration = steps + 1, iteration + 1
        second = 0.0 if wary > 0 else 1.0
        bases, curvatures, found = np.zeros((many, n)), np.zeros((many, n, n)), np.zeros((2, many, 4))
        assemble_all(chunks, start, table, log_p, mass, beta, state[W], cell, prompt, bases, curvatures)
        base = bases.sum(axis=0)
        predict(base, offset, curvatures.sum(axis=0), kind, total, share, cap, level, state, scalar, work)
        reach_all(chunks, start, table, mass, state[DW], False, cell, prompt, found[0])
        aim = centre(_total(found[0]), LEAST * tol, wary > 0, kind, share, cap, state, scalar)
        bases[:] = 0.0
        correct_all(chunks, start, table, mass, aim, second, cell, prompt, bases)
        recentre(second, base + bases.sum(axis=0), offset, kind, total, share, cap, state, scalar, work)
        reach_all(chunks, start, table, mass, state[DW], True, cell, prompt, found[1])
        step, near, left = advance(_total(found[1]), width, kind, share, cap, level, state, scalar, room)
        move_all(chunks, start, step, near, cell)
        wary = max(wary - 1, 0) if step > BLOCKED else PATIENCE
        if not step > 1e-10:
            iteration = limit


def _total(found: Float[np.ndarray, "chunks 4"]) -> Float[np.ndarray, " 4"]:
    """The largest fall, and the sums of the rest."""
    return np.concatenate([[found[:, 0].max()], found[:, 1:].sum(axis=0)])


def _chunks(n: int, size: int) -> Int[np.ndarray, " bounds"]:
    return np.append(np.arange(0, n, size), n).astype(np.int64)
