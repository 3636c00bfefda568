"""Mixtures of linear Bradley-Terry heads over users: soft (marginal likelihood) and hard (MaxMin-RLHF, Algorithm 2)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from pluralism.solvers.annotators import AnnotatorPass, Manner
from pluralism.solvers.initialise import assignments, vector_from_assignment, worst_explained
from pluralism.solvers.lbfgs import Minimum, minimise
from pluralism.solvers.objective import BlockPreconditioner, MixtureObjective, Parameters, Terms, pair_gram
from pluralism.solvers.pairs import PairProblem

__all__ = ["MixtureFit", "fit_hard_mixture", "fit_mixture"]

PILOT_ITERATIONS = 4
MAX_REPAIRS = 2
Progress = Callable[[int, float, Callable[[], dict[str, np.ndarray]]], None]


@dataclass(frozen=True)
class MixtureFit:
    """A fitted mixture, groups in order of falling weight; `manner` is how each person answers, if people differ."""

    parameters: Parameters
    vector: Float[np.ndarray, " parameters"]
    responsibility: Float[np.ndarray, "users groups"]
    log_likelihood: float
    objective: float
    gradient_norm: float
    path: list[float]
    n_iter: int
    converged: bool
    start_objectives: list[float]
    n_repairs: int = 0
    manner: Manner | None = None


def fit_mixture(
    problem: PairProblem,
    n_groups: int,
    terms: Terms,
    *,
    rng: np.random.Generator,
    n_init: int = 4,
    n_candidates: int | None = None,
    tol: float = 1e-9,
    max_iter: int = 500,
    start: Float[np.ndarray, " parameters"] | None = None,
    gram: Float[np.ndarray, "dim dim"] | None = None,
    state: dict[str, np.ndarray] | None = None,
    on_iteration: Progress | None = None,
) -> MixtureFit:
    """Maximise the penalised marginal likelihood of a mixture over users.

    Candidate starts (spectral and random) get a few iterations each, as if people all answered alike; the best `n_init`
    run on to convergence and the best of those wins. A group that dies is started again from the users explained worst,
    and kept if that is better.

    Parameters
    ----------
    n_candidates : int, optional
        Starts that get the few iterations; 2 n_init - 1 if not given, so that one start is the spectral one alone.
    tol : float
        Convergence tolerance in nats an observation.
    start : array, optional
        Start from this vector alone (a warm start).
    state : dict, optional
        Resume the final polish from this optimiser state; the starts are then not run again.
    """
    objective = MixtureObjective(problem, n_groups, terms)
    if gram is None:
        gram = pair_gram(problem, rng)
    precondition = BlockPreconditioner(objective, gram)
    alike, precondition_alike = objective, precondition
    if objective.n_hyper:
        alike = MixtureObjective(problem, n_groups, terms.plain)
        precondition_alike = BlockPreconditioner(alike, gram)
    scale = max(problem.total_weight, 1.0)

    def run(x: Float[np.ndarray, " parameters"], tolerance: float, limit: int) -> Minimum:
        return minimise(objective, x, precondition, tol=tolerance * scale, max_iter=limit)

    def pilot(x: Float[np.ndarray, " alike"]) -> Minimum:
        return minimise(alike, x, precondition_alike, tol=tol * scale, max_iter=PILOT_ITERATIONS)

    def whole(x: Float[np.ndarray, " alike"]) -> Float[np.ndarray, " parameters"]:
        """The vector with the population of annotators that a fit starts from."""
        return np.concatenate([x, objective.start()[objective.size - objective.n_hyper :]])

    n_repairs = 0
    if state is not None:
        best = state["x"]
        starts = [float(v) for v in state["starts"]]
    elif start is not None or n_groups == 1:
        best = objective.start() if start is None else start
        starts = []
    else:
        labellings = assignments(problem, n_groups, terms, gram, rng, n_candidates or 2 * n_init - 1)
        candidates = [vector_from_assignment(alike, precondition_alike, labels) for labels in labellings]
        best, starts = whole(candidates[0]), []
        if len(candidates) > 1:
            # starts race: a few iterations each, the better ones to three digits, and only the winner is polished
            runners = sorted((pilot(x) for x in candidates), key=lambda m: m.value)[:n_init]
            best = whole(runners[0].x)
            if n_init > 1:
                runners = sorted((run(whole(m.x), max(tol, 1e-6), max_iter) for m in runners), key=lambda m: m.value)
                best = runners[0].x
            starts = [m.value for m in runners]
        while n_repairs < MAX_REPAIRS:
            repaired = _repair(objective, precondition, best)
            if repaired is None:
                break
            attempt = run(repaired, max(tol, 1e-6), max_iter)
            if attempt.value >= objective(best)[0] - 1e-6 * scale:
                break
            best, n_repairs = attempt.x, n_repairs + 1

    def report(iteration: int, value: float, snapshot: Callable[[], dict[str, np.ndarray]]) -> None:
        if on_iteration is not None:
            on_iteration(iteration, value, lambda: {**snapshot(), "starts": np.array(starts)})

    final = minimise(
        objective, best, precondition, tol=tol * scale, max_iter=max_iter, state=state, on_iteration=report
    )
    fit = _collect(objective, final, starts)
    return replace(_sorted(objective, fit), n_repairs=n_repairs)


def fit_hard_mixture(
    problem: PairProblem,
    n_groups: int,
    terms: Terms,
    *,
    rng: np.random.Generator,
    n_init: int = 4,
    n_candidates: int = 8,
    tol: float = 1e-9,
    max_iter: int = 50,
    modulo: bool = False,
    gram: Float[np.ndarray, "dim dim"] | None = None,
) -> MixtureFit:
    """Hard EM over users (MaxMin-RLHF, Algorithm 2): assign each user to its best head, refit the heads, repeat.

    There are no group weights in the likelihood; they are reported as the shares of users. `modulo=True` starts from
    user number modulo groups, as the published code does.
    """
    if gram is None:
        gram = pair_gram(problem, rng)
    scale = max(problem.total_weight, 1.0)
    hard = terms.plain
    if modulo:
        labellings = [np.arange(problem.n_users) % n_groups]
    else:
        labellings = assignments(problem, n_groups, hard, gram, rng, n_candidates)[: max(n_init, 1)]
    fits = []
    for start_labels in labellings:
        labels, x, path, converged = start_labels, None, [], False
        for _ in range(max_iter):
            responsibility = np.eye(n_groups)[labels]
            objective = MixtureObjective(problem, n_groups, hard, responsibility=responsibility)
            precondition = BlockPreconditioner(objective, gram)
            if x is None:
                x = vector_from_assignment(objective, precondition, labels)
            minimum = minimise(objective, x, precondition, tol=tol * scale)
            x = minimum.x
            path.append(minimum.value)
            new_labels = _hard_labels(objective, x)
            if np.array_equal(new_labels, labels):
                converged = True
                break
            labels = new_labels
        fit = _collect(objective, minimum, [])
        shares = problem.voters @ responsibility + terms.concentration - 1.0
        parameters = replace(fit.parameters, log_weights=np.log(np.maximum(shares, 1e-300) / shares.sum()))
        fits.append(replace(fit, parameters=parameters, path=path, n_iter=len(path), converged=converged))
    fits.sort(key=lambda f: f.objective)
    best = replace(fits[0], start_objectives=[f.objective for f in fits])
    return _sorted(MixtureObjective(problem, n_groups, hard, responsibility=best.responsibility), best)


def _hard_labels(objective: MixtureObjective, x: Float[np.ndarray, " parameters"]) -> np.ndarray:
    soft = MixtureObjective(objective.problem, objective.n_groups, objective.terms)
    padded = np.zeros(soft.size)
    padded[: soft.block_size] = x[: soft.block_size]
    if objective.terms.ties:
        padded[soft.block_size + soft.n_logits] = x[objective.block_size]
    return np.argmax(soft.sweep(padded).responsibility, axis=1)


def _repair(
    objective: MixtureObjective, precondition: BlockPreconditioner, x: Float[np.ndarray, " parameters"]
) -> Float[np.ndarray, " parameters"] | None:
    """Restart the smallest group from the users explained worst, if it holds less than one user's worth of weight."""
    result = objective.sweep(x)
    counts = objective.problem.voters @ result.responsibility
    dead = int(np.argmin(counts))
    if counts[dead] >= 1.0 or objective.problem.voters.sum() <= objective.n_groups:
        return None
    labels = np.argmax(result.responsibility, axis=1)
    labels[worst_explained(objective.problem, result.log_likelihood, 1.0 / (2 * objective.n_groups))] = dead
    return vector_from_assignment(objective, precondition, labels)


