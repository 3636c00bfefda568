"""The steps of fitting several sources: what they count for, how far they drift, the fit, what it says of itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Int
from scipy.linalg import LinAlgError, inv

from pluralism.models.fitting import Memory, Plan, Uncertainty, feature_unit, held_out_blocks, learn
from pluralism.models.preparation import Prepared
from pluralism.models.selection import SELECTION_TOL
from pluralism.solvers import MixtureFit, PairProblem, Terms
from pluralism.solvers.laplace import MAX_COEFFICIENTS, curvature, penalised_hessian
from pluralism.solvers.multi_source import SourceFit, SourceObjective, descend_together, fit_sources
from pluralism.solvers.objective import Parameters
from pluralism.solvers.published_more import train_as_published

if TYPE_CHECKING:
    from pluralism.models.multi_source import MultiSource

__all__ = ["learn_sources", "source_factors"]

DRIFTS = (None, 100.0, 30.0, 10.0, 3.0, 1.0, 0.3)
ADAM_RATE = 0.03


def source_factors(problem: PairProblem, weights: str) -> Float[np.ndarray, " sources"]:
    """What each source's rows are multiplied by: 1, or such that all sources weigh the same, the total kept."""
    rows = np.bincount(problem.user, problem.weight, problem.n_users)
    if weights in ("size", "group_dro"):
        return np.ones(problem.n_users)
    there = rows > 0
    return np.where(there, rows.sum() / (np.maximum(rows, 1e-300) * there.sum()), 0.0)


def learn_sources(
    model: MultiSource, prepared: Prepared, plan: Plan, memory: Memory, seed: int
) -> Int[np.ndarray, " sources"]:
    """Fit and set the learned attributes of `model` but those of people; returns the sources in the order of groups.

    `prepared` has sources in the place of users.
    """
    problem = prepared.problem
    drift, path = _choose_drift(model, prepared, plan.terms, memory, seed)
    terms = plan.terms.but(shared=drift)
    found = _fit(model, prepared, terms, seed, memory)
    k = problem.n_users
    objective = SourceObjective(problem, terms, np.ones(k))
    block = objective.objective.block(found.minimum.x)
    shared = block[:, 0]
    columns = block @ objective.objective.mixing if drift is not None else np.repeat(block, k, axis=1)
    rows = objective.rows
    order = np.argsort(-rows, kind="stable")
    columns = columns[:, order]
    dim, n_effects = objective.objective.dim, objective.objective.n_effects
    heads, effects, covariates = np.split(columns, [dim, dim + n_effects])
    share = rows[order] / rows.sum()
    with np.errstate(divide="ignore"):
        log_weights = np.log(share)
    parameters = Parameters(heads, effects if n_effects else None, covariates, log_weights, 0.0, None)
    fit = MixtureFit(
        parameters=parameters,
        vector=found.minimum.x,
        responsibility=np.eye(k)[:, order],
        log_likelihood=-float(rows @ objective.losses(found.minimum.x)),
        objective=found.minimum.value,
        gradient_norm=float(np.linalg.norm(found.minimum.gradient)),
        path=found.minimum.path,
        n_iter=found.minimum.n_iter,
        converged=found.minimum.converged,
        start_objectives=[],
    )
    known = Uncertainty()
    if model.uncertainty and not model.published:
        known = _uncertainty(problem, parameters, terms, found, order)
    learn(model, prepared, plan, fit, found=known)
    model.source_weights_ = found.weights[order]
    model.effective_n_ = rows[order]
    model.shared_coef_ = None if not dim else np.ascontiguousarray(shared[None, :dim])
    played = np.flatnonzero(problem.played > 0)
    model.shared_item_effects_ = None if not n_effects else shared[None, dim : dim + n_effects][:, played]
    model.shared_covariate_effects_ = shared[None, dim + n_effects :] / prepared.design_scale
    model.drift_, model.drift_path_ = drift, path
    return order


def _fit(
    model: MultiSource,
    prepared: Prepared,
    terms: Terms,
    seed: int,
    memory: Memory | None = None,
    *,
    problem: PairProblem | None = None,
    tol: float | None = None,
    start: np.ndarray | None = None,
) -> SourceFit:
    problem = prepared.problem if problem is None else problem
    rng = np.random.default_rng([seed, 8])
    tol = model.tol if tol is None else tol
    if model.published and problem.features is not None:
        unit = np.sqrt(feature_unit(prepared))
        return train_as_published(
            problem, problem.features, terms, n_steps=model.n_steps, batch=model.batch, rate=ADAM_RATE / unit, rng=rng
        )
    if model.weights.startswith("min_norm"):
        normalised = model.weights == "min_norm_normalised"
        return descend_together(problem, terms, normalised=normalised, rng=rng, tol=tol, max_iter=model.max_iter)
    sharpness = float(model.sharpness) if model.weights == "group_dro" else None
    objective = SourceObjective(problem, terms, source_factors(problem, model.weights), sharpness=sharpness)
    return fit_sources(
        objective,
        rng=rng,
        tol=tol,
        max_iter=model.max_iter,
        start=start,
        state=None if memory is None else memory.state("sources"),
        on_iteration=None if memory is None else memory.watcher("sources"),
    )


