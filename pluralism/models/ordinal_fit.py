"""The steps of fitting an ordinal Bradley-Terry model: prior mean, ridge, fit, temperature, uncertainty."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from scipy.linalg import LinAlgError, inv
from scipy.special import expit

from pluralism.calibration import fit_temperature
from pluralism.errors import DataError, DataWarning
from pluralism.models.fitting import Memory, Plan, Uncertainty, feature_unit, held_out_blocks, learn
from pluralism.models.preparation import Prepared
from pluralism.models.selection import DECADES, SELECTION_TOL, RidgeChoice
from pluralism.solvers import Minimum, MixtureFit, Terms
from pluralism.solvers.laplace import MAX_COEFFICIENTS, penalised_hessian
from pluralism.solvers.objective import Parameters, pair_gram
from pluralism.solvers.ordinal import OrdinalObjective, OrdinalRows, fit_ordinal

if TYPE_CHECKING:
    from pluralism.models.ordinal import OrdinalBradleyTerry

__all__ = ["OrdinalSettings", "learn_ordinal"]

Masks = list[tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class OrdinalSettings:
    """What the fit needs beside the plan."""

    rows: OrdinalRows
    middle: bool
    direction: Float[np.ndarray, " dim"] | None
    recalibrate: bool
    uncertainty: bool


def learn_ordinal(
    model: OrdinalBradleyTerry, prepared: Prepared, plan: Plan, settings: OrdinalSettings, memory: Memory, seed: int
) -> None:
    """Fit and set the learned attributes of `model`."""
    problem = prepared.problem
    prior, offset = _prior(prepared, settings.direction)
    unit = feature_unit(prepared)
    masks: Masks = []
    wanted = problem.features is not None and model.ridge == "auto"
    if wanted or settings.recalibrate:
        masks = held_out_blocks(prepared, model.blocks, seed)[0] or []
    if wanted and masks and not _is_plain(settings, plan.terms):
        choice = _choose_ridge(prepared, plan.terms, settings, offset, masks, memory, seed, unit)
        plan = Plan(plan.terms.but(ridge=choice.ridge), choice, plan.blocks)
    objective = OrdinalObjective(problem, settings.rows, plan.terms, middle=settings.middle, offset=offset)
    found = fit_ordinal(
        objective,
        rng=np.random.default_rng([seed, 3]),
        tol=model.tol,
        max_iter=model.max_iter,
        state=memory.state("fit"),
        on_iteration=memory.watcher("fit"),
    )
    temperature = 1.0
    if settings.recalibrate:
        temperature = _temperature(prepared, plan.terms, settings, offset, masks, seed)
    p = objective.unpack(found.x)
    head = p.head if prior is None else p.head + prior
    parameters = Parameters(
        heads=head[:, None] / temperature,
        item_effects=None if p.item_effects is None else p.item_effects[:, None] / temperature,
        covariate_effects=p.covariate_effects[:, None] / temperature,
        log_weights=np.zeros(1),
        tie=p.davidson,
    )
    fit = MixtureFit(
        parameters=parameters,
        vector=found.x,
        responsibility=np.ones((problem.n_users, 1)),
        log_likelihood=objective.log_likelihood(found.x),
        objective=found.value,
        gradient_norm=float(np.linalg.norm(found.gradient)),
        path=found.path,
        n_iter=found.n_iter,
        converged=found.converged,
        start_objectives=[],
    )
    known = Uncertainty() if not settings.uncertainty else _uncertainty(prepared, objective, found, fit, temperature)
    learn(model, prepared, plan, fit, found=known)
    model.cuts_ = p.cuts / temperature
    model.temperature_ = temperature
    model.prior_coef_ = None if prior is None else prior[None] / temperature


def _is_plain(settings: OrdinalSettings, terms: Terms) -> bool:
    """Whether the likelihood is Bradley-Terry's own, for which the ridge has been chosen already."""
    rows = settings.rows
    same = rows.n_cuts == 1 and not settings.middle and not terms.ties and not np.any(rows.margin)
    return same and settings.direction is None and bool(np.all(rows.high == 1))


def _prior(
    prepared: Prepared, direction: Float[np.ndarray, " dim"] | None
) -> tuple[Float[np.ndarray, " dim"] | None, Float[np.ndarray, " pairs"] | None]:
    """Prior mean of the head, in logits, and what it says of each pair."""
    p = prepared.problem
    if direction is None or p.features is None:
        return None, None
    scores = p.features.matmul(direction[:, None])[:, 0]
    z = scores[p.left] - scores[p.right]
    spread = float(np.sqrt(np.average(z**2, weights=p.weight)))
    if spread == 0:
        return np.zeros_like(direction), np.zeros_like(z)
    z = z / spread
    size = 0.0
    for _ in range(50):
        share = expit(size * z)
        slope = float(p.weight @ (z * (p.outcome - share))) - size
        step = slope / (float(p.weight @ (z * z * share * (1 - share))) + 1.0)
        # the curvature falls away from 0, so a long step is cut
        size += float(np.clip(step, -2.0, 2.0))
        if abs(step) < 1e-10:
            break
    return size / spread * direction, size * z


