"""The one likelihood pass all linear heads share: loss, responsibilities and gradients of a mixture over users.

For a row with scores difference z, outcome y in [0, 1] and tie parameter nu >= 0 (Davidson 1970),

    log p = (y - 1/2) z + [tie] log nu - log(exp(z/2) + exp(-z/2) + nu),

which is Bradley-Terry with soft labels when nu = 0. Rows are grouped by user, so a user's likelihood under each
group, the responsibilities and the gradient are found in one sweep (MaxMin-RLHF, arXiv:2402.08925, eq. 7 made soft).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numba
import numpy as np
from jaxtyping import Float, Int

from pluralism.solvers.chunks import over_chunks
from pluralism.solvers.features import FeatureMatrix
from pluralism.solvers.kernels import evidence_chunk, evidence_parallel, sweep_chunk, sweep_parallel

__all__ = ["PairProblem", "PassResult", "group_log_likelihood", "pair_pass"]

MIN_ROWS_PER_CHUNK = 20_000


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

    @property
    def judged(self) -> PairProblem:
        """The comparisons that decide whether a fit without a prior is finite: these."""
        return self

    def without_ties(self) -> PairProblem:
        """The same rows, ties with no weight."""
        return replace(self, weight=np.where(self.outcome == 0.5, 0.0, self.weight))

    @cached_property
    def total_weight(self) -> float:
        """Sum of the weights."""
        return float(self.weight.sum())

    @cached_property
    def played(self) -> Float[np.ndarray, " items"]:
        """Weight of the rows each item is in."""
        left = np.bincount(self.left, self.weight, self.n_items)
        return (left + np.bincount(self.right, self.weight, self.n_items)).astype(np.float64)

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

    @property
    def columns(self) -> tuple[np.ndarray, ...]:
        """What kernels take first: chunks, user_start, left, right, outcome, weight."""
        return self.chunks, self.user_start, self.left, self.right, self.outcome, self.weight

    def sweep(
        self,
        scores: Float[np.ndarray, "items groups"],
        effects: Float[np.ndarray, "covariates groups"],
        log_weights: Float[np.ndarray, " groups"],
        *,
        tie: float = 0.0,
        responsibility: Float[np.ndarray, "users groups"] | None = None,
    ) -> PassResult:
        """`pair_pass` over these rows."""
        return pair_pass(self, scores, effects, log_weights, tie=tie, responsibility=responsibility)


@dataclass(frozen=True)
class PassResult:
    """What one sweep gives: per-user log-likelihoods and responsibilities, and gradients of the log-likelihood."""

    log_likelihood: Float[np.ndarray, " users"]
    responsibility: Float[np.ndarray, "users groups"]
    scores_gradient: Float[np.ndarray, "items groups"]
    effects_gradient: Float[np.ndarray, "covariates groups"]
    tie_gradient: float


def group_log_likelihood(
    problem: PairProblem,
    scores: Float[np.ndarray, "items groups"],
    effects: Float[np.ndarray, "covariates groups"],
    *,
    tie: float = 0.0,
) -> Float[np.ndarray, "users groups"]:
    """Per user and group, the log-likelihood of the user's rows."""
    offset = problem.design @ effects if problem.design.shape[1] else np.zeros((1, 1))
    out = np.empty((problem.n_users, scores.shape[1]))
    over_chunks(
        evidence_chunk,
        evidence_parallel,
        *problem.columns,
        offset,
        np.ascontiguousarray(scores, dtype=np.float64),
        float(tie),
        out,
    )
    return out


def pair_pass(
    problem: PairProblem,
    scores: Float[np.ndarray, "items groups"],
    effects: Float[np.ndarray, "covariates groups"],
    log_weights: Float[np.ndarray, " groups"],
    *,
    tie: float = 0.0,
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
    over_chunks(
        sweep_chunk,
        sweep_parallel,
        *problem.columns,
        problem.design,
        np.ascontiguousarray(scores, dtype=np.float64),
        np.ascontiguousarray(effects, dtype=np.float64),
        np.ascontiguousarray(log_weights, dtype=np.float64),
        float(tie),
        fixed,
        posterior,
        log_likelihood,
        scores_gradient,
        effects_gradient,
        tie_gradient,
    )
    return PassResult(
        log_likelihood,
        posterior,
        scores_gradient[0] if n_chunks == 1 else scores_gradient.sum(axis=0),
        effects_gradient.sum(axis=0),
        float(tie_gradient.sum()),
    )
