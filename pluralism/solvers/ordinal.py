"""Signed strengths of preference as ordered categories: the cumulative logit with thresholds symmetric about zero.

With reward difference z, the preferred side's level l has, read from that side,

    P(level l) = sigma(z - c_{l-1}) - sigma(z - c_l),   0 <= c_0 < c_1 < ... < c_L = infinity,

and a tie, where it is the middle category, has sigma(z + c_0) - sigma(z - c_0). The other side's probabilities are
those at -z, so swapping sides is exact (McCullagh 1980; with one level and ties it is Rao & Kupper 1967). An unknown
strength is the interval [c_0, infinity). The log of a difference of sigmoids is taken without cancellation by
sigma(u) - sigma(l) = sigma(u) sigma(-l) (1 - exp(l - u)).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.linalg import cho_factor, cho_solve
from scipy.special import expit

from pluralism.solvers.lbfgs import Minimum, minimise
from pluralism.solvers.objective import TIE_PRECISION, Terms, pair_gram
from pluralism.solvers.pairs import PairProblem

__all__ = ["OrdinalObjective", "OrdinalParameters", "OrdinalRows", "fit_ordinal"]

CURVATURE = 0.2
CUT_PRECISION = 0.1
Vector = Float[np.ndarray, " parameters"]


@dataclass(frozen=True)
class OrdinalRows:
    """Judgements read from the preferred side; a graded outcome is two of them.

    Attributes
    ----------
    pair : int array of shape (rows,)
        Row of the `PairProblem`.
    sign : float array of shape (rows,)
        1 where the left item is preferred, -1 where the right one is; 1 for ties.
    low, high : int array of shape (rows,)
        Between which cuts the row lies; `high` = `n_cuts` is infinity.
    tied : bool array of shape (rows,)
        Ties as a category of their own.
    margin : float array of shape (rows,)
        By how many logits a preferred item must lead (0 but in the margin loss).
    weight : float array of shape (rows,)
    n_cuts : int
        Cuts c_0 ... c_{L-1}.
    """

    pair: Int[np.ndarray, " rows"]
    sign: Float[np.ndarray, " rows"]
    low: Int[np.ndarray, " rows"]
    high: Int[np.ndarray, " rows"]
    tied: Bool[np.ndarray, " rows"]
    margin: Float[np.ndarray, " rows"]
    weight: Float[np.ndarray, " rows"]
    n_cuts: int

    def subset(self, pairs: Bool[np.ndarray, " pairs"]) -> OrdinalRows:
        """The rows of some pairs (a mask), for the problem of these pairs alone."""
        keep = pairs[self.pair]
        position = np.cumsum(pairs) - 1
        return OrdinalRows(
            position[self.pair[keep]],
            self.sign[keep],
            self.low[keep],
            self.high[keep],
            self.tied[keep],
            self.margin[keep],
            self.weight[keep],
            self.n_cuts,
        )


@dataclass(frozen=True)
class OrdinalParameters:
    """The vector, unpacked; `cuts` begins with c_0, which is 0 where ties are no category."""

    head: Float[np.ndarray, " dim"]
    item_effects: Float[np.ndarray, " items"] | None
    covariate_effects: Float[np.ndarray, " covariates"]
    cuts: Float[np.ndarray, " cuts"]
    davidson: float


class OrdinalObjective:
    """x -> (penalised negative log-likelihood, gradient).

    The vector holds the head (less its prior mean), item effects, covariate effects, the logarithms of the steps
    between the cuts, and the log of Davidson's tie parameter.

    Parameters
    ----------
    problem : PairProblem
    rows : OrdinalRows
    terms : Terms
        Precisions; with `ties` a tie has Davidson's probability and strengths are those of decisions.
    middle : bool
        Whether c_0 is free: ties as the middle category.
    offset : array of shape (pairs,), optional
        Fixed logits of each pair: what the prior mean of the head says.
    """

    def __init__(
        self,
        problem: PairProblem,
        rows: OrdinalRows,
        terms: Terms,
        *,
        middle: bool,
        offset: Float[np.ndarray, " pairs"] | None = None,
    ) -> None:
        self.problem, self.rows, self.terms, self.middle = problem, rows, terms, middle
        self.offset = np.zeros(len(problem.left)) if offset is None else offset
        self.dim = 0 if problem.features is None else problem.features.dim
        self.n_effects = 0 if terms.item_precision is None else problem.n_items
        self.n_covariates = problem.design.shape[1]
        self.n_rows = self.dim + self.n_effects + self.n_covariates
        self.n_steps = rows.n_cuts - (not middle)
        self.size = self.n_rows + self.n_steps + int(terms.ties)
        self.precision = np.concatenate(
            [
                np.full(self.dim, terms.ridge),
                np.full(self.n_effects, terms.item_precision or 0.0),
                np.full(self.n_covariates, terms.covariate_precision),
                np.full(self.n_steps, CUT_PRECISION),
                np.full(int(terms.ties), TIE_PRECISION),
            ]
        )

    def start(self) -> Vector:
        """No preference, steps of one logit, and a tie share as observed."""
        x = np.zeros(self.size)
        if self.terms.ties:
            share = (self.rows.weight[self.rows.tied].sum() + 0.5) / (self.rows.weight.sum() + 1.0)
            x[-1] = np.log(2 * share / (1 - share))
        return x

    def unpack(self, x: Vector) -> OrdinalParameters:
        """The parameters at x; the head is without its prior mean."""
        head, effects, covariates, steps, rest = np.split(
            x, np.cumsum([self.dim, self.n_effects, self.n_covariates, self.n_steps])
        )
        cuts = np.cumsum(np.exp(np.clip(steps, -30, 30)))
        return OrdinalParameters(
            head,
            effects if self.n_effects else None,
            covariates,
            cuts if self.middle else np.concatenate([[0.0], cuts]),
            float(np.exp(np.clip(rest[0], -30, 30))) if self.terms.ties else 0.0,
        )

    def logits(self, p: OrdinalParameters) -> Float[np.ndarray, " pairs"]:
        """Reward differences, left minus right, of all pairs."""
        problem = self.problem
        scores = np.zeros(problem.n_items)
        if problem.features is not None:
            scores = problem.features.matmul(p.head[:, None])[:, 0]
        if p.item_effects is not None:
            scores = scores + p.item_effects
        return scores[problem.left] - scores[problem.right] + problem.design @ p.covariate_effects + self.offset

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        """Value and gradient at x."""
        p, rows, problem = self.unpack(x), self.rows, self.problem
        log_p, by_logit, by_low, by_high, by_tie, _ = self._rows(p, self.logits(p))
        w = rows.weight
        slope = np.bincount(rows.pair, w * by_logit, len(problem.left))
        by_item = np.bincount(problem.left, slope, problem.n_items)
        by_item -= np.bincount(problem.right, slope, problem.n_items)
        parts = [] if problem.features is None else [problem.features.rmatmul(by_item[:, None])[:, 0]]
        if self.n_effects:
            parts.append(by_item)
        parts.append(problem.design.T @ slope)
        by_cut = np.bincount(rows.low, w * by_low, rows.n_cuts + 1)
        by_cut += np.bincount(rows.high, w * by_high, rows.n_cuts + 1)
        if self.n_steps:
            # c_j is the sum of the first steps, so a step moves all cuts from its own on
            later = np.cumsum(by_cut[: rows.n_cuts][::-1])[::-1][rows.n_cuts - self.n_steps :]
            parts.append(later * np.diff(p.cuts, prepend=0.0)[rows.n_cuts - self.n_steps :])
        if self.terms.ties:
            parts.append(np.array([float(w @ by_tie)]))
        value = -float(w @ log_p) + 0.5 * float(self.precision @ (x * x))
        return value, self.precision * x - np.concatenate(parts)

    def log_likelihood(self, x: Vector) -> float:
        """The unpenalised log-likelihood at x, in nats."""
        p = self.unpack(x)
        return float(self.rows.weight @ self._rows(p, self.logits(p))[0])

    def curvature(self, x: Vector) -> Float[np.ndarray, " pairs"]:
        """Weighted - d2 log p / d logit2 of each pair, the thresholds held."""
        p = self.unpack(x)
        second = self._rows(p, self.logits(p))[5]
        return np.bincount(self.rows.pair, self.rows.weight * second, len(self.problem.left))

    def _rows(self, p: OrdinalParameters, z_pairs: Float[np.ndarray, " pairs"]) -> tuple[np.ndarray, ...]:
        """Per row: log p, its derivatives by the left logit, by the cuts below and above, by log nu; curvature."""
        rows, davidson = self.rows, self.terms.ties
        z = rows.sign * z_pairs[rows.pair]
        cuts = np.append(p.cuts, np.inf)
        low, high = cuts[rows.low] + rows.margin, cuts[rows.high] + rows.margin
        if self.middle:
            low, high = np.where(rows.tied, -cuts[0], low), np.where(rows.tied, cuts[0], high)
        with np.errstate(over="ignore"):
            gap = high - low
            below, above = expit(low - z), expit(z - high)
            log_p = -np.logaddexp(0.0, low - z) - np.logaddexp(0.0, z - high)
            log_p += np.log(-np.expm1(-np.maximum(gap, 1e-300)))
            narrow = 1.0 / np.expm1(np.maximum(gap, 1e-300))
        by_logit, by_low, by_high = below - above, -below - narrow, above + narrow
        second = below * (1.0 - below) + above * (1.0 - above)
        by_tie = np.zeros(len(z))
        if self.middle:
            # a tie's lower edge is - c_0, its upper edge c_0: both move with the same cut
            by_low = np.where(rows.tied, -by_low, by_low)
        if davidson:
            half = np.exp(-0.5 * np.abs(z))
            total = 1.0 + half * half + p.davidson * half
            lead = np.sign(z) * (1.0 - half * half)
            decided = ~rows.tied
            even = 1.0 + half * half
            extra = np.where(decided, np.log(even), np.log(p.davidson) - 0.5 * np.abs(z)) - np.log(total)
            log_p = np.where(decided, log_p, 0.0) + extra
            by_logit = decided * (by_logit + 0.5 * lead / even) - 0.5 * lead / total
            second = decided * (second - 0.25 * (1.0 - (lead / even) ** 2))
            second += 0.25 * (even / total - (lead / total) ** 2)
            by_tie = (~decided).astype(float) - p.davidson * half / total
            by_low, by_high = by_low * decided, by_high * decided
        return log_p, rows.sign * by_logit, by_low, by_high, by_tie, second


def fit_ordinal(
    objective: OrdinalObjective,
    *,
    rng: np.random.Generator,
    tol: float,
    max_iter: int = 500,
    start: Vector | None = None,
    gram: Float[np.ndarray, "dim dim"] | None = None,
    state: dict[str, np.ndarray] | None = None,
    on_iteration: Callable[[int, float, Callable[[], dict[str, np.ndarray]]], None] | None = None,
) -> Minimum:
    """Maximise the penalised likelihood; `tol` is in nats a unit of weight."""
    problem = objective.problem
    if gram is None:
        gram = pair_gram(problem, rng)
    factor = None
    if gram is not None:
        matrix = CURVATURE * gram
        matrix[np.diag_indices_from(matrix)] += objective.terms.ridge + 1e-10 * CURVATURE * np.trace(gram) / len(gram)
        factor = cho_factor(matrix, overwrite_a=True, check_finite=False)
    diagonal = np.concatenate(
        [
            problem.played if objective.n_effects else np.zeros(0),
            problem.weight @ problem.design**2,
            np.full(objective.size - objective.n_rows, max(problem.total_weight, 1.0)),
        ]
    )
    diagonal = CURVATURE * diagonal + objective.precision[objective.dim :]
    diagonal = np.where(diagonal > 0, diagonal, 1.0)

    def precondition(gradient: Vector) -> Vector:
        out = np.empty_like(gradient)
        if factor is not None:
            out[: objective.dim] = cho_solve(factor, gradient[: objective.dim], check_finite=False)
        out[objective.dim :] = gradient[objective.dim :] / diagonal
        return out

    return minimise(
        objective,
        objective.start() if start is None else start,
        precondition,
        tol=tol * max(problem.total_weight, 1.0),
        max_iter=max_iter,
        state=state,
        on_iteration=on_iteration,
    )
