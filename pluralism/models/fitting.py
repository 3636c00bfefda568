"""The steps of fitting a linear-head model: terms, ridge, item variance, the fit itself, what it says of itself."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from pluralism.data.folds import FoldBy, default_blocks, folds
from pluralism.errors import ConvergenceWarning, DataWarning, UsageError
from pluralism.files import Checkpoint
from pluralism.models.base import Callback
from pluralism.models.diagnosis import diagnose
from pluralism.models.linear import LinearPreferenceModel
from pluralism.models.preparation import Prepared
from pluralism.models.selection import RidgeChoice, choose_ridge
from pluralism.models.settings import is_number, refuse
from pluralism.solvers import (
    MixtureFit,
    MixtureObjective,
    Terms,
    fit_hard_mixture,
    fit_item_bradley_terry,
    fit_mixture,
    item_variance_by_evidence,
    laplace_posterior,
)

__all__ = [
    "Memory",
    "Plan",
    "Uncertainty",
    "check_settings",
    "choose_terms",
    "feature_unit",
    "held_out_blocks",
    "learn",
    "run_fit",
    "uncertainty",
]

SECONDS_BETWEEN_STATES = 5.0
EFFECTS_WORTH_HAVING = 5.0
N_FOLDS = 5
ITEM_ONLY_PRECISION = 1.0
UNIT_SAMPLE = 2048
NO_VARIANCE = 500.0


class Memory:
    """Finished pieces of a fit by name, on disk if there is a checkpoint directory; tells the callback of progress.

    Every piece is deterministic given its name, the data and the settings, so a fit that is killed and called again
    gives bit for bit the result of an uninterrupted one.
    """

    def __init__(
        self, directory: str | Path | None, settings: str, prepared: Prepared, callback: Callback | None
    ) -> None:
        self.checkpoint, self.identity, self.callback = None, settings, callback
        if directory is not None:
            self.checkpoint = Checkpoint(directory)
            self.identity = f"{settings}/{prepared.digest()}"

    def piece(self, name: str, make: Callable[[], dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """The piece called `name`: from the checkpoint if it is there, else made and kept."""
        self.tell(name, 0, float("nan"))
        if self.checkpoint is None:
            return make()
        key = f"{self.identity}/{name}"
        found = self.checkpoint.get(key)
        if found is not None:
            return found[0]
        arrays = make()
        self.checkpoint.put(key, arrays, {})
        return arrays

    def state(self, name: str) -> dict[str, np.ndarray] | None:
        """The optimiser's last kept state of a fit that was cut short."""
        found = None if self.checkpoint is None else self.checkpoint.get(f"{self.identity}/{name}/state")
        return None if found is None else found[0]

    def watcher(self, name: str) -> Callable[[int, float, Callable[[], dict[str, np.ndarray]]], None]:
        """A function for the optimiser to call after each iteration: keeps its state now and then."""
        last = time.monotonic()

        def watch(iteration: int, value: float, snapshot: Callable[[], dict[str, np.ndarray]]) -> None:
            nonlocal last
            self.tell(name, iteration, value)
            if self.checkpoint is not None and time.monotonic() - last >= SECONDS_BETWEEN_STATES:
                self.checkpoint.put(f"{self.identity}/{name}/state", snapshot(), {})
                last = time.monotonic()

        return watch

    def tell(self, name: str, iteration: int, value: float) -> None:
        """Report progress to the callback, if there is one."""
        if self.callback is not None:
            self.callback(name, iteration, value)


@dataclass(frozen=True)
class Plan:
    """Terms with all automatic settings decided, and how they were."""

    terms: Terms
    ridge_choice: RidgeChoice | None
    blocks: str | None


