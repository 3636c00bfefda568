"""Plackett-Luce on ballots: the marginal likelihood of a mixture over users, its gradient, and its curvature.

A ballot puts items in order by choosing the best of what is left, again and again: item i is chosen among R with
probability exp(s_i) / sum_{j in R} exp(s_j) (Luce 1959; Plackett 1975). What lies last in a ballot carries no choice
of its own. A group of ties says that its items come before all that is below, and nothing of their order: its
probability is the sum over the orders it leaves open, an orthant probability that is log-concave in the scores.

A `RankingProblem` stands in for a `PairProblem`: the mixture's optimiser asks a problem for a sweep, and does not care
what the data are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numba
import numpy as np
from jaxtyping import Float, Int

from pluralism.block_pairs import pairs_within
from pluralism.solvers.chunks import over_chunks
from pluralism.solvers.features import FeatureMatrix
from pluralism.solvers.pairs import PairProblem, PassResult
from pluralism.solvers.ranking_kernels import stage_curvature, steps_down, sweep_ballots, sweep_ballots_parallel

__all__ = ["Ballots", "RankingProblem", "ranking_log_likelihood"]

MIN_ENTRIES_PER_CHUNK = 20_000
SHADOW_ROWS = 400_000
DENSE_ITEMS = 8192
LOWEST = -690.0


@dataclass(frozen=True)
class Ballots:
    """Ballots as the solvers see them, sorted by user.

    Parameters
    ----------
    start : int64 array of shape (users + 1,)
        Ballots `start[u]:start[u + 1]` are user u's.
    indptr : int64 array of shape (ballots + 1,)
        Entries `indptr[b]:indptr[b + 1]` are ballot b's.
    item : int32 array of shape (entries,)
        Item codes, best first.
    size : int32 array of shape (entries,)
        Number of tied items at the first entry of each tie group (1 for an item alone), 0 at the others.
    weight : float64 array of shape (ballots,)
        Power of each ballot's likelihood within its user.
    """

    start: Int[np.ndarray, " users_plus_1"]
    indptr: Int[np.ndarray, " ballots_plus_1"]
    item: Int[np.ndarray, " entries"]
    size: Int[np.ndarray, " entries"]
    weight: Float[np.ndarray, " ballots"]

    @classmethod
    def build(
        cls,
        user: Int[np.ndarray, " ballots"],
        indptr: Int[np.ndarray, " ballots_plus_1"],
        item: Int[np.ndarray, " entries"],
        rank: Int[np.ndarray, " entries"],
        weight: Float[np.ndarray, " ballots"],
        *,
        n_users: int,
    ) -> tuple[Ballots, Int[np.ndarray, " ballots"]]:
        """Sort ballots by user; returns them and the order (ballot i is input ballot order[i])."""
        order = np.argsort(user, kind="stable")
        sizes = np.diff(indptr)[order]
        bounds = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        entry = np.repeat(np.asarray(indptr)[:-1][order] - bounds[:-1], sizes) + np.arange(bounds[-1])
        ballot = np.repeat(np.arange(len(order)), sizes)
        opens = np.ones(len(entry), dtype=bool)
        opens[1:] = (np.diff(ballot) != 0) | (np.diff(rank[entry]) != 0)
        heads = np.flatnonzero(opens)
        tied = np.zeros(len(entry), dtype=np.int32)
        tied[heads] = np.diff(np.append(heads, len(entry)))
        start = np.zeros(n_users + 1, dtype=np.int64)
        np.cumsum(np.bincount(user, minlength=n_users), out=start[1:])
        table = cls(
            start, bounds, item[entry].astype(np.int32), tied, np.ascontiguousarray(weight[order], dtype=np.float64)
        )
        return table, order

    @property
    def user(self) -> Int[np.ndarray, " ballots"]:
        """User of each ballot."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))

    def reweighted(self, weight: Float[np.ndarray, " ballots"]) -> Ballots:
        """The same ballots with other weights; those of weight 0 say nothing."""
        return Ballots(self.start, self.indptr, self.item, self.size, np.ascontiguousarray(weight, dtype=np.float64))


