"""The one likelihood pass all linear heads share: loss, responsibilities and gradients of a mixture over users.

For a row with scores difference z, outcome y in [0, 1] and tie parameter nu >= 0 (Davidson 1970),

    log p = (y - 1/2) z + [tie] log nu - log(exp(z/2) + exp(-z/2) + nu),

which is Bradley-Terry with soft labels when nu = 0. Rows are grouped by user, so a user's likelihood under each
group, the responsibilities and the gradient are found in one sweep (MaxMin-RLHF, arXiv:2402.08925, eq. 7 made soft).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numba
import numpy as np
from jaxtyping import Float, Int
from numba import njit, prange

from pluralism.solvers.fast_exp import exp_negative
from pluralism.solvers.features import FeatureMatrix

__all__ = ["PairProblem", "PassResult", "group_log_likelihood", "pair_pass"]

MIN_ROWS_PER_CHUNK = 20_000
TILE_ROWS = 512


@dataclass(frozen=True)
class PairProblem:
    """Comparisons as the solvers see them.

    Parameters
    ----------
    left, right : int32 array of shape (pairs,)
        Item codes, rows sorted by user.
    outcome : float64 array of shape (pairs,)
        Probability mass on `left`, in [0, 1]; exactly 1/2 is a tie.
    weight : float64 array of shape (pairs,)
        Non-negative.
    user_start : int64 array of shape (users + 1,)
        Rows `user_start[u]:user_start[u + 1]` belong to user u.
    design : float64 array of shape (pairs, covariates)
        Covariate differences, left minus right.
    features : FeatureMatrix or None
    n_items : int
    """

    left: Int[np.ndarray, " pairs"]
    right: Int[np.ndarray, " pairs"]
    outcome: Float[np.ndarray, " pairs"]
    weight: Float[np.ndarray, " pairs"]
    user_start: Int[np.ndarray, " users_plus_1"]
    design: Float[np.ndarray, "pairs covariates"]
    features: FeatureMatrix | None
    n_items: int

    @classmethod
    def build(
        cls,
        user: Int[np.ndarray, " pairs"],
        left: Int[np.ndarray, " pairs"],
        right: Int[np.ndarray, " pairs"],
        outcome: Float[np.ndarray, " pairs"],
        weight: Float[np.ndarray, " pairs"],
        *,
        n_users: int,
        n_items: int,
        design: Float[np.ndarray, "pairs covariates"] | None = None,
        features: FeatureMatrix | None = None,
    ) -> tuple[PairProblem, Int[np.ndarray, " pairs"]]:
        """Sort rows by user; returns the problem and the order (problem row i is input row order[i])."""
        ordered = len(user) < 2 or bool(np.all(user[1:] >= user[:-1]))
        order = np.arange(len(user)) if ordered else np.argsort(user, kind="stable")
        start = np.zeros(n_users + 1, dtype=np.int64)
        np.cumsum(np.bincount(user, minlength=n_users), out=start[1:])
        if design is None:
            design = np.zeros((len(user), 0))

        def take(values: np.ndarray, dtype: type) -> np.ndarray:
            return np.ascontiguousarray(values if ordered else values[order], dtype=dtype)

        problem = cls(
            take(left, np.int32),
            take(right, np.int32),
            take(outcome, np.float64),
            take(weight, np.float64),
            start,
            take(design, np.float64),
            features,
            n_items,
        )
        return problem, order

    @property
    def n_users(self) -> int:
        """Number of users."""
        return len(self.user_start) - 1

    @cached_property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return float(self.weight.sum())

    @cached_property
    def voters(self) -> Float[np.ndarray, " users"]:
        """1 for users who have a row of positive weight, 0 for the rest: only they inform the group weights."""
        rows = np.diff(self.user_start)
        has = np.zeros(self.n_users)
        user = np.repeat(np.arange(self.n_users), rows)
        has[user[self.weight > 0]] = 1.0
        return has

    @cached_property
    def user(self) -> Int[np.ndarray, " pairs"]:
        """User of each row."""
        return np.repeat(np.arange(self.n_users), np.diff(self.user_start))

    @cached_property
    def chunks(self) -> Int[np.ndarray, " chunks_plus_1"]:
        """User boundaries of the parts that threads work on, about equal in rows."""
        rows = len(self.left)
        n_chunks = max(1, min(numba.get_num_threads(), rows // MIN_ROWS_PER_CHUNK))
        targets = np.linspace(0, rows, n_chunks + 1)[1:-1]
        inner = np.searchsorted(self.user_start, targets)
        return np.unique(np.concatenate([[0], inner, [self.n_users]])).astype(np.int64)


@dataclass(frozen=True)
class PassResult:
    """What one sweep gives: per-user log-likelihoods and responsibilities, and gradients of the log-likelihood."""

    log_likelihood: Float[np.ndarray, " users"]
    responsibility: Float[np.ndarray, "users groups"]
    scores_gradient: Float[np.ndarray, "items groups"]
    effects_gradient: Float[np.ndarray, "covariates groups"]
    tie_gradient: float
    scale_gradient: Float[np.ndarray, " users"]


def group_log_likelihood(
    problem: PairProblem,
    scores: Float[np.ndarray, "items groups"],
    effects: Float[np.ndarray, "covariates groups"],
    *,
    tie: float = 0.0,
) -> Float[np.ndarray, "users groups"]:
    """Per user and group, the log-likelihood of the user's rows, at the average temperature."""
    offset = problem.design @ effects if problem.design.shape[1] else np.zeros((1, 1))
    out = np.empty((problem.n_users, scores.shape[1]))
    arguments = (
        problem.chunks,
        problem.user_start,
        problem.left,
        problem.right,
        problem.outcome,
        problem.weight,
        offset,
        np.ascontiguousarray(scores, dtype=np.float64),
        float(tie),
        out,
    )
    if len(problem.chunks) == 2:
        _evidence_chunk(0, *arguments)
    else:
        _evidence_parallel(*arguments)
    return out