def _fold(
    prepared: Prepared,
    terms: Terms,
    settings: OrdinalSettings,
    offset: Float[np.ndarray, " pairs"] | None,
    mask: np.ndarray,
) -> OrdinalObjective:
    part = None if offset is None else offset[mask]
    # rows of a subset keep their order, since they are sorted by user already
    return OrdinalObjective(
        prepared.subset(mask), settings.rows.subset(mask), terms, middle=settings.middle, offset=part
    )


def _choose_ridge(
    prepared: Prepared,
    terms: Terms,
    settings: OrdinalSettings,
    offset: Float[np.ndarray, " pairs"] | None,
    masks: Masks,
    memory: Memory,
    seed: int,
    unit: float,
) -> RidgeChoice:
    """Hill-climb over half decades by the held-out loss of this likelihood."""
    tried: dict[float, float] = {}
    starts: dict[int, np.ndarray] = {}
    grams: dict[int, np.ndarray | None] = {}

    def loss(exponent: float) -> float:
        exponent = round(exponent * 2) / 2
        if exponent in tried:
            return tried[exponent]
        total = mass = 0.0
        at = terms.but(ridge=unit * 10.0**exponent)
        for f, (train, held) in enumerate(masks):

            def one(f: int = f, train: np.ndarray = train, held: np.ndarray = held) -> dict[str, np.ndarray]:
                rng = np.random.default_rng([seed, 4, f])
                objective = _fold(prepared, at, settings, offset, train)
                if f not in grams:
                    grams[f] = pair_gram(objective.problem, rng)
                found = fit_ordinal(objective, rng=rng, tol=SELECTION_TOL, start=starts.get(f), gram=grams[f])
                scored = _fold(prepared, at, settings, offset, held)
                return {
                    "vector": found.x,
                    "loss": np.array([-scored.log_likelihood(found.x), scored.rows.weight.sum()]),
                }

            result = memory.piece(f"ordinal ridge/{terms.item_precision}/{exponent}/{f}", one)
            starts[f] = result["vector"]
            total += float(result["loss"][0])
            mass += float(result["loss"][1])
        tried[exponent] = total / max(mass, 1e-12)
        return tried[exponent]

    best = float(np.clip(round(2 * np.log10(terms.ridge / unit)) / 2, DECADES[0], DECADES[-1]))
    for step in (1.0, 0.5):
        while True:
            options = [e for e in (best - step, best, best + step) if DECADES[0] <= e <= DECADES[-1]]
            better = min(options, key=loss)
            if better == best:
                break
            best = better
    return RidgeChoice(unit * 10.0**best, sorted((unit * 10.0**e, value) for e, value in tried.items()))


def _temperature(
    prepared: Prepared,
    terms: Terms,
    settings: OrdinalSettings,
    offset: Float[np.ndarray, " pairs"] | None,
    masks: Masks,
    seed: int,
) -> float:
    """The temperature of predictions of held-out blocks; 1, with a warning, where there are too few for one."""
    p = prepared.problem
    logit = np.full(len(p.left), np.nan)
    for f, (train, held) in enumerate(masks):
        objective = _fold(prepared, terms, settings, offset, train)
        found = fit_ordinal(objective, rng=np.random.default_rng([seed, 6, f]), tol=SELECTION_TOL)
        scored = _fold(prepared, terms, settings, offset, held)
        logit[held] = scored.logits(scored.unpack(found.x))
    rows = ~np.isnan(logit) & (p.weight > 0) & (p.outcome != 0.5)
    try:
        return fit_temperature(expit(logit[rows]), p.outcome[rows], weight=p.weight[rows]).temperature_
    except DataError as error:
        warnings.warn(
            f"The logits are not recalibrated: {error.what} Pass recalibrate=False to keep them knowingly.",
            DataWarning,
            stacklevel=4,
        )
        return 1.0


def _uncertainty(
    prepared: Prepared, objective: OrdinalObjective, found: Minimum, fit: MixtureFit, temperature: float
) -> Uncertainty:
    """Laplace's approximation with the thresholds held, and the criteria that follow."""
    problem, terms = prepared.problem, objective.terms
    if objective.n_rows > MAX_COEFFICIENTS:
        return Uncertainty()
    hessian = penalised_hessian(problem, objective.curvature(found.x), terms)
    try:
        covariance = inv(hessian)
    except LinAlgError:
        covariance = np.linalg.pinv(hessian, rcond=1e-10, hermitian=True)
    free = objective.n_rows - float(objective.precision[: objective.n_rows] @ np.diag(covariance)) + objective.n_steps
    bic = -2.0 * fit.log_likelihood + free * float(np.log(max(float(problem.voters.sum()), 2.0)))
    kept = np.arange(objective.n_rows)
    if objective.n_effects:
        item = kept - objective.dim
        of_items = (item >= 0) & (item < objective.n_effects)
        kept = kept[~of_items | np.isin(item, np.flatnonzero(problem.played > 0))]
    scaled = np.ascontiguousarray(covariance[np.ix_(kept, kept)])[None] / temperature**2
    return Uncertainty(scaled, bic, bic)