def _collect(objective: MixtureObjective, minimum: Minimum, starts: list[float]) -> MixtureFit:
    result = objective.sweep(minimum.x)
    return MixtureFit(
        parameters=objective.unpack(minimum.x),
        vector=minimum.x,
        responsibility=result.responsibility,
        log_likelihood=float(result.log_likelihood.sum()),
        objective=minimum.value,
        gradient_norm=float(np.linalg.norm(minimum.gradient)),
        path=minimum.path,
        n_iter=minimum.n_iter,
        converged=minimum.converged,
        start_objectives=starts,
        manner=result.manner if isinstance(result, AnnotatorPass) else None,
    )


def _sorted(objective: MixtureObjective, fit: MixtureFit) -> MixtureFit:
    """Groups by falling weight; equal weights by their first head coefficient, so that order never depends on luck."""
    p = fit.parameters
    first = p.heads[0] if len(p.heads) else (p.item_effects[0] if p.item_effects is not None else p.log_weights)
    order = np.lexsort((-first, -np.round(p.log_weights, 9)))
    offset = objective.n_columns - objective.n_groups
    columns = np.concatenate([np.arange(offset), offset + order])
    x = fit.vector.copy()
    objective.block(x)[:] = objective.block(fit.vector)[:, columns]
    if objective.n_logits:
        logits = slice(objective.block_size, objective.block_size + objective.n_logits)
        x[logits] = fit.vector[logits][order]
    parameters = replace(
        p,
        heads=p.heads[:, order],
        item_effects=None if p.item_effects is None else p.item_effects[:, order],
        covariate_effects=p.covariate_effects[:, order],
        log_weights=p.log_weights[order],
    )
    return replace(fit, parameters=parameters, vector=x, responsibility=fit.responsibility[:, order])