def choose_terms(
    model: LinearPreferenceModel,
    prepared: Prepared,
    terms: Terms,
    n_groups: int,
    memory: Memory,
    seed: int,
    *,
    pooled: Plan | None = None,
) -> Plan:
    """Decide the ridge (validation in blocks) and the item precision (evidence), where they are automatic.

    Each depends on the other: the ridge is chosen without item effects, their precision by the evidence at that
    ridge, and then both once more. With the `pooled` plan given, the search for the ridge starts from it and its item
    precision is kept, for the evidence is that of a pooled model.
    """
    unit = feature_unit(prepared)
    has_text = prepared.problem.features is not None
    masks, blocks = None, None
    if has_text and model.ridge == "auto":
        masks, blocks = held_out_blocks(prepared, model.blocks, seed)
        if masks is None:
            warnings.warn(
                f"Too few comparisons ({len(prepared.comparisons)}) to choose a ridge; it is set to the mean squared "
                "norm of the features. Pass ridge=... to set it yourself.",
                DataWarning,
                stacklevel=4,
            )
            terms = terms.but(ridge=unit)
    elif has_text:
        terms = terms.but(ridge=float(model.ridge))

    def search(at: Terms, start: float) -> RidgeChoice:
        return choose_ridge(
            prepared,
            n_groups,
            at,
            masks or [],
            rng=np.random.default_rng([seed, 1]),
            start=start / unit,
            memo=memory.piece,
            unit=unit,
        )

    if pooled is not None:
        terms = terms.but(item_precision=pooled.terms.item_precision)
        choice = None if masks is None else search(terms, pooled.terms.ridge)
        return Plan(terms if choice is None else terms.but(ridge=choice.ridge), choice, blocks)
    choice = None if masks is None else search(terms, 10.0 * unit)
    if choice is not None:
        terms = terms.but(ridge=choice.ridge)
    terms = terms.but(item_precision=_item_precision(model, prepared, terms, memory, seed))
    if choice is not None and terms.item_precision is not None:
        choice = search(terms, terms.ridge)
        if choice.ridge != terms.ridge:
            terms = terms.but(ridge=choice.ridge)
            terms = terms.but(item_precision=_item_precision(model, prepared, terms, memory, seed))
    return Plan(terms, choice, blocks)


def _item_precision(
    model: LinearPreferenceModel, prepared: Prepared, terms: Terms, memory: Memory, seed: int
) -> float | None:
    setting = model.item_effects
    has_text = prepared.problem.features is not None
    if not has_text:
        if model.ridge != "auto":
            return float(model.ridge)
        if setting in ("auto", True, False):
            setting = True
    if setting == "auto":
        played = np.unique(np.concatenate([prepared.problem.left, prepared.problem.right]))
        setting = 2 * len(prepared.problem.left) >= EFFECTS_WORTH_HAVING * len(played)
    if setting is False or setting is None:
        return None
    if setting is not True:
        return float(setting)
    if np.all(prepared.problem.outcome == 0.5):
        return ITEM_ONLY_PRECISION

    def evidence() -> dict[str, np.ndarray]:
        found = item_variance_by_evidence(prepared.problem, terms, rng=np.random.default_rng([seed, 2]))
        return {"precision": np.array([found.precision])}

    precision = float(memory.piece(f"evidence/{terms.ridge:.6g}", evidence)["precision"][0])
    # where the text says all there is to say, the effects would cost time and change nothing
    return None if model.item_effects == "auto" and has_text and precision >= NO_VARIANCE else precision


def run_fit(
    model: LinearPreferenceModel,
    prepared: Prepared,
    terms: Terms,
    n_groups: int,
    memory: Memory,
    seed: int,
    *,
    hard: bool = False,
    modulo: bool = False,
    n_init: int = 4,
) -> MixtureFit:
    """The fit on all rows, resumable."""
    rng = np.random.default_rng([seed, 3, n_groups])
    if n_groups == 1 and terms.item_precision is not None and _items_alone(prepared, terms):
        return _fit_items_alone(model, prepared, terms, terms.item_precision)
    if hard and n_groups > 1:
        return fit_hard_mixture(prepared.problem, n_groups, terms, rng=rng, n_init=n_init, modulo=modulo, tol=model.tol)
    name = f"fit/{n_groups}"
    return fit_mixture(
        prepared.problem,
        n_groups,
        terms,
        rng=rng,
        n_init=n_init,
        tol=model.tol,
        max_iter=model.max_iter,
        state=memory.state(name),
        on_iteration=memory.watcher(name),
    )


