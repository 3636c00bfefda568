"""Users who differ by degree: rewards with a Gaussian vector of factors for each user, around those of a group.

For a row of user u in group k with scores difference o_k, loadings difference x and outcome y in [0, 1],

    z = o_k + x . h,    h ~ N(0, I),    log p(y | z) = (y - 1/2) z - log(2 cosh(z / 2)).

The factors are integrated out by the bound of Jaakkola and Jordan (2000), which is that of Polya-Gamma augmentation
(Polson, Scott & Windle 2013): with c^2 = E z^2 and lambda(c) = tanh(c/2) / (2c),

    q(h) = N(m, S),   S^-1 = I + sum w lambda x x',   m = S sum w [(y - 1/2) - lambda o] x.

Scores, loadings and group weights minimise minus the sum over users of log sum_k pi_k exp(bound_uk), penalised, whose
gradient needs no derivative of q (the envelope theorem). Loadings of an item are a linear map of its features plus
its own departure from that, so that a new item is placed by its text.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_factor, cho_solve
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import svds

from pluralism.solvers.chunks import over_chunks
from pluralism.solvers.gaussian_users_kernels import place_chunk, place_parallel
from pluralism.solvers.lbfgs import Minimum, minimise
from pluralism.solvers.objective import TYPICAL_CURVATURE, Parameters, log_softmax, pair_gram
from pluralism.solvers.pairs import PairProblem

__all__ = [
    "FactorFit",
    "FactorParameters",
    "FactorTerms",
    "GaussianUsers",
    "Placement",
    "fit_gaussian_users",
    "place_users",
]

INNER_TOL = 1e-5
MAX_INNER = 200
FIRST_LOADING = 0.3
SAMPLE_ITEMS = 4096
NOTHING = 1e-9


@dataclass(frozen=True)
class FactorTerms:
    """Which terms there are, and their priors.

    Parameters
    ----------
    n_groups : int
        Groups with base scores of their own.
    rank : int
        Factors on which items load.
    user_covariates : tuple of int
        Covariates whose effect differs from user to user, each by a factor of its own.
    ridge, item_precision, covariate_precision : float
        Prior precisions of the base coefficients of features, items (None for no item effects) and covariates.
    loading_ridge : float
        Prior precision of the coefficients by which features give loadings.
    loading_precision : float or None
        Prior precision of each item's own loadings; None for none.
    concentration : float
        Of the Dirichlet prior on the group weights, at least 1.
    """

    n_groups: int = 1
    rank: int = 0
    user_covariates: tuple[int, ...] = ()
    ridge: float = 1.0
    item_precision: float | None = None
    covariate_precision: float = 1.0
    loading_ridge: float = 1.0
    loading_precision: float | None = None
    concentration: float = 2.0

    @property
    def n_factors(self) -> int:
        """Length of a user's vector."""
        return self.rank + len(self.user_covariates)

    def but(self, **changes: Any) -> FactorTerms:
        """A copy with some fields changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class FactorParameters:
    """The vector, unpacked: base columns for the groups first, then loadings for the factors."""

    heads: Float[np.ndarray, "dim columns"]
    item_effects: Float[np.ndarray, "items columns"] | None
    covariate_effects: Float[np.ndarray, "covariates columns"]
    log_weights: Float[np.ndarray, " groups"]


@dataclass(frozen=True)
class Placement:
    """Where users stand: the bound under each group, the posterior over groups and the factors under each."""

    bound: Float[np.ndarray, "users groups"]
    posterior: Float[np.ndarray, "users groups"]
    mean: Float[np.ndarray, "users groups factors"]
    covariance: Float[np.ndarray, "users groups factors factors"]


def place_users(
    problem: PairProblem,
    table: Float[np.ndarray, "items columns"],
    effects: Float[np.ndarray, "covariates columns"],
    log_weights: Float[np.ndarray, " groups"],
) -> Placement:
    """Place every user of a problem, given scores and loadings of items and covariates."""
    return _place(problem, table, effects, log_weights, gradient=False)[0]


def place_with_gradient(
    problem: PairProblem,
    table: Float[np.ndarray, "items columns"],
    effects: Float[np.ndarray, "covariates columns"],
    log_weights: Float[np.ndarray, " groups"],
) -> tuple[Placement, Float[np.ndarray, "items columns"], Float[np.ndarray, "covariates columns"]]:
    """As `place_users`, with the gradient of the marginal bound by `table` and by `effects`."""
    return _place(problem, table, effects, log_weights, gradient=True)


def _place(
    problem: PairProblem,
    table: Float[np.ndarray, "items columns"],
    effects: Float[np.ndarray, "covariates columns"],
    log_weights: Float[np.ndarray, " groups"],
    *,
    gradient: bool,
) -> tuple[Placement, np.ndarray, np.ndarray]:
    n_groups, n_columns = len(log_weights), table.shape[1]
    q, users, n_chunks = n_columns - n_groups, problem.n_users, len(problem.chunks) - 1
    found = Placement(
        np.empty((users, n_groups)),
        np.empty((users, n_groups)),
        np.zeros((users, n_groups, q)),
        np.zeros((users, n_groups, q, q)),
    )
    table_gradient = np.zeros((n_chunks, *(table.shape if gradient else (1, 1))))
    effects_gradient = np.zeros((n_chunks, *effects.shape))
    over_chunks(
        place_chunk,
        place_parallel,
        *problem.columns,
        problem.design,
        np.ascontiguousarray(table, dtype=np.float64),
        np.ascontiguousarray(effects, dtype=np.float64),
        np.ascontiguousarray(log_weights, dtype=np.float64),
        n_groups,
        INNER_TOL,
        MAX_INNER,
        found.bound,
        found.mean,
        found.covariance,
        found.posterior,
        gradient,
        table_gradient,
        effects_gradient,
    )
    return found, table_gradient.sum(axis=0), effects_gradient.sum(axis=0)


class GaussianUsers:
    """x -> (penalised negative bound, gradient).

    The vector holds a block of (dim + items + covariates) x (groups + factors) and the logits of the group weights
    where there are several groups. The factors of user covariates come first.
    """

    def __init__(self, problem: PairProblem, terms: FactorTerms) -> None:
        self.problem, self.terms = problem, terms
        self.dim = 0 if problem.features is None else problem.features.dim
        own_loadings = terms.rank > 0 and terms.loading_precision is not None
        self.n_effects = problem.n_items if terms.item_precision is not None or own_loadings else 0
        self.n_covariates = problem.design.shape[1]
        self.n_rows = self.dim + self.n_effects + self.n_covariates
        self.n_columns = terms.n_groups + terms.n_factors
        self.block_size = self.n_rows * self.n_columns
        self.n_logits = terms.n_groups if terms.n_groups > 1 else 0
        self.size = self.block_size + self.n_logits
        # a coefficient of infinite precision is held at zero
        self.precision = np.full((self.n_rows, self.n_columns), np.inf)
        features, items, covariates = np.split(np.arange(self.n_rows), [self.dim, self.dim + self.n_effects])
        base, own, loadings = np.split(
            np.arange(self.n_columns), [terms.n_groups, terms.n_groups + len(terms.user_covariates)]
        )
        self.precision[np.ix_(features, base)] = terms.ridge
        self.precision[np.ix_(covariates, base)] = terms.covariate_precision
        self.precision[np.ix_(features, loadings)] = terms.loading_ridge
        if terms.item_precision is not None:
            self.precision[np.ix_(items, base)] = terms.item_precision
        if own_loadings:
            self.precision[np.ix_(items, loadings)] = terms.loading_precision
        for column, covariate in zip(own, terms.user_covariates, strict=True):
            self.precision[covariates[covariate], column] = terms.covariate_precision
        self.free = np.isfinite(self.precision)
        self.penalty = np.where(self.free, self.precision, 0.0)

    def block(self, x: Float[np.ndarray, " parameters"]) -> Float[np.ndarray, "rows columns"]:
        """The coefficients within x, as a view: features, items, covariates by groups and factors."""
        return x[: self.block_size].reshape(self.n_rows, self.n_columns)

    def unpack(self, x: Float[np.ndarray, " parameters"]) -> FactorParameters:
        """The parameters at x."""
        heads, effects, covariates = np.split(self.block(x), [self.dim, self.dim + self.n_effects])
        logits = x[self.block_size :]
        log_weights = log_softmax(logits) if self.n_logits else np.zeros(1)
        return FactorParameters(heads, effects if self.n_effects else None, covariates, log_weights)

    def table(self, parameters: FactorParameters) -> Float[np.ndarray, "items columns"]:
        """Scores and loadings of all items."""
        features = self.problem.features
        table = (
            np.zeros((self.problem.n_items, self.n_columns)) if features is None else features.matmul(parameters.heads)
        )
        return table if parameters.item_effects is None else table + parameters.item_effects

    def place(self, x: Float[np.ndarray, " parameters"]) -> Placement:
        """Place the users at x."""
        p = self.unpack(x)
        return place_users(self.problem, self.table(p), p.covariate_effects, p.log_weights)

    def __call__(self, x: Float[np.ndarray, " parameters"]) -> tuple[float, Float[np.ndarray, " parameters"]]:
        """Value and gradient at x."""
        p = self.unpack(x)
        found, table_gradient, effects_gradient = place_with_gradient(
            self.problem, self.table(p), p.covariate_effects, p.log_weights
        )
        block = self.block(x)
        value = -self.log_bound(x, found) + 0.5 * float(np.sum(self.penalty * block * block))
        features = self.problem.features
        parts = [] if features is None else [features.rmatmul(table_gradient)]
        if self.n_effects:
            parts.append(table_gradient)
        parts.append(effects_gradient)
        gradient = np.empty(self.size)
        gradient[: self.block_size] = np.where(self.free, self.penalty * block - np.concatenate(parts), 0.0).ravel()
        if self.n_logits:
            log_weights = log_softmax(x[self.block_size :])
            extra = self.terms.concentration - 1.0
            value -= extra * float(log_weights.sum())
            counts = self.problem.voters @ found.posterior + extra
            gradient[self.block_size :] = np.exp(log_weights) * counts.sum() - counts
        return value, gradient

    def log_bound(self, x: Float[np.ndarray, " parameters"], found: Placement) -> float:
        """The unpenalised bound on the log-likelihood, in nats."""
        log_weights = self.unpack(x).log_weights
        joint = found.bound + log_weights
        top = joint.max(axis=1)
        return float(np.sum(top + np.log(np.exp(joint - top[:, None]).sum(axis=1))))

    def precondition(
        self, gram: Float[np.ndarray, "dim dim"] | None
    ) -> Callable[[Float[np.ndarray, " parameters"]], Float[np.ndarray, " parameters"]]:
        """Approximate inverse Hessian: Cholesky factors for the features, diagonals for the rest."""
        terms, problem, k = self.terms, self.problem, self.terms.n_groups
        share = np.ones(self.n_columns)
        share[:k] = 1.0 / k
        factors = []
        if gram is not None:
            for columns, ridge in self._feature_columns():
                scale = TYPICAL_CURVATURE * share[columns][0]
                matrix = scale * gram
                matrix[np.diag_indices_from(matrix)] += ridge + 1e-10 * scale * np.trace(gram) / len(gram)
                factors.append((columns, cho_factor(matrix, overwrite_a=True, check_finite=False)))
        per_item = problem.played if self.n_effects else np.zeros(0)
        per_covariate = problem.weight @ problem.design**2
        diagonal = TYPICAL_CURVATURE * np.concatenate([per_item, per_covariate])[:, None] * share
        diagonal = diagonal + self.penalty[self.dim :] + 1e-12
        free = self.free
        voters = problem.voters.sum() / k + terms.concentration

        def apply(gradient: Float[np.ndarray, " parameters"]) -> Float[np.ndarray, " parameters"]:
            out = np.empty_like(gradient)
            block, solved = self.block(gradient), np.zeros((self.n_rows, self.n_columns))
            for columns, factor in factors:
                solved[: self.dim, columns] = cho_solve(factor, block[: self.dim, columns], check_finite=False)
            solved[self.dim :] = block[self.dim :] / diagonal
            out[: self.block_size] = np.where(free, solved, 0.0).ravel()
            out[self.block_size :] = gradient[self.block_size :] / voters
            return out

        return apply

    def _feature_columns(self) -> list[tuple[slice, float]]:
        """Columns in which features have coefficients, with their precision."""
        terms = self.terms
        columns = [(slice(0, terms.n_groups), terms.ridge)]
        if terms.rank:
            columns.append((slice(self.n_columns - terms.rank, None), terms.loading_ridge))
        return columns


@dataclass(frozen=True)
class FactorFit:
    """A fit of `GaussianUsers`."""

    terms: FactorTerms
    parameters: FactorParameters
    vector: Float[np.ndarray, " parameters"]
    placement: Placement
    log_bound: float
    minimum: Minimum


def fit_gaussian_users(
    problem: PairProblem,
    terms: FactorTerms,
    *,
    rng: np.random.Generator,
    base: Parameters | None = None,
    start: Float[np.ndarray, " parameters"] | None = None,
    gram: Float[np.ndarray, "dim dim"] | None = None,
    tol: float = 1e-9,
    max_iter: int = 500,
    state: dict[str, np.ndarray] | None = None,
    on_iteration: Callable[[int, float, Callable[[], dict[str, np.ndarray]]], None] | None = None,
) -> FactorFit:
    """Fit base scores and loadings.

    Parameters
    ----------
    base : Parameters, optional
        Base scores to begin with, from `fit_mixture` on the same problem.
    start : array of shape (parameters,), optional
        Where to begin, from a fit with the same terms but for their precisions.
    gram : array of shape (dim, dim), optional
        From `pair_gram`; made here otherwise.
    tol : float
        Convergence tolerance in nats an answer.
    state, on_iteration
        As in `minimise`.
    """
    objective = GaussianUsers(problem, terms)
    if gram is None:
        gram = pair_gram(problem, rng)
    if start is None:
        start = first_vector(objective, base, rng)
    minimum = minimise(
        objective,
        start,
        objective.precondition(gram),
        tol=tol * max(problem.total_weight, 1.0),
        max_iter=max_iter,
        state=state,
        on_iteration=on_iteration,
    )
    found = objective.place(minimum.x)
    return FactorFit(
        terms, objective.unpack(minimum.x), minimum.x, found, objective.log_bound(minimum.x, found), minimum
    )


def first_vector(
    objective: GaussianUsers, base: Parameters | None, rng: np.random.Generator
) -> Float[np.ndarray, " parameters"]:
    """A start: base scores as given, loadings from the singular vectors of what they leave unexplained.

    At zero loadings the gradient vanishes, so a start must break the symmetry, and the leading singular vectors of
    the residuals, users by items, are the directions in which people differ most.
    """
    problem, terms = objective.problem, objective.terms
    x = np.zeros(objective.size)
    block = objective.block(x)
    if base is not None:
        parts = [base.heads] if problem.features is not None else []
        if objective.n_effects:
            parts.append(
                np.zeros((problem.n_items, terms.n_groups)) if base.item_effects is None else base.item_effects
            )
        parts.append(base.covariate_effects)
        block[:, : terms.n_groups] = np.concatenate(parts)
        if objective.n_logits:
            x[objective.block_size :] = base.log_weights
    for column in range(terms.n_groups, terms.n_groups + len(terms.user_covariates)):
        block[:, column] = np.where(objective.free[:, column], FIRST_LOADING, 0.0)
    if terms.rank:
        _load(objective, x, rng)
    return x


def _load(objective: GaussianUsers, x: Float[np.ndarray, " parameters"], rng: np.random.Generator) -> None:
    problem, terms, block = objective.problem, objective.terms, objective.block(x)
    parameters = objective.unpack(x)
    k = terms.n_groups
    score = objective.table(parameters)[:, :k].mean(axis=1)
    z = score[problem.left] - score[problem.right] + problem.design @ parameters.covariate_effects[:, :k].mean(axis=1)
    residual = problem.weight * (problem.outcome - 1.0 / (1.0 + np.exp(-z)))
    played = np.flatnonzero(problem.played > 0)
    if len(played) == 0:
        return
    place = np.zeros(problem.n_items, dtype=np.int64)
    place[played] = np.arange(len(played))
    entries = np.concatenate([residual, -residual])
    where = np.tile(problem.user, 2), place[np.concatenate([problem.left, problem.right])]
    matrix = csr_matrix((entries, where), shape=(problem.n_users, len(played)))
    directions = rng.standard_normal((len(played), terms.rank))
    known = min(terms.rank, min(matrix.shape) - 1)
    if known > 0 and np.abs(matrix.data).max(initial=0.0) > NOTHING:
        _, values, vectors = svds(matrix, k=known, v0=rng.standard_normal(min(matrix.shape)))
        directions[:, :known] = vectors[np.argsort(-values)].T
    directions -= directions.mean(axis=0)
    directions *= FIRST_LOADING / np.maximum(directions.std(axis=0), 1e-12)
    columns = slice(objective.n_columns - terms.rank, None)
    if terms.loading_precision is not None:
        block[objective.dim + played, columns] = directions
    elif problem.features is not None:
        sample = np.sort(rng.permutation(len(played))[:SAMPLE_ITEMS])
        rows = problem.features.rows(played[sample]).astype(np.float64)
        rows -= rows.mean(axis=0)
        gram = rows.T @ rows
        gram[np.diag_indices_from(gram)] += 0.1 * np.trace(gram) / len(gram) + 1e-12
        block[: objective.dim, columns] = np.linalg.solve(gram, rows.T @ directions[sample])