def _choose_drift(
    model: MultiSource, prepared: Prepared, terms: Terms, memory: Memory, seed: int
) -> tuple[float | None, list[list[float | None]] | None]:
    """The precision of the drifts over that of the shared head, by held-out NLL averaged over sources."""
    if model.drift != "auto":
        return (None if model.drift is None else float(model.drift)), None
    if prepared.problem.n_users == 1 or model.weights.startswith("min_norm"):
        return None, None
    masks = held_out_blocks(prepared, model.blocks, seed)[0]
    if masks is None:
        return None, None
    tried: list[list[float | None]] = []
    values: list[float] = []
    for ratio in DRIFTS:
        at = terms.but(shared=ratio)
        loss = mass = np.zeros(prepared.problem.n_users)
        for f, (train, held) in enumerate(masks):

            def one(at: Terms = at, train: np.ndarray = train, held: np.ndarray = held) -> dict[str, np.ndarray]:
                found = _fit(model, prepared, at, seed, problem=prepared.subset(train), tol=SELECTION_TOL)
                scored = SourceObjective(prepared.subset(held), at, np.ones(prepared.problem.n_users))
                return {"loss": scored.losses(found.minimum.x) * scored.rows, "rows": scored.rows}

            result = memory.piece(f"drift/{ratio}/{terms.ridge:.6g}/{f}", one)
            loss, mass = loss + result["loss"], mass + result["rows"]
        values.append(float(np.mean(loss[mass > 0] / mass[mass > 0])))
        tried.append([ratio, values[-1]])
        if len(values) > 3 and min(values[-3:]) > values[-4]:
            break
    return DRIFTS[int(np.argmin(values))], tried


def _uncertainty(
    problem: PairProblem, parameters: Parameters, terms: Terms, found: SourceFit, order: np.ndarray
) -> Uncertainty:
    """Covariance of each source's whole head by Laplace's approximation, with rows counted once each."""
    k = problem.n_users
    heads = np.empty_like(parameters.heads)
    heads[:, order] = parameters.heads
    covariates = np.empty_like(parameters.covariate_effects)
    covariates[:, order] = parameters.covariate_effects
    scores = np.zeros((problem.n_items, k))
    if problem.features is not None:
        scores += problem.features.matmul(heads)
    if parameters.item_effects is not None:
        scores[:, order] += parameters.item_effects
    inner = Parameters(heads, None, covariates, np.zeros(k), 0.0, None)
    size = heads.shape[0] + (problem.n_items if terms.item_precision is not None else 0) + problem.design.shape[1]
    blocks = 1 if terms.shared is None else k + 1
    if blocks * size > MAX_COEFFICIENTS:
        return Uncertainty()
    nothing = penalised_hessian(problem, np.zeros(len(problem.left)), terms)
    prior = np.diag(nothing)
    likelihood = []
    for source in range(k):
        second = curvature(problem, inner, scores, source)[2] * (problem.user == source)
        likelihood.append(penalised_hessian(problem, second, terms) - np.diag(prior))
    total = np.sum(likelihood, axis=0)
    if terms.shared is None:
        covariance = _inverse(total + np.diag(prior))
        whole = np.repeat(covariance[None], k, axis=0)
    else:
        joint = np.zeros((blocks * size, blocks * size))
        joint[:size, :size] = total + np.diag(prior)
        for source, part in enumerate(likelihood):
            at = slice((source + 1) * size, (source + 2) * size)
            joint[:size, at] = joint[at, :size] = part
            joint[at, at] = part + terms.shared * np.diag(prior)
        inverse = _inverse(joint)
        whole = np.empty((k, size, size))
        for source in range(k):
            at = slice((source + 1) * size, (source + 2) * size)
            whole[source] = inverse[:size, :size] + inverse[at, at] + inverse[:size, at] + inverse[at, :size]
    kept = np.arange(size)
    if terms.item_precision is not None:
        item = kept - heads.shape[0]
        of_items = (item >= 0) & (item < problem.n_items)
        kept = kept[~of_items | np.isin(item, np.flatnonzero(problem.played > 0))]
    return Uncertainty(np.ascontiguousarray(whole[order][:, kept[:, None], kept[None, :]]))


def _inverse(matrix: Float[np.ndarray, "n n"]) -> Float[np.ndarray, "n n"]:
    try:
        return inv(matrix)
    except LinAlgError:
        return np.linalg.pinv(matrix, rcond=1e-10, hermitian=True)
