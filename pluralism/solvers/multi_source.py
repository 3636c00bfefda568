"""One reward from several sources: a shared head with a drift a source, and ways to weigh the sources.

Sources stand where users stand in a `PairProblem`, so one sweep gives every source's likelihood and gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import logsumexp, softmax

from pluralism.solvers.lbfgs import Minimum, minimise
from pluralism.solvers.min_norm import min_norm
from pluralism.solvers.objective import BlockPreconditioner, MixtureObjective, Terms, pair_gram
from pluralism.solvers.pairs import PairProblem

__all__ = ["SourceFit", "SourceObjective", "descend_together", "fit_sources", "per_source"]

Vector = Float[np.ndarray, " parameters"]
MAX_HALVINGS = 30


@dataclass(frozen=True)
class SourceFit:
    """A fit and the weights of the sources at its end (summing to 1)."""

    minimum: Minimum
    weights: Float[np.ndarray, " sources"]


class SourceObjective:
    """x -> (penalised loss, gradient); the loss is each source's, put together by weights or by their soft maximum.

    Parameters
    ----------
    problem : PairProblem
        Its users are the sources.
    terms : Terms
        `shared` is the precision of the drifts over that of the shared head; None for one head for all.
    factor : array of shape (sources,)
        What each source's rows are multiplied by.
    sharpness : float or None
        If set, the loss is that of group DRO smoothed by an entropy: the total weight times
        log(mean(exp(sharpness * L))) / sharpness over the mean losses L of the sources.
    """

    def __init__(
        self,
        problem: PairProblem,
        terms: Terms,
        factor: Float[np.ndarray, " sources"],
        *,
        sharpness: float | None = None,
    ) -> None:
        self.problem, self.factor, self.sharpness = problem, factor, sharpness
        self.n_groups = problem.n_users if terms.shared is not None else 1
        self.objective = MixtureObjective(problem, self.n_groups, terms, responsibility=self._columns(factor))
        self.rows = np.bincount(problem.user, problem.weight, problem.n_users)
        self.size = self.objective.size

    def _columns(self, factor: Float[np.ndarray, " sources"]) -> Float[np.ndarray, "sources groups"]:
        return np.diag(factor) if self.n_groups > 1 else np.array(factor, float)[:, None]

    def losses(self, x: Vector) -> Float[np.ndarray, " sources"]:
        """Mean loss of each source, in nats an answer."""
        ones = self._columns(np.ones(self.problem.n_users))
        self.objective.responsibility, kept = ones, self.objective.responsibility
        self.objective.last = None
        found = -self.objective.sweep(x).log_likelihood / np.maximum(self.rows, 1e-300)
        self.objective.responsibility, self.objective.last = kept, None
        return found

    def weights(self, x: Vector) -> Float[np.ndarray, " sources"]:
        """Share of each source's mean loss in what is minimised."""
        if self.sharpness is not None:
            return softmax(self.sharpness * self.losses(x))
        share = self.factor * self.rows
        return share / share.sum()

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        """Value and gradient at x."""
        if self.sharpness is None:
            return self.objective(x)
        total = float(self.rows.sum())
        losses = self.losses(x)
        share = softmax(self.sharpness * losses)
        self.objective.responsibility = self._columns(total * share / np.maximum(self.rows, 1e-300))
        self.objective.last = None
        value, gradient = self.objective(x)
        smooth = float(logsumexp(self.sharpness * losses) - np.log(len(losses))) / self.sharpness
        # the penalty stays, the weighted sum gives way to the soft maximum that it is the tangent of
        return value + total * (smooth - float(share @ losses)), gradient

    def preconditioner(self, gram: Float[np.ndarray, "dim dim"] | None) -> Callable[[Vector], Vector]:
        """Approximate inverse Hessian of the pooled problem."""
        return BlockPreconditioner(self.objective, gram)


