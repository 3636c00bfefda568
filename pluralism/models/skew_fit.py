"""Fitting a skew-symmetric form beside a reward: its rank and ridge by held-out blocks, and the fit itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from scipy.linalg import LinAlgError, cho_factor, cho_solve

from pluralism.models.fitting import Memory, Uncertainty, feature_unit, held_out_blocks
from pluralism.models.preparation import Prepared
from pluralism.solvers import MixtureFit, PairProblem, Terms, fit_mixture, minimise
from pluralism.solvers.laplace import MAX_COEFFICIENTS, penalised_hessian
from pluralism.solvers.objective import Parameters, pair_gram
from pluralism.solvers.skew import SkewObjective, SkewPreconditioner, spectral_planes

if TYPE_CHECKING:
    from pluralism.models.general_preference import GeneralPreference

__all__ = ["RankChoice", "SkewFit", "choose_rank", "fit_skew", "linear_uncertainty"]

SELECTION_TOL = 1e-6
LOWEST, HIGHEST = -2.0, 4.0
FALLBACK_EXPONENT = 0.0
CLEAR = 2.0
WORTH = 0.003


@dataclass(frozen=True)
class RankChoice:
    """The chosen rank and ridge of the planes, and (rank, ridge, held-out NLL) of all that was tried."""

    rank: int
    skew_ridge: float
    tried: list[tuple[float, float, float]] | None = None


@dataclass(frozen=True)
class SkewFit:
    """A fitted reward with planes.

    Attributes
    ----------
    planes : array of shape (2, rows, rank)
    centre : array of shape (2, rank)
        What is taken off the items' places.
    z : array of shape (pairs,)
        Logits of the training rows.
    intransitivity : float
        Share of the variance of z that the form has.
    """

    parameters: Parameters
    vector: Float[np.ndarray, " parameters"]
    planes: Float[np.ndarray, "two plane_rows rank"]
    centre: Float[np.ndarray, "two rank"]
    z: Float[np.ndarray, " pairs"]
    intransitivity: float
    log_likelihood: float
    path: list[float]
    gradient_norm: float
    n_iter: int
    converged: bool

    def as_mixture_fit(self, linear: MixtureFit) -> MixtureFit:
        """In the form of the linear models' fits, with the reward as the only group."""
        return replace(
            linear,
            parameters=self.parameters,
            vector=self.vector,
            log_likelihood=self.log_likelihood,
            objective=self.path[-1],
            gradient_norm=self.gradient_norm,
            path=self.path,
            n_iter=self.n_iter,
            converged=self.converged,
        )


def fit_skew(
    problem: PairProblem,
    terms: Terms,
    choice: RankChoice,
    *,
    tol: float,
    max_iter: int,
    seed: int,
    gram: Float[np.ndarray, "dim dim"] | None = None,
) -> SkewFit:
    """Maximise the penalised likelihood from the fit without planes, and the planes its residuals turn in."""
    rng = np.random.default_rng([seed, 11])
    if gram is None:
        gram = pair_gram(problem, rng)
    linear = fit_mixture(problem, 1, terms, rng=rng, tol=tol, max_iter=max_iter, gram=gram)
    objective = SkewObjective(problem, terms, choice.rank, choice.skew_ridge)
    x = np.zeros(objective.size)
    x[: objective.n_linear] = linear.vector[: objective.n_linear]
    if choice.rank:
        x = spectral_planes(objective, x, gram)
    scale = max(problem.total_weight, 1.0)
    # the preconditioner is that of its start, so a second run from a first, coarse end is the quicker one
    coarse = minimise(
        objective, x, SkewPreconditioner(objective, gram, x), tol=max(tol, 1e-4) * scale, max_iter=max_iter
    )
    found = minimise(
        objective,
        coarse.x,
        SkewPreconditioner(objective, gram, coarse.x),
        tol=tol * scale,
        max_iter=max(max_iter - coarse.n_iter, 1),
    )
    sweep = objective.sweep(found.x)
    flat = found.x.copy()
    flat[objective.n_linear :] = 0.0
    turning = sweep.z - objective.sweep(flat).z
    variance = float(problem.weight @ sweep.z**2)
    centre = objective.places(found.x)[1] if choice.rank else np.zeros(0)
    return SkewFit(
        parameters=objective.linear.unpack(found.x[: objective.n_linear]),
        vector=found.x,
        planes=objective.planes(found.x).copy(),
        centre=centre.reshape(2, choice.rank),
        z=sweep.z,
        intransitivity=min(float(problem.weight @ turning**2) / variance, 1.0) if variance > 0 else 0.0,
        log_likelihood=sweep.log_likelihood,
        path=[*coarse.path, *found.path[1:]],
        gradient_norm=float(np.linalg.norm(found.gradient)),
        n_iter=coarse.n_iter + found.n_iter,
        converged=found.converged,
    )