def _items_alone(prepared: Prepared, terms: Terms) -> bool:
    """Whether the model is nothing but one strength an item, for which there is a faster solver."""
    problem = prepared.problem
    plain = not (terms.ties or terms.temperature or terms.lapse)
    return plain and problem.features is None and problem.design.shape[1] == 0


def _fit_items_alone(model: LinearPreferenceModel, prepared: Prepared, terms: Terms, precision: float) -> MixtureFit:
    p = prepared.problem
    found = fit_item_bradley_terry(
        p.left,
        p.right,
        p.outcome,
        p.weight,
        p.n_items,
        precision=precision,
        tol=model.tol,
        max_iter=model.max_iter,
    )
    objective = MixtureObjective(p, 1, terms)
    result = objective.sweep(found.strength)
    return MixtureFit(
        parameters=objective.unpack(found.strength),
        vector=found.strength,
        responsibility=result.responsibility,
        log_likelihood=float(result.log_likelihood.sum()),
        objective=found.objective,
        gradient_norm=found.gradient_norm,
        path=found.path,
        n_iter=found.n_iter,
        converged=found.converged,
        start_objectives=[],
    )


def learn(
    model: LinearPreferenceModel,
    prepared: Prepared,
    plan: Plan,
    fit: MixtureFit,
    *,
    found: Uncertainty | None = None,
) -> None:
    """Set the learned attributes of `model` from a fit, and warn of what a user should know.

    `found` is how sure the coefficients are; left out, by the curvature of the mixture of Bradley-Terry models.
    """
    problem, terms, p = prepared.problem, plan.terms, fit.parameters
    items = prepared.comparisons.items
    voters = problem.voters
    model.dim_ = None if problem.features is None else problem.features.dim
    model.feature_space_ = items.feature_space
    model.coef_ = None if problem.features is None else np.ascontiguousarray(p.heads.T)
    model.item_effects_, model.item_ids_ = None, None
    if p.item_effects is not None:
        played = np.flatnonzero(problem.played > 0)
        model.item_ids_ = items.ids.take(pa.array(played))
        model.item_effects_ = np.ascontiguousarray(p.item_effects[played].T)
    model.covariate_names_ = list(prepared.covariate_names)
    model.covariate_scale_ = prepared.design_scale
    model.covariate_effects_ = p.covariate_effects.T / prepared.design_scale
    model.group_weights_ = np.exp(p.log_weights)
    model.effective_n_ = voters @ fit.responsibility
    model.users_ = prepared.users
    model.posterior_ = fit.responsibility
    model.n_answers_ = prepared.n
    model.tie_ = float(p.tie)
    model.ridge_ = float(terms.ridge) if problem.features is not None else terms.item_precision
    model.item_precision_ = terms.item_precision
    model.ridge_path_ = None if plan.ridge_choice is None else [list(row) for row in plan.ridge_choice.tried]
    model.blocks_ = plan.blocks
    model.n_comparisons_ = len(prepared.comparisons)
    model.log_likelihood_ = fit.log_likelihood
    model.objective_ = fit.objective
    model.objective_path_ = np.array(fit.path)
    model.gradient_norm_ = fit.gradient_norm
    model.n_iter_ = fit.n_iter
    model.selection_ = None
    starts = np.array(fit.start_objectives)
    close = starts <= starts.min() + 1e-4 * max(problem.total_weight, 1.0) if len(starts) else np.ones(1, dtype=bool)
    model.restart_agreement_ = float(np.mean(close))
    if found is None:
        found = uncertainty(prepared, terms, fit) if model.uncertainty else Uncertainty()
    model.covariance_, model.bic_, model.icl_ = found.covariance, found.bic, found.icl
    model.n_components_, model.separable_ = diagnose(prepared, terms, fit)
    model.converged_ = bool(fit.converged)
    if not fit.converged:
        warnings.warn(
            f"The fit stopped after {fit.n_iter} iterations before it converged (gradient norm "
            f"{fit.gradient_norm:.3g}); the last state is kept. Raise max_iter.",
            ConvergenceWarning,
            stacklevel=3,
        )


@dataclass(frozen=True)
class Uncertainty:
    """Covariances of the coefficients that are kept, and the criteria that need the effective number of them."""

    covariance: Float[np.ndarray, "groups coefficients coefficients"] | None = None
    bic: float | None = None
    icl: float | None = None


