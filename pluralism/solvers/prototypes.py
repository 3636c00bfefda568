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

from pluralism.solvers.item_tables import CentredFeatures, ItemTable
from pluralism.solvers.lbfgs import Minimum, minimise
from pluralism.solvers.mixture import fit_mixture
from pluralism.solvers.objective import Terms, log_softmax
from pluralism.solvers.pairs import PairProblem, pair_pass
from pluralism.solvers.simplex_users import dirichlet_prior, place_users

__all__ = ["PrototypeFit", "fit_prototypes", "head_starts"]

Vector = Float[np.ndarray, " parameters"]
Progress = Callable[[int, float, Callable[[], dict[str, np.ndarray]]], None]
PILOT_ITERATIONS = 20
CONCENTRATION = 2.0
EVIDENCE_ROWS = 40_000
STRETCH = 2.0


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
        What the starts had reached after a few iterations.
    """

    x: Vector
    alpha: Float[np.ndarray, " groups"]
    objective: float
    gradient_norm: float
    path: list[float]
    n_iter: int
    converged: bool
    start_objectives: list[float]


def head_starts(
    problem: PairProblem,
    features: CentredFeatures,
    n_groups: int,
    ridge: float,
    *,
    n_starts: int,
    rng: np.random.Generator,
) -> list[Float[np.ndarray, "dim groups"]]:
    """Linear heads from which fits may start: those of a mixture of pure users, stretched outwards, and random ones."""
    terms = Terms(ridge=ridge * features.scale**2)
    fit = fit_mixture(problem, n_groups, terms, rng=rng, n_init=2, tol=1e-5)
    heads = fit.parameters.heads * features.scale
    if n_groups == 1:
        return [heads]
    middle = heads @ np.exp(fit.parameters.log_weights)[:, None]
    starts = [heads, middle + STRETCH * (heads - middle)]
    size = np.linalg.norm(heads) / np.sqrt(heads.size)
    while len(starts) < n_starts:
        starts.append(middle + size * rng.normal(size=heads.shape))
    return starts[: max(n_starts, 1)]


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
    gram: Float[np.ndarray, "dim dim"] | None = None,
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
        Starts that run a few iterations; the best two run on to three digits, and the best of those to convergence.
    tol : float
        Nats an answer.
    start : (array, array), optional
        Parameters and alpha (or shares) to start from, instead.
    """
    n_groups = item_table.n_groups
    scale = max(problem.total_weight, 1.0)
    if gram is None:
        gram = item_table.features.gram(problem, rng)
    n_iter = 0

    def run(x: Vector, alpha: np.ndarray, tolerance: float, limit: int, report: Progress | None = None) -> Minimum:
        nonlocal n_iter
        inner = item_table.preconditioner(problem, x[: item_table.size], gram, rng)
        objective = _partition(problem, item_table) if partition else _profile(problem, item_table, alpha)
        mass = problem.voters.sum() / n_groups + CONCENTRATION

        def precondition(gradient: Vector) -> Vector:
            tail = gradient[item_table.size :] / mass
            return np.concatenate([inner(gradient[: item_table.size]), tail])

        found = minimise(objective, x, precondition, tol=tolerance * scale, max_iter=limit, on_iteration=report)
        n_iter += found.n_iter
        return found

    alpha, starts = np.full(n_groups, float(concentration)), []
    if start is not None:
        x = np.concatenate([start[0], np.log(start[1])]) if partition else start[0]
    else:
        heads = head_starts(
            problem, item_table.features, n_groups, item_table.ridge, n_starts=n_init if n_groups > 1 else 1, rng=rng
        )
        tail = np.zeros(n_groups if partition else 0)
        candidates = [np.concatenate([item_table.start(h, rng), tail]) for h in heads]
        x = candidates[0]
        if len(candidates) > 1:
            runners = sorted((run(c, alpha, tol, PILOT_ITERATIONS) for c in candidates), key=lambda m: m.value)
            runners = sorted((run(m.x, alpha, max(tol, 1e-5), max_iter) for m in runners[:2]), key=lambda m: m.value)
            x, starts = runners[0].x, [m.value for m in runners]
    final = run(x, alpha, tol, max_iter, on_iteration)
    x = final.x
    if partition:
        x, alpha = x[: item_table.size], softmax(x[item_table.size :])
    elif n_groups > 1:
        alpha = dirichlet_prior(_some_users(problem), item_table.table(x), alpha if start is None else start[1])
    order = np.argsort(-np.round(alpha / alpha.sum(), 12), kind="stable")
    return PrototypeFit(
        x=item_table.permuted(x, order),
        alpha=alpha[order],
        objective=final.value,
        gradient_norm=float(np.linalg.norm(final.gradient)),
        path=final.path,
        n_iter=n_iter,
        converged=final.converged,
        start_objectives=starts,
    )


def _profile(
    problem: PairProblem, item_table: ItemTable, alpha: Float[np.ndarray, " groups"]
) -> Callable[[Vector], tuple[float, Vector]]:
    def objective(x: Vector) -> tuple[float, Vector]:
        placed = place_users(problem, item_table.table(x), alpha)
        penalty, slope = item_table.penalty(x)
        return float(placed.value.sum()) + penalty, item_table.pull_back(x, placed.gradient) + slope

    return objective


def _partition(problem: PairProblem, item_table: ItemTable) -> Callable[[Vector], tuple[float, Vector]]:
    effects = np.zeros((problem.design.shape[1], item_table.n_groups))

    def objective(x: Vector) -> tuple[float, Vector]:
        inner, log_weights = x[: item_table.size], log_softmax(x[item_table.size :])
        result = pair_pass(problem, item_table.table(inner), effects, log_weights)
        penalty, slope = item_table.penalty(inner)
        counts = problem.voters @ result.responsibility + CONCENTRATION - 1.0
        value = penalty - float(result.log_likelihood.sum()) - (CONCENTRATION - 1.0) * float(log_weights.sum())
        tail = np.exp(log_weights) * counts.sum() - counts
        return value, np.concatenate([item_table.pull_back(inner, -result.scores_gradient) + slope, tail])

    return objective


def _some_users(problem: PairProblem) -> PairProblem:
    """So many users, evenly spaced, that they have some ten thousand rows: enough to say what users are like."""
    rows = len(problem.left)
    if rows <= EVIDENCE_ROWS:
        return problem
    keep = np.zeros(problem.n_users, dtype=bool)
    keep[:: int(np.ceil(rows / EVIDENCE_ROWS))] = True
    mask = keep[problem.user]
    codes = np.cumsum(keep) - 1
    return PairProblem.build(
        codes[problem.user[mask]],
        problem.left[mask],
        problem.right[mask],
        problem.outcome[mask],
        problem.weight[mask],
        n_users=int(keep.sum()),
        n_items=problem.n_items,
    )[0]