def pair_pass(
    problem: PairProblem,
    scores: Float[np.ndarray, "items groups"],
    effects: Float[np.ndarray, "covariates groups"],
    log_weights: Float[np.ndarray, " groups"],
    *,
    tie: float = 0.0,
    scale: Float[np.ndarray, " users"] | None = None,
    responsibility: Float[np.ndarray, "users groups"] | None = None,
) -> PassResult:
    """One sweep over all rows.

    With `responsibility` given, the likelihood is the classification (hard or fixed) one,
    sum_k r_uk log p_uk, and the group weights play no part; otherwise it is the marginal one,
    log sum_k pi_k p_uk, whose gradient by Fisher's identity is the EM gradient.
    """
    n_groups = scores.shape[1]
    n_chunks = len(problem.chunks) - 1
    fixed = responsibility is not None
    if responsibility is None:
        posterior = np.empty((problem.n_users, n_groups))
    else:
        posterior = np.array(responsibility, dtype=np.float64)
    log_likelihood = np.zeros(problem.n_users)
    scores_gradient = np.zeros((n_chunks, problem.n_items, n_groups))
    effects_gradient = np.zeros((n_chunks, problem.design.shape[1], n_groups))
    tie_gradient = np.zeros(n_chunks)
    scale_gradient = np.zeros(problem.n_users)
    arguments = (
        problem.chunks,
        problem.user_start,
        problem.left,
        problem.right,
        problem.outcome,
        problem.weight,
        problem.design,
        np.ascontiguousarray(scores, dtype=np.float64),
        np.ascontiguousarray(effects, dtype=np.float64),
        np.ascontiguousarray(log_weights, dtype=np.float64),
        float(tie),
        np.ones(problem.n_users) if scale is None else scale,
        fixed,
        posterior,
        log_likelihood,
        scores_gradient,
        effects_gradient,
        tie_gradient,
        scale_gradient,
    )
    # starting threads costs more than a small sweep
    if n_chunks == 1:
        _sweep_chunk(0, *arguments)
    else:
        _sweep_parallel(*arguments)
    return PassResult(
        log_likelihood,
        posterior,
        scores_gradient[0] if n_chunks == 1 else scores_gradient.sum(axis=0),
        effects_gradient.sum(axis=0),
        float(tie_gradient.sum()),
        scale_gradient,
    )