def choose_rank(model: GeneralPreference, prepared: Prepared, terms: Terms, memory: Memory, seed: int) -> RankChoice:
    """Rank and ridge of the planes by the NLL of held-out blocks; the fewest planes that are not clearly behind.

    A rank is behind another if its NLL is higher by two standard errors, and by .003 nats a comparison.

    Without features an item that was never compared has no place in a plane, so single rows are held out there.
    """
    unit = feature_unit(prepared)
    fixed_ridge = None if model.skew_ridge == "auto" else float(model.skew_ridge)
    if model.rank == 0 or (model.rank != "auto" and fixed_ridge is not None):
        return RankChoice(int(model.rank), unit if fixed_ridge is None else fixed_ridge)
    wanted = "row" if prepared.problem.features is None and model.blocks == "auto" else model.blocks
    masks, _ = held_out_blocks(prepared, wanted, seed) if len(prepared.comparisons) >= 10 else (None, None)
    if masks is None:
        rank = 0 if model.rank == "auto" else int(model.rank)
        return RankChoice(rank, unit if fixed_ridge is None else fixed_ridge)
    losses: dict[tuple[int, float], Float[np.ndarray, " scored"]] = {}
    weight = np.concatenate([prepared.problem.weight[held] for _, held in masks])
    grams: dict[int, Float[np.ndarray, "dim dim"] | None] = {}

    def loss(rank: int, exponent: float) -> float:
        key = (rank, exponent if rank else 0.0)
        ridge = unit * 10.0**exponent if fixed_ridge is None else fixed_ridge
        if key not in losses:
            rows = []
            for f, (train, held) in enumerate(masks or []):

                def one(f: int = f, train: np.ndarray = train, held: np.ndarray = held) -> dict[str, np.ndarray]:
                    problem = prepared.subset(train)
                    if f not in grams:
                        grams[f] = pair_gram(problem, np.random.default_rng([seed, 12, f]))
                    choice = RankChoice(rank, ridge)
                    fit = fit_skew(problem, terms, choice, tol=SELECTION_TOL, max_iter=200, seed=seed, gram=grams[f])
                    return {"loss": _losses(prepared.subset(held), fit, terms, choice)}

                rows.append(memory.piece(f"rank/{rank}/{ridge:.6g}/{f}", one)["loss"])
            losses[key] = np.concatenate(rows)
        return float(weight @ losses[key]) / max(float(weight.sum()), 1e-300)

    size = prepared.problem.n_items - 1 if prepared.problem.features is None else prepared.problem.features.dim
    most = min(int(model.max_rank), max(size // 2, 1))
    ranks = [int(model.rank)] if model.rank != "auto" else [0, *_ranks(most)]
    best: dict[int, tuple[float, float]] = {}
    start = FALLBACK_EXPONENT
    for rank in ranks:
        exponent = start
        if rank and fixed_ridge is None:
            for step in (1.0, 0.5):
                while True:
                    options = [e for e in (exponent - step, exponent, exponent + step) if LOWEST <= e <= HIGHEST]
                    better = min(options, key=lambda e: loss(rank, e))
                    if better == exponent:
                        break
                    exponent = better
            start = exponent
        best[rank] = (loss(rank, exponent), exponent)
        worse = [k for k in best if best[k][0] <= best[rank][0]]
        if rank > 1 and len(worse) > 1:
            break
    leader = min(best, key=lambda k: best[k][0])

    def behind(rank: int) -> bool:
        """Whether a rank is clearly behind the leader, over the held-out rows."""
        mine, its = losses[(rank, best[rank][1] if rank else 0.0)], losses[(leader, best[leader][1] if leader else 0.0)]
        mass = max(float(weight.sum()), 1e-300)
        gain = float(weight @ (mine - its)) / mass
        error = float(np.sqrt(np.sum((weight * (mine - its - gain)) ** 2))) / mass
        return gain > max(CLEAR * error, WORTH)

    chosen = min(rank for rank in best if not behind(rank))
    ridge = unit * 10.0 ** best[chosen][1] if fixed_ridge is None else fixed_ridge
    tried = [(float(rank), unit * 10.0**e if fixed_ridge is None else fixed_ridge, loss(rank, e)) for rank, e in losses]
    return RankChoice(chosen, ridge, sorted(tried))


def linear_uncertainty(prepared: Prepared, terms: Terms, fit: SkewFit) -> Uncertainty:
    """Laplace's approximation for the coefficients of the reward, the planes held as they are."""
    problem = prepared.problem
    dim = 0 if problem.features is None else problem.features.dim
    n_effects = 0 if terms.item_precision is None else problem.n_items
    if dim + n_effects + problem.design.shape[1] > MAX_COEFFICIENTS:
        return Uncertainty()
    half = 0.5 * np.tanh(0.5 * fit.z)
    hessian = penalised_hessian(problem, problem.weight * (0.25 - half**2), terms)
    try:
        covariance = cho_solve(cho_factor(hessian), np.eye(len(hessian)))
    except LinAlgError:
        # without a prior the level of the rewards is free: the pseudo-inverse fixes their mean
        covariance = np.linalg.pinv(hessian, rcond=1e-10, hermitian=True)
    rows = np.arange(len(hessian))
    of_items = (rows >= dim) & (rows < dim + n_effects)
    kept = rows[~of_items | np.isin(rows - dim, np.flatnonzero(problem.played > 0))]
    return Uncertainty(np.ascontiguousarray(covariance[None, kept[:, None], kept]))


def _ranks(most: int) -> list[int]:
    """1, 2, 4, ... up to `most`."""
    return sorted({min(2**k, most) for k in range(int(np.ceil(np.log2(most))) + 1)})


def _losses(problem: PairProblem, fit: SkewFit, terms: Terms, choice: RankChoice) -> Float[np.ndarray, " pairs"]:
    """NLL of each row of a problem under a fit to other rows of the same items, with the centre of that fit."""
    objective = SkewObjective(problem, terms, choice.rank, choice.skew_ridge)
    flat = fit.vector.copy()
    flat[objective.n_linear :] = 0.0
    z = objective.sweep(flat).z
    if choice.rank:
        places, centre = objective.places(fit.vector)
        places = places + centre - fit.centre.ravel()
        p, q = places[:, : choice.rank], places[:, choice.rank :]
        a, b = problem.left, problem.right
        z = z + np.sum(p[a] * q[b] - q[a] * p[b], axis=1)
    return np.logaddexp(0.5 * z, -0.5 * z) - (problem.outcome - 0.5) * z
