"""Prototypes and users' weights on them, fitted together: a profile over convex user fits, or a mixture of pure users.

The outer problem, in the parameters of the item table, is minimised by a quasi-Newton method; the users' weights are
solved anew at each evaluation, so that by the envelope theorem the gradient needs no derivative of theirs. Meanwhile
users' weights have a symmetric prior, whose strength is a setting like the ridge: a joint mode cannot choose it, for it
gains by moving the prototypes outwards and all users to the middle. The Dirichlet prior of the result is found by
empirical Bayes afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from pluralism.solvers.item_tables import ItemTable
from pluralism.solvers.lbfgs import Minimum, minimise
from pluralism.solvers.objective import log_softmax
from pluralism.solvers.pairs import PairProblem, pair_pass
from pluralism.solvers.prototype_starts import PrototypeStarts
from pluralism.solvers.sampled_users import sampled_users
from pluralism.solvers.simplex_users import UserPosterior, dirichlet_prior, place_users, user_posterior

__all__ = ["PrototypeFit", "fit_prototypes"]

Vector = Float[np.ndarray, " parameters"]
Snapshot = Callable[[], dict[str, np.ndarray]]
Progress = Callable[[int, float, Snapshot], None]
PILOT_ITERATIONS = 10
FIRST_STAGE = 3
LEAST_WEIGHT = 1e-12
CONCENTRATION = 2.0
EVIDENCE_ROWS, EVIDENCE_DRAWS = 40_000, 128


@dataclass(frozen=True)
class PrototypeFit:
    """Fitted prototypes, in order of falling mean weight.

    Attributes
    ----------
    x : array of shape (parameters,)
        Of the item table.
    alpha : array of shape (groups,)
        Of the Dirichlet prior; in a partition the shares of the groups.
    start_objectives : list of float
        What the starts that ran on had reached.
    """

    x: Vector
    alpha: Float[np.ndarray, " groups"]
    objective: float
    gradient_norm: float
    path: list[float]
    n_iter: int
    converged: bool
    start_objectives: list[float]


def fit_prototypes(
    problem: PairProblem,
    item_table: ItemTable,
    *,
    partition: bool,
    rng: np.random.Generator,
    concentration: float = 0.3,
    n_init: int = 4,
    tol: float = 1e-9,
    max_iter: int = 500,
    start: tuple[Vector, Float[np.ndarray, " groups"]] | None = None,
    starts: PrototypeStarts | None = None,
    on_iteration: Progress | None = None,
) -> PrototypeFit:
    """Minimise the penalised negative log-likelihood over the parameters of an item table.

    Parameters
    ----------
    partition : bool
        Every user is at one prototype (marginal likelihood over which), instead of at a mixture of them.
    concentration : float
        Parameter of the symmetric prior that users' weights have meanwhile: the larger, the closer to one reward for
        all.
    n_init : int
        Starts that run a few iterations. The better half run on to three digits (where that is more than one), and the
        best of them to convergence.
    tol : float
        Nats an answer.
    start : (array, array), optional
        Parameters and alpha (or shares) to start from, instead.
    starts : PrototypeStarts, optional
        Of the same answers, where it is kept from fit to fit.
    """
    n_groups = item_table.n_groups
    scale = max(problem.total_weight, 1.0)
    starts = PrototypeStarts(problem, item_table.features, rng) if starts is None else starts
    n_iter = 0

    def run(x: Vector, tolerance: float, limit: int, report: Progress | None = None) -> Minimum:
        nonlocal n_iter
        objective = _Partition(problem, item_table) if partition else _Profile(problem, item_table, alpha)
        state: dict[str, np.ndarray] | None = None
        stage = min(FIRST_STAGE, limit)
        while True:
            latest: list[Snapshot] = []

            def tell(iteration: int, value: float, snapshot: Snapshot, latest: list[Snapshot] = latest) -> None:
                latest[:] = [snapshot]
                if report is not None:
                    report(iteration, value, snapshot)

            metric = _preconditioner(problem, item_table, x, starts, rng)
            found = minimise(
                objective, x, metric, tol=tolerance * scale, max_iter=stage, state=state, on_iteration=tell
            )
            x = found.x
            if found.converged or found.n_iter < stage or stage >= limit:
                n_iter += found.n_iter
                return found
            # the metric goes stale as prototypes move, most of all in the beginning; what was learnt of curvature stays
            state, stage = latest[0](), min(2 * stage, limit)

    alpha, raced = np.full(n_groups, float(concentration)), []
    if start is not None:
        x = np.concatenate([start[0], np.log(start[1])]) if partition else start[0]
    else:
        tail = np.zeros(n_groups if partition else 0)
        candidates = [np.concatenate([x, tail]) for x in starts.vectors(item_table, n_init)]
        x = candidates[0]
        if len(candidates) > 1:
            runners = sorted((run(c, tol, PILOT_ITERATIONS) for c in candidates), key=lambda m: m.value)
            runners = runners[: len(candidates) // 2]
            if len(runners) > 1:
                runners = sorted((run(m.x, max(tol, 1e-5), max_iter) for m in runners), key=lambda m: m.value)
                raced = [m.value for m in runners]
            x = runners[0].x
    final = run(x, tol, max_iter, on_iteration)
    x = final.x
    if partition:
        x, alpha = x[: item_table.size], softmax(x[item_table.size :])
    elif n_groups > 1:
        some = sampled_users(problem, EVIDENCE_ROWS, rng)
        rewards = item_table.table(x)[some.items]

        def posterior(trial: Float[np.ndarray, " groups"]) -> UserPosterior:
            return user_posterior(some.problem, rewards, trial, n_draws=EVIDENCE_DRAWS)

        alpha = dirichlet_prior(alpha if start is None else start[1], some.problem.voters, posterior)
    order = np.argsort(-np.round(alpha / alpha.sum(), 12), kind="stable")
    return PrototypeFit(
        x=item_table.permuted(x, order),
        alpha=alpha[order],
        objective=final.value,
        gradient_norm=float(np.linalg.norm(final.gradient)),
        path=final.path,
        n_iter=n_iter,
        converged=final.converged,
        start_objectives=raced,
    )


class _Profile:
    """The penalised loss with every user at their best weights, which are sought from where they were last."""

    def __init__(self, problem: PairProblem, item_table: ItemTable, alpha: Float[np.ndarray, " groups"]) -> None:
        self.problem, self.item_table, self.alpha = problem, item_table, alpha
        self.weights: Float[np.ndarray, "users groups"] | None = None

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        table, pull_back = self.item_table.at(x)
        placed = place_users(self.problem, table, self.alpha, start=self.weights)
        penalty, slope = self.item_table.penalty(x)
        if np.isfinite(placed.weights).all():
            self.weights = np.maximum(placed.weights, LEAST_WEIGHT)
        return float(placed.value.sum()) + penalty, pull_back(placed.gradient) + slope


class _Partition:
    """The penalised marginal likelihood of users who are at one prototype each; shares of the groups come last."""

    def __init__(self, problem: PairProblem, item_table: ItemTable) -> None:
        self.problem, self.item_table = problem, item_table
        self.effects = np.zeros((problem.design.shape[1], item_table.n_groups))

    def __call__(self, x: Vector) -> tuple[float, Vector]:
        inner, log_weights = x[: self.item_table.size], log_softmax(x[self.item_table.size :])
        table, pull_back = self.item_table.at(inner)
        result = pair_pass(self.problem, table, self.effects, log_weights)
        penalty, slope = self.item_table.penalty(inner)
        counts = self.problem.voters @ result.responsibility + CONCENTRATION - 1.0
        value = penalty - float(result.log_likelihood.sum()) - (CONCENTRATION - 1.0) * float(log_weights.sum())
        tail = np.exp(log_weights) * counts.sum() - counts
        return value, np.concatenate([pull_back(-result.scores_gradient) + slope, tail])


def _preconditioner(
    problem: PairProblem, item_table: ItemTable, x: Vector, starts: PrototypeStarts, rng: np.random.Generator
) -> Callable[[Vector], Vector]:
    """That of the item table, and a number for the shares of groups."""
    inner = item_table.preconditioner(problem, x[: item_table.size], starts.gram, rng)
    mass = problem.voters.sum() / item_table.n_groups + CONCENTRATION

    def apply(gradient: Vector) -> Vector:
        return np.concatenate([inner(gradient[: item_table.size]), gradient[item_table.size :] / mass])

    return apply