@njit(parallel=True, cache=True, error_model="numpy")
def _sweep_parallel(
    chunks,
    start,
    left,
    right,
    outcome,
    weight,
    design,
    scores,
    effects,
    log_weights,
    tie,
    scale,
    fixed,
    posterior,
    log_likelihood,
    scores_gradient,
    effects_gradient,
    tie_gradient,
    scale_gradient,
):
    for c in prange(len(chunks) - 1):
        _sweep_chunk(
            c,
            chunks,
            start,
            left,
            right,
            outcome,
            weight,
            design,
            scores,
            effects,
            log_weights,
            tie,
            scale,
            fixed,
            posterior,
            log_likelihood,
            scores_gradient,
            effects_gradient,
            tie_gradient,
            scale_gradient,
        )


@njit(cache=True, error_model="numpy")
def _sweep_chunk(
    c,
    chunks,
    start,
    left,
    right,
    outcome,
    weight,
    design,
    scores,
    effects,
    log_weights,
    tie,
    scale,
    fixed,
    posterior,
    log_likelihood,
    scores_gradient,
    effects_gradient,
    tie_gradient,
    scale_gradient,
):
    n_groups = scores.shape[1]
    n_covariates = design.shape[1]
    log_tie = np.log(tie) if tie > 0 else 0.0
    size = _largest_tile(start, chunks[c], chunks[c + 1]) * n_groups
    z = np.empty(size)
    total = np.empty(size)
    lead = np.empty(size)
    tied = np.empty(size if tie > 0 else 0)
    log_p = np.empty(n_groups)
    product = np.empty(n_groups)
    share = np.empty(n_groups)
    tile_start = chunks[c]
    while tile_start < chunks[c + 1]:
        tile_end = _tile_end(start, tile_start, chunks[c + 1])
        origin = start[tile_start]
        for u in range(tile_start, tile_end):
            for row in range(start[u], start[u + 1]):
                a, b, at = left[row], right[row], (row - origin) * n_groups
                for k in range(n_groups):
                    value = scores[a, k] - scores[b, k]
                    for j in range(n_covariates):
                        value += design[row, j] * effects[j, k]
                    z[at + k] = value * scale[u]
        _link((start[tile_end] - origin) * n_groups, tie, z, total, lead, tied)
        for u in range(tile_start, tile_end):
            for k in range(n_groups):
                log_p[k] = 0.0
                product[k] = 1.0
            for row in range(start[u], start[u + 1]):
                at, w, half = (row - origin) * n_groups, weight[row], outcome[row] - 0.5
                constant = log_tie if half == 0.0 else 0.0
                for k in range(n_groups):
                    linear = half * z[at + k] - 0.5 * abs(z[at + k]) + constant
                    if w == 1.0:
                        # the logarithm of a product costs one log for many rows instead of one each
                        log_p[k] += linear
                        product[k] *= total[at + k]
                        if product[k] > 1e280:
                            log_p[k] -= np.log(product[k])
                            product[k] = 1.0
                    else:
                        log_p[k] += w * (linear - np.log(total[at + k]))
            top = -np.inf
            for k in range(n_groups):
                log_p[k] -= np.log(product[k])
                top = max(top, log_p[k] + log_weights[k])
            if fixed:
                for k in range(n_groups):
                    log_likelihood[u] += posterior[u, k] * log_p[k]
            else:
                mass = 0.0
                for k in range(n_groups):
                    posterior[u, k] = np.exp(log_p[k] + log_weights[k] - top)
                    mass += posterior[u, k]
                for k in range(n_groups):
                    posterior[u, k] /= mass
                log_likelihood[u] = top + np.log(mass)
            for k in range(n_groups):
                share[k] = posterior[u, k]
            slope = 0.0
            for row in range(start[u], start[u + 1]):
                a, b, at = left[row], right[row], (row - origin) * n_groups
                w, half = weight[row], outcome[row] - 0.5
                for k in range(n_groups):
                    r = share[k] * w * (half - lead[at + k])
                    slope += r * z[at + k]
                    r *= scale[u]
                    scores_gradient[c, a, k] += r
                    scores_gradient[c, b, k] -= r
                    for j in range(n_covariates):
                        effects_gradient[c, j, k] += r * design[row, j]
                    if tie > 0:
                        tie_gradient[c] += share[k] * w * ((1.0 if half == 0.0 else 0.0) - tied[at + k])
            scale_gradient[u] = slope
        tile_start = tile_end