def fit_sources(
    objective: SourceObjective,
    *,
    rng: np.random.Generator,
    tol: float,
    max_iter: int = 500,
    start: Vector | None = None,
    state: dict[str, np.ndarray] | None = None,
    on_iteration: Callable[[int, float, Callable[[], dict[str, np.ndarray]]], None] | None = None,
) -> SourceFit:
    """Minimise a convex objective of several sources; `tol` in nats an answer."""
    found = minimise(
        objective,
        np.zeros(objective.size) if start is None else start,
        objective.preconditioner(pair_gram(objective.problem, rng)),
        tol=tol * max(objective.problem.total_weight, 1.0),
        max_iter=max_iter,
        state=state,
        on_iteration=on_iteration,
    )
    return SourceFit(found, objective.weights(found.x))


def per_source(problem: PairProblem, terms: Terms, x: Vector) -> tuple[np.ndarray, np.ndarray]:
    """Mean penalised losses (sources,) of one head for all, and their gradients (sources, parameters).

    Every source carries the whole prior over the total weight, so their weighted sums are penalised as the whole is.
    """
    wide = MixtureObjective(problem, problem.n_users, terms, responsibility=np.eye(problem.n_users))
    block = np.repeat(x[:, None], problem.n_users, axis=1)
    found = wide.sweep(block.ravel())
    parts = [] if problem.features is None else [problem.features.rmatmul(found.scores_gradient)]
    if wide.n_effects:
        parts.append(found.scores_gradient)
    parts.append(found.effects_gradient)
    rows = np.maximum(np.bincount(problem.user, problem.weight, problem.n_users), 1e-300)
    precision = wide.precision[:, 0] / problem.total_weight
    penalty = 0.5 * float(precision @ (x * x))
    gradient = -(np.concatenate(parts) / rows).T + precision * x
    return -found.log_likelihood / rows + penalty, gradient


def descend_together(
    problem: PairProblem,
    terms: Terms,
    *,
    normalised: bool,
    rng: np.random.Generator,
    tol: float,
    max_iter: int = 500,
) -> SourceFit:
    """Steps that lower every source's loss at once, along the point of least norm of their gradients (MGDA).

    Norms are those of the approximate inverse Hessian, in which the least-norm point is a common direction of descent
    (Desideri 2012) and units of the features do not matter. From a head of 0, it stops where no direction lowers all
    losses: which of these Pareto-stationary points that is depends on the way there.
    """
    objective = SourceObjective(problem, terms.but(shared=None), np.ones(problem.n_users))
    precondition = objective.preconditioner(pair_gram(problem, rng))
    total = problem.total_weight
    # a source without weight has no loss to lower, and would hold all others where they are
    living = np.flatnonzero(np.bincount(problem.user, problem.weight, problem.n_users) > 0)

    def of_living(x: Float[np.ndarray, " parameters"]) -> tuple[np.ndarray, np.ndarray]:
        losses, gradients = per_source(problem, terms, x)
        return losses[living], gradients[living]

    x = np.zeros(objective.size)
    losses, gradients = of_living(x)
    path = [total * float(losses.mean())]
    weights = np.full(len(living), 1.0 / len(living))
    converged, value, step = False, 0.0, 1.0
    for _ in range(max_iter):
        steps = np.stack([precondition(total * g) for g in gradients])
        gram = gradients @ steps.T
        gram = 0.5 * (gram + gram.T)
        length = np.sqrt(np.maximum(np.diag(gram), 1e-300)) if normalised else np.ones(len(gram))
        found = min_norm(gram / np.outer(length, length))
        mixed = found.weights / length
        weights = mixed / mixed.sum()
        value = float(weights @ gram @ weights)
        if value <= 10 * tol:
            converged = True
            break
        direction = -weights @ steps
        slope = gradients @ direction
        t, accepted = min(1.0, 4.0 * step), False
        for _ in range(MAX_HALVINGS):
            new_losses, new_gradients = of_living(x + t * direction)
            if np.all(new_losses <= losses + 1e-4 * t * slope):
                accepted = True
                break
            t *= 0.5
        if not accepted:
            # what is left to gain cannot be told from rounding
            converged = value <= 1e4 * tol
            break
        x, losses, gradients, step = x + t * direction, new_losses, new_gradients, t
        path.append(total * float(losses.mean()))
    gradient = total * (weights @ gradients)
    minimum = Minimum(x, path[-1], gradient, total * value, path, max(len(path) - 1, 1), converged)
    shares = np.zeros(problem.n_users)
    shares[living] = weights
    return SourceFit(minimum, shares)
