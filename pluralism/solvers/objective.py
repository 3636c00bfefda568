"""The penalised negative log-likelihood of a mixture of linear heads, as one smooth function of one vector.

Heads, item effects, covariate effects, group weights, tie parameter and the population of annotators are optimised
together: by Fisher's identity the gradient of the marginal likelihood is the gradient EM would use with the current
responsibilities, and a quasi-Newton step on it is EM accelerated (Jamshidian & Jennrich 1997).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve

from pluralism.solvers.annotators import AnnotatorPass, AnnotatorPrior, Annotators, annotator_pass
from pluralism.solvers.pairs import PairProblem, PassResult

__all__ = ["BlockPreconditioner", "MixtureObjective", "Parameters", "Terms", "pair_gram"]

TYPICAL_CURVATURE = 0.15
TIE_PRECISION = 0.1
SKETCH_ROWS = 2048


@dataclass(frozen=True)
class Terms:
    """Which terms the model has, and their priors.

    Parameters
    ----------
    ridge : float
        Prior precision of the coefficients of the features.
    item_precision : float or None
        Prior precision of each item's own effect; None for no item effects.
    covariate_precision : float
        Prior precision of the effects of (scaled) covariates.
    shared : float or None
        If set, each head is a shared one plus a private one whose precision is `shared` times as large.
    ties : bool
        Davidson's tie parameter.
    temperature, lapse : bool
        Whether people differ in how sure they are of what they prefer, and in how often they answer without looking.
    concentration : float
        Of the Dirichlet prior on the group weights, at least 1.
    """

    ridge: float = 1.0
    item_precision: float | None = None
    covariate_precision: float = 1.0
    shared: float | None = None
    ties: bool = False
    temperature: bool = False
    lapse: bool = False
    concentration: float = 2.0

    @property
    def plain(self) -> Terms:
        """The same terms for people who all answer alike."""
        return self.but(temperature=False, lapse=False)

    def but(self, **changes: Any) -> Terms:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Parameters:
    """The vector, unpacked: effective heads (shared plus private already added)."""

    heads: Float[np.ndarray, "dim groups"]
    item_effects: Float[np.ndarray, "items groups"] | None
    covariate_effects: Float[np.ndarray, "covariates groups"]
    log_weights: Float[np.ndarray, " groups"]
    tie: float
    annotators: Annotators | None = None


class MixtureObjective:
    """x -> (penalised negative log-likelihood, gradient).

    The vector holds, in this order: a block of (dim + items + covariates) x columns, where the columns are the groups
    or, with shared heads, the shared column and then the groups; the logits of the group weights (more than one
    group); the log tie parameter; the population of annotators.
    """

    def __init__(
        self,
        problem: PairProblem,
        n_groups: int,
        terms: Terms,
        *,
        responsibility: Float[np.ndarray, "users groups"] | None = None,
    ) -> None:
        self.problem, self.n_groups, self.terms = problem, n_groups, terms
        self.responsibility = responsibility
        self.dim = 0 if problem.features is None else problem.features.dim
        self.n_effects = 0 if terms.item_precision is None else problem.n_items
        self.n_covariates = problem.design.shape[1]
        self.mixing = np.eye(n_groups)
        if terms.shared is not None:
            self.mixing = np.vstack([np.ones(n_groups), self.mixing])
        self.n_columns = len(self.mixing)
        self.n_rows = self.dim + self.n_effects + self.n_covariates
        self.block_size = self.n_rows * self.n_columns
        self.n_logits = n_groups if n_groups > 1 and responsibility is None else 0
        self.annotators = None
        if terms.temperature or terms.lapse:
            tied = self._tie_share() if terms.ties else 0.0
            self.annotators = AnnotatorPrior(temperature=terms.temperature, lapse=terms.lapse, tie_share=tied)
        self.n_hyper = 0 if self.annotators is None else self.annotators.size
        self.size = self.block_size + self.n_logits + int(terms.ties) + self.n_hyper
        self.column_ratio = np.ones(self.n_columns)
        if terms.shared is not None:
            self.column_ratio[1:] = terms.shared
        row_precision = np.concatenate(
            [
                np.full(self.dim, terms.ridge),
                np.full(self.n_effects, terms.item_precision or 0.0),
                np.full(self.n_covariates, terms.covariate_precision),
            ]
        )
        self.precision = row_precision[:, None] * self.column_ratio
        self.last: tuple[Float[np.ndarray, " parameters"], PassResult | AnnotatorPass] | None = None

    def start(self) -> Float[np.ndarray, " parameters"]:
        """The vector of no preference, equal groups, a tie share as observed and annotators much alike."""
        x = np.zeros(self.size)
        if self.terms.ties:
            share = self._tie_share()
            x[self.block_size + self.n_logits] = np.log(2 * share / (1 - share))
        if self.annotators is not None:
            x[self.size - self.n_hyper :] = self.annotators.start()
        return x

    def _tie_share(self) -> float:
        tied = float(self.problem.weight[self.problem.outcome == 0.5].sum())
        return (tied + 0.5) / (self.problem.total_weight + 1.0)

    def block(self, x: Float[np.ndarray, " parameters"]) -> Float[np.ndarray, "rows columns"]:
        """The coefficients within x, as a view: features, items, covariates by columns."""
        return x[: self.block_size].reshape(self.n_rows, self.n_columns)

    def unpack(self, x: Float[np.ndarray, " parameters"]) -> Parameters:
        """The parameters at x."""
        effective = self.block(x) @ self.mixing
        heads, effects, covariates = np.split(effective, [self.dim, self.dim + self.n_effects])
        logits = x[self.block_size : self.block_size + self.n_logits]
        end = self.block_size + self.n_logits + int(self.terms.ties)
        return Parameters(
            heads,
            effects if self.n_effects else None,
            covariates,
            log_softmax(logits) if self.n_logits else np.full(self.n_groups, -np.log(self.n_groups)),
            float(np.exp(np.clip(x[end - 1], -30, 30))) if self.terms.ties else 0.0,
            None if self.annotators is None else self.annotators.at(x[end:]),
        )

    def scores(self, parameters: Parameters) -> Float[np.ndarray, "items groups"]:
        """Rewards of all items, (items, groups), without covariate terms."""
        features = self.problem.features
        if features is None:
            scores = np.zeros((self.problem.n_items, self.n_groups))
        else:
            scores = features.matmul(parameters.heads)
        return scores if parameters.item_effects is None else scores + parameters.item_effects

    def sweep(self, x: Float[np.ndarray, " parameters"]) -> PassResult | AnnotatorPass:
        """The likelihood pass at x; the last one is kept, as callers often want it after minimising."""
        if self.last is not None and np.array_equal(self.last[0], x):
            return self.last[1]
        p = self.unpack(x)
        where = (self.scores(p), p.covariate_effects, p.log_weights)
        result: PassResult | AnnotatorPass
        if p.annotators is None:
            result = self.problem.sweep(*where, tie=p.tie, responsibility=self.responsibility)
        else:
            result = annotator_pass(self.problem, *where, p.annotators, tie=p.tie, responsibility=self.responsibility)
        self.last = (x.copy(), result)
        return result

    def __call__(self, x: Float[np.ndarray, " parameters"]) -> tuple[float, Float[np.ndarray, " parameters"]]:
        """Value and gradient at x."""
        result = self.sweep(x)
        block = self.block(x)
        value = -float(result.log_likelihood.sum()) + 0.5 * float(np.sum(self.precision * block * block))
        features = self.problem.features
        parts = [] if features is None else [features.rmatmul(result.scores_gradient)]
        if self.n_effects:
            parts.append(result.scores_gradient)
        parts.append(result.effects_gradient)
        gradient = np.empty(self.size)
        gradient[: self.block_size] = (self.precision * block - np.concatenate(parts) @ self.mixing.T).ravel()
        at = self.block_size
        if self.n_logits:
            log_weights = log_softmax(x[at : at + self.n_logits])
            voters = self.problem.voters
            extra = self.terms.concentration - 1.0
            value -= extra * float(log_weights.sum())
            counts = voters @ result.responsibility + extra
            gradient[at : at + self.n_logits] = np.exp(log_weights) * counts.sum() - counts
            at += self.n_logits
        if self.terms.ties:
            value += 0.5 * TIE_PRECISION * float(x[at] ** 2)
            gradient[at] = TIE_PRECISION * x[at] - result.tie_gradient
            at += 1
        if self.annotators is not None and isinstance(result, AnnotatorPass):
            penalty, gradient[at:] = self.annotators.penalised(x[at:], result.kinds)
            value += penalty
        return value, gradient

    def log_likelihood(self, x: Float[np.ndarray, " parameters"]) -> float:
        """The unpenalised log-likelihood at x, in nats."""
        return float(self.sweep(x).log_likelihood.sum())


def log_softmax(logits: Float[np.ndarray, " groups"]) -> Float[np.ndarray, " groups"]:
    """Logarithm of the softmax of one short vector, without the start-up cost of the general function."""
    shifted = logits - logits.max()
    return shifted - np.log(np.exp(shifted).sum())


class BlockPreconditioner:
    """Approximate inverse Hessian: a Cholesky factor for the features, diagonals for the rest.

    All groups share two factors at most (shared column, private columns), for K separate factors cost K times as much
    and gain nothing measurable.
    """

    def __init__(
        self,
        objective: MixtureObjective,
        gram: Float[np.ndarray, "dim dim"] | None,
        curvature: float = TYPICAL_CURVATURE,
    ) -> None:
        self.objective = objective
        terms, problem = objective.terms, objective.problem
        share = np.full(objective.n_columns, 1.0 / objective.n_groups)
        if terms.shared is not None:
            share[0] = 1.0
        self.factors: list[tuple[slice, tuple[np.ndarray, bool]]] = []
        if gram is not None:
            groups = [slice(0, 1), slice(1, None)] if terms.shared is not None else [slice(0, None)]
            for columns in groups:
                scale = curvature * share[columns][0]
                ridge = terms.ridge * objective.column_ratio[columns][0]
                matrix = scale * gram
                matrix[np.diag_indices_from(matrix)] += ridge + 1e-10 * scale * np.trace(gram) / len(gram)
                self.factors.append((columns, cho_factor(matrix, overwrite_a=True, check_finite=False)))
        per_item = problem.played if objective.n_effects else np.zeros(0)
        per_covariate = problem.weight @ problem.design**2
        diagonal = curvature * np.concatenate([per_item, per_covariate])[:, None] * share
        self.diagonal = diagonal + objective.precision[objective.dim :]
        rest = []
        if objective.n_logits:
            rest.append(np.full(objective.n_logits, problem.voters.sum() / objective.n_groups + terms.concentration))
        if terms.ties:
            tied = float(problem.weight[problem.outcome == 0.5].sum()) / max(problem.total_weight, 1e-12)
            rest.append(np.array([TIE_PRECISION + problem.total_weight * max(tied * (1 - tied), 1e-3)]))
        if objective.annotators is not None:
            rest.append(objective.annotators.curvature(float(problem.voters.sum())))
        self.rest = np.concatenate(rest) if rest else np.zeros(0)

    def __call__(self, gradient: Float[np.ndarray, " parameters"]) -> Float[np.ndarray, " parameters"]:
        """Approximate inverse Hessian times a gradient."""
        objective = self.objective
        out = np.empty_like(gradient)
        block, solved = objective.block(gradient), np.empty((objective.n_rows, objective.n_columns))
        for columns, factor in self.factors:
            solved[: objective.dim, columns] = cho_solve(factor, block[: objective.dim, columns], check_finite=False)
        solved[objective.dim :] = block[objective.dim :] / self.diagonal
        out[: objective.block_size] = solved.ravel()
        out[objective.block_size :] = gradient[objective.block_size :] / self.rest
        return out


def pair_gram(problem: PairProblem, rng: np.random.Generator) -> Float[np.ndarray, "dim dim"] | None:
    """sum_i w_i x_i x_i' over difference vectors, from a random sketch of 4 x dim rows (2,048 at least)."""
    features = problem.features
    if features is None:
        return None
    rows = np.flatnonzero(problem.weight > 0)
    ratio = 1.0
    enough = max(4 * features.dim, SKETCH_ROWS)
    if len(rows) > enough:
        ratio = len(rows) / enough
        rows = np.sort(rng.choice(rows, enough, replace=False))
    difference = features.rows(problem.left[rows]) - features.rows(problem.right[rows])
    difference *= np.sqrt(problem.weight[rows] * ratio)[:, None].astype(difference.dtype)
    return (difference.T @ difference).astype(np.float64)