@dataclass(frozen=True)
class RankingProblem(PairProblem):
    """Ballots in the place of comparisons; its pairs serve starts and preconditioners alone.

    Parameters
    ----------
    ballots : Ballots
    multiplicity : float64 array of shape (users,)
        How many people each user stands for: the likelihood of a user's ballots counts so many times.
    """

    ballots: Ballots
    multiplicity: Float[np.ndarray, " users"]

    @classmethod
    def of(
        cls,
        ballots: Ballots,
        multiplicity: Float[np.ndarray, " users"],
        *,
        n_items: int,
        features: FeatureMatrix | None,
        rng: np.random.Generator,
    ) -> RankingProblem:
        """The problem of some ballots; where they hold very many pairs, a random share of these is kept."""
        n_pairs = np.diff(ballots.indptr) * (np.diff(ballots.indptr) - 1) // 2
        most = None
        if n_pairs.sum() > SHADOW_ROWS:
            most = max(3, SHADOW_ROWS // max(len(n_pairs), 1))
        ballot, first, second = pairs_within(np.diff(ballots.indptr), most, rng)
        curvature = np.empty(len(ballot))
        people = ballots.weight * multiplicity[ballots.user]
        stage_curvature(ballot, first, second, ballots.indptr, ballots.size, people, curvature)
        if most is not None:
            curvature *= (n_pairs / np.maximum(np.minimum(n_pairs, most), 1))[ballot]
        entry = ballots.indptr[ballot]
        group = np.cumsum(ballots.size > 0)
        tied = group[entry + first] == group[entry + second]
        pairs, _ = PairProblem.build(
            ballots.user[ballot],
            ballots.item[entry + first],
            ballots.item[entry + second],
            np.where(tied, 0.5, 1.0),
            curvature,
            n_users=len(multiplicity),
            n_items=n_items,
            features=features,
        )
        return cls(
            pairs.left,
            pairs.right,
            pairs.outcome,
            pairs.weight,
            pairs.user_start,
            pairs.design,
            features,
            n_items,
            ballots,
            np.ascontiguousarray(multiplicity, dtype=np.float64),
        )

    def reweighted(
        self,
        weight: Float[np.ndarray, " ballots"] | None = None,
        multiplicity: Float[np.ndarray, " users"] | None = None,
    ) -> RankingProblem:
        """The same ballots with other weights or multiplicities; pairs are kept."""
        ballots = self.ballots if weight is None else self.ballots.reweighted(weight)
        return replace(self, ballots=ballots, multiplicity=self.multiplicity if multiplicity is None else multiplicity)

    @cached_property
    def judged(self) -> PairProblem:
        """Each pair of items next to each other on some ballot, once: they decide whether a fit is finite."""
        if self.n_items > DENSE_ITEMS:
            return self
        below = np.zeros((self.n_items, self.n_items), dtype=bool)
        b = self.ballots
        steps_down(b.indptr, b.item, b.size, b.weight * self.multiplicity[b.user], below)
        better, worse = np.nonzero(below)
        ones = np.ones(len(better))
        pairs, _ = PairProblem.build(
            np.zeros(len(better), dtype=np.int64),
            better,
            worse,
            ones,
            ones,
            n_users=1,
            n_items=self.n_items,
            features=self.features,
        )
        return pairs

    @cached_property
    def total_weight(self) -> float:
        """Number of ballots, each as often as it was cast."""
        return float(self.ballots.weight @ self.multiplicity[self.ballots.user])

    @cached_property
    def voters(self) -> Float[np.ndarray, " users"]:
        """How many people with a ballot of positive weight each user stands for."""
        has = np.zeros(self.n_users)
        has[self.ballots.user[self.ballots.weight > 0]] = 1.0
        return has * self.multiplicity

    @cached_property
    def chunks(self) -> Int[np.ndarray, " chunks_plus_1"]:
        """User boundaries of the parts that threads work on, about equal in entries."""
        entries = self.ballots.indptr[self.ballots.start]
        n_chunks = max(1, min(numba.get_num_threads(), int(entries[-1]) // MIN_ENTRIES_PER_CHUNK))
        inner = np.searchsorted(entries, np.linspace(0, entries[-1], n_chunks + 1)[1:-1])
        return np.unique(np.concatenate([[0], inner, [self.n_users]])).astype(np.int64)

    def sweep(
        self,
        scores: Float[np.ndarray, "items groups"],
        effects: Float[np.ndarray, "covariates groups"],
        log_weights: Float[np.ndarray, " groups"],
        *,
        tie: float = 0.0,
        responsibility: Float[np.ndarray, "users groups"] | None = None,
    ) -> PassResult:
        """One sweep over all ballots; see `pair_pass`. Ballots have neither covariates nor a tie parameter."""
        posterior, _, log_likelihood, gradient = _sweep(self, scores, log_weights, responsibility, with_gradient=True)
        return PassResult(log_likelihood, posterior, gradient, np.zeros((0, scores.shape[1])), 0.0)


def ranking_log_likelihood(
    problem: RankingProblem, scores: Float[np.ndarray, "items groups"]
) -> Float[np.ndarray, "users groups"]:
    """Per user and group, the log-likelihood of the user's ballots (of one person, whatever the multiplicity)."""
    return _sweep(problem, scores, np.zeros(scores.shape[1]), None, with_gradient=False)[1]


def _sweep(
    problem: RankingProblem,
    scores: Float[np.ndarray, "items groups"],
    log_weights: Float[np.ndarray, " groups"],
    responsibility: Float[np.ndarray, "users groups"] | None,
    *,
    with_gradient: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    n_groups, n_users, b = scores.shape[1], problem.n_users, problem.ballots
    n_chunks = len(problem.chunks) - 1
    shifted = np.maximum(scores - scores.max(axis=0), LOWEST) if len(scores) else scores
    posterior = np.empty((n_users, n_groups)) if responsibility is None else np.array(responsibility, dtype=np.float64)
    evidence, log_likelihood = np.zeros((n_users, n_groups)), np.zeros(n_users)
    gradient = np.zeros((n_chunks, problem.n_items, n_groups))
    over_chunks(
        sweep_ballots,
        sweep_ballots_parallel,
        problem.chunks,
        b.start,
        b.indptr,
        b.item,
        b.size,
        b.weight,
        problem.multiplicity,
        np.ascontiguousarray(shifted, dtype=np.float64),
        np.exp(shifted),
        np.ascontiguousarray(log_weights, dtype=np.float64),
        responsibility is not None,
        with_gradient,
        posterior,
        evidence,
        log_likelihood,
        gradient,
    )
    return posterior, evidence, log_likelihood, gradient[0] if n_chunks == 1 else gradient.sum(axis=0)