@njit(cache=True, error_model="numpy", fastmath={"contract", "nsz"})
def _link(size, tie, z, total, lead, tied):
    """Per entry: the normaliser over exp(|z|/2), half the difference of the two win probabilities, and P(tie)."""
    if tie > 0:
        for j in range(size):
            h = exp_negative(-0.5 * abs(z[j]))
            total[j] = 1.0 + h * h + tie * h
            lead[j] = np.copysign(0.5 * (1.0 - h * h) / total[j], z[j])
            tied[j] = tie * h / total[j]
    else:
        for j in range(size):
            g = exp_negative(-abs(z[j]))
            total[j] = 1.0 + g
            lead[j] = np.copysign(0.5 * (1.0 - g) / total[j], z[j])


@njit(cache=True)
def _tile_end(start, first, last):
    """Users from `first` on that together hold at least `TILE_ROWS` rows (never part of a user)."""
    end = first + 1
    while end < last and start[end] - start[first] < TILE_ROWS:
        end += 1
    return end


@njit(cache=True)
def _largest_tile(start, first, last):
    largest = 0
    while first < last:
        end = _tile_end(start, first, last)
        largest = max(largest, start[end] - start[first])
        first = end
    return largest


@njit(parallel=True, cache=True, error_model="numpy")
def _evidence_parallel(chunks, start, left, right, outcome, weight, offset, scores, tie, out):
    for c in prange(len(chunks) - 1):
        _evidence_chunk(c, chunks, start, left, right, outcome, weight, offset, scores, tie, out)


@njit(cache=True, error_model="numpy")
def _evidence_chunk(c, chunks, start, left, right, outcome, weight, offset, scores, tie, out):
    n_groups = scores.shape[1]
    wide = offset.shape[1] == n_groups and offset.shape[0] == len(left)
    log_tie = np.log(tie) if tie > 0 else 0.0
    size = _largest_tile(start, chunks[c], chunks[c + 1]) * n_groups
    z = np.empty(size)
    total = np.empty(size)
    lead = np.empty(size)
    tied = np.empty(size if tie > 0 else 0)
    product = np.empty(n_groups)
    tile_start = chunks[c]
    while tile_start < chunks[c + 1]:
        tile_end = _tile_end(start, tile_start, chunks[c + 1])
        origin = start[tile_start]
        for row in range(origin, start[tile_end]):
            a, b, at = left[row], right[row], (row - origin) * n_groups
            for k in range(n_groups):
                z[at + k] = scores[a, k] - scores[b, k]
                if wide:
                    z[at + k] += offset[row, k]
        _link((start[tile_end] - origin) * n_groups, tie, z, total, lead, tied)
        for u in range(tile_start, tile_end):
            for k in range(n_groups):
                out[u, k] = 0.0
                product[k] = 1.0
            for row in range(start[u], start[u + 1]):
                at, w, half = (row - origin) * n_groups, weight[row], outcome[row] - 0.5
                constant = log_tie if half == 0.0 else 0.0
                for k in range(n_groups):
                    linear = half * z[at + k] - 0.5 * abs(z[at + k]) + constant
                    if w == 1.0:
                        out[u, k] += linear
                        product[k] *= total[at + k]
                        if product[k] > 1e280:
                            out[u, k] -= np.log(product[k])
                            product[k] = 1.0
                    else:
                        out[u, k] += w * (linear - np.log(total[at + k]))
            for k in range(n_groups):
                out[u, k] -= np.log(product[k])
        tile_start = tile_end