def uncertainty(prepared: Prepared, terms: Terms, fit: MixtureFit) -> Uncertainty:
    """Laplace's approximation at a fit; empty where there are too many coefficients for exact covariances.

    BIC is -2 log L + [sum_k tr(H_lik H^-1) + K - 1] log(users with answers); ICL adds twice the entropy of the
    memberships.
    """
    problem = prepared.problem
    n_groups = len(fit.parameters.log_weights)
    objective = MixtureObjective(problem, n_groups, terms)
    scores = objective.scores(fit.parameters)
    posterior = laplace_posterior(problem, fit.parameters, fit.responsibility, scores, terms, fit.manner)
    if posterior is None:
        return Uncertainty()
    row_precision = objective.precision[:, -1] / objective.column_ratio[-1]
    free = sum(len(row_precision) - float(row_precision @ np.diag(c)) for c in posterior.covariance)
    users = max(float(problem.voters.sum()), 2.0)
    # the shares of lapses sum to 1, so they count for one less
    free += objective.n_hyper - int(terms.lapse)
    bic = -2.0 * fit.log_likelihood + (free + n_groups - 1) * float(np.log(users))
    r = fit.responsibility
    entropy = -float(problem.voters @ np.where(r > 0, r * np.log(np.maximum(r, 1e-300)), 0.0).sum(axis=1))
    kept = np.arange(objective.n_rows)
    if objective.n_effects:
        item = kept - objective.dim
        of_items = (item >= 0) & (item < objective.n_effects)
        kept = kept[~of_items | np.isin(item, np.flatnonzero(problem.played > 0))]
    covariance = np.ascontiguousarray(posterior.covariance[:, kept[:, None], kept[None, :]])
    return Uncertainty(covariance, bic, bic + 2.0 * entropy)


def held_out_blocks(
    prepared: Prepared, blocks: FoldBy | Literal["auto"], seed: int
) -> tuple[list[tuple[np.ndarray, np.ndarray]] | None, str | None]:
    """Folds in problem order by the wanted blocks; by rows where there are too few blocks; None for tiny data."""
    wanted = default_blocks(prepared.comparisons, N_FOLDS) if blocks == "auto" else blocks
    tries: list[FoldBy] = [wanted, "row"] if blocks == "auto" else [wanted]
    for by in tries:
        try:
            made = folds(prepared.comparisons, N_FOLDS, by=by, rng=seed)
        except UsageError:
            if blocks != "auto":
                raise
            continue
        return [(train[prepared.order], held[prepared.order]) for train, held in made], by
    return None, None


def feature_unit(prepared: Prepared) -> float:
    """The mean squared norm of the features (of a sample of them): what a ridge is measured in; 1 without features."""
    features = prepared.problem.features
    if features is None:
        return 1.0
    rows = np.linspace(0, features.n_items - 1, min(features.n_items, UNIT_SAMPLE)).astype(np.int64)
    sample: Float[np.ndarray, "rows dim"] = features.rows(rows).astype(np.float64)
    unit = float(np.mean(np.sum(sample**2, axis=1)))
    return unit if unit > 0 else 1.0


def check_settings(model: Any) -> None:
    """Refuse settings that cannot work, by name."""
    if model.ridge != "auto" and not (is_number(model.ridge) and model.ridge >= 0):
        refuse(model, "ridge", '"auto" or a number of at least 0')
    if model.item_effects not in ("auto", True, False) and not (
        is_number(model.item_effects) and model.item_effects > 0
    ):
        refuse(model, "item_effects", '"auto", True, False or a positive precision')
    if isinstance(model.covariates, str) or not all(isinstance(name, str) for name in model.covariates):
        refuse(model, "covariates", 'a sequence of names, such as ("length",)')
    if model.ties not in ("half", "davidson"):
        refuse(model, "ties", '"half" or "davidson"')
    if not (is_number(model.tol) and model.tol > 0):
        refuse(model, "tol", "a positive number")
    if not (is_number(model.max_iter) and model.max_iter >= 1):
        refuse(model, "max_iter", "an integer of at least 1")
