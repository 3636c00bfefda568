"""Bradley-Terry around which every person departs along a few learnt directions: slopes on features, ideal points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from pluralism.data.folds import FoldBy, folds
from pluralism.errors import UsageError
from pluralism.models.base import Callback
from pluralism.models.factor_places import PlacedByFactors, beside, fitted_proba, flat
from pluralism.models.factor_selection import base_of, choose_factors
from pluralism.models.fitting import (
    Memory,
    Plan,
    Uncertainty,
    choose_terms,
    learn,
)
from pluralism.models.opening import opened
from pluralism.models.pooled_control import PooledControl
from pluralism.models.preparation import Prepared
from pluralism.models.settings import is_number, is_whole, refuse
from pluralism.models.state import require_state
from pluralism.random import RNG
from pluralism.solvers import (
    FactorFit,
    FactorTerms,
    GaussianUsers,
    MixtureFit,
    Parameters,
    Terms,
    fit_gaussian_users,
    fit_tie_propensity,
    tie_offset,
)

if TYPE_CHECKING:
    from pluralism.data import Comparisons

__all__ = ["HierarchicalBradleyTerry"]

HELD_OUT = 5
MANY_ROWS = 20_000
UNIT_SAMPLE = 2048


class HierarchicalBradleyTerry(PooledControl, PlacedByFactors):
    """A reward for each person, around that of the population or of the person's group.

    P(left preferred) = sigmoid(r(left) - r(right) + covariates) with, for a person u of group k,
    r_u(item) = r_k(item) + l(item) . h_u, where h_u ~ N(0, I). The loadings l(item) are linear in the features, plus
    each item's own: in features alone, u's head is that of the group plus a slope whose covariance between people is
    learnt; in items alone, people and items have places in a space of a few dimensions, as in ideal-point models of
    votes. Votes are comparisons with a threshold (`Ratings.to_votes`), and `covariates=("threshold",)` makes how
    strict somebody is one of the person's own effects.

    Parameters
    ----------
    n_groups : int
        Groups with rewards of their own, around which people differ.
    rank : "auto" or int
        Directions in which people differ; "auto" chooses by held-out answers of known people, with the
        one-standard-error rule. 0 leaves the covariates alone to differ.
    max_rank : int
        The most that "auto" tries.
    item_loadings : "auto", bool
        Whether items have loadings of their own beside those their features give; "auto" has them where items have
        effects of their own. Without features always on.
    loading_precision : "auto" or float
        Prior precision of loadings (of those by features in units of their variance).
    user_covariates : "all" or sequence of str
        Covariates whose effect differs from person to person; "position" with `position_bias`.
    ties : {"half", "davidson"}
        A tie as half a win for each side, or as an answer of its own, which each person gives more or less readily:
        rewards are then learnt from decisions, and the propensities to tie after them.
    ridge, item_effects, covariates, position_bias, use_features, blocks, tol, max_iter, rng
        As in `BradleyTerry`, for the rewards of the groups.

    Notes
    -----
    Learned beside the attributes of all linear models: `factor_coef_` (factors, dim), `factor_items_`
    (factors, items), `factor_covariates_` (factors, covariates), `position_` (users, groups x factors) and
    `position_covariance_`, `rank_`, `loading_precision_`, `rank_selection_` and `control_`, the pooled model.
    Factors are integrated out by the Polya-Gamma bound (`pluralism.solvers.gaussian_users`), so that people with few
    answers stay near their group.

    References
    ----------
    N. G. Polson, J. G. Scott, J. Windle, Bayesian inference for logistic models using Polya-Gamma latent variables,
    JASA 108 (2013).
    K. T. Poole, H. Rosenthal, A spatial model for legislative roll call analysis, AJPS 29 (1985).
    D. Chen et al., PAL: Pluralistic alignment framework for learning from heterogeneous preferences, ICLR 2025.

    Examples
    --------
    >>> from pluralism.data.simulate import simulate_mixture
    >>> data = simulate_mixture(n_users=40, n_groups=1, n_items=60, dim=4, rng=0).comparisons
    >>> model = HierarchicalBradleyTerry(rank=2, ridge=1.0, item_effects=False, loading_precision=1.0).fit(data)
    >>> model.membership().position.shape
    (40, 2)
    """

    def __init__(
        self,
        *,
        n_groups: int = 1,
        rank: int | Literal["auto"] = "auto",
        max_rank: int = 8,
        item_loadings: bool | Literal["auto"] = "auto",
        loading_precision: float | Literal["auto"] = "auto",
        user_covariates: Sequence[str] | Literal["all"] = "all",
        ridge: float | Literal["auto"] = "auto",
        item_effects: float | bool | Literal["auto"] = "auto",
        covariates: Sequence[str] = (),
        position_bias: bool = False,
        use_features: bool = True,
        ties: Literal["half", "davidson"] = "half",
        blocks: FoldBy | Literal["auto"] = "auto",
        tol: float = 1e-8,
        max_iter: int = 500,
        rng: RNG = 0,
    ) -> None:
        self.n_groups = n_groups
        self.rank = rank
        self.max_rank = max_rank
        self.item_loadings = item_loadings
        self.loading_precision = loading_precision
        self.user_covariates = user_covariates
        self.ridge = ridge
        self.item_effects = item_effects
        self.covariates = covariates
        self.position_bias = position_bias
        self.use_features = use_features
        self.ties = ties
        self.blocks = blocks
        self.tol = tol
        self.max_iter = max_iter
        self.rng = rng

    def fit(
        self,
        comparisons: Comparisons,
        *,
        checkpoint: str | Path | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Fit to comparisons; parameters as in `BradleyTerry.fit`."""
        with opened(self, comparisons, checkpoint, callback) as (prepared, memory, seed):
            plan = choose_terms(self, prepared, Terms(ties=self.ties == "davidson"), 1, memory, seed)
            self._learn_control(prepared, plan, memory, seed)
            decided = prepared if self.ties == "half" else prepared.without_ties()
            terms, selection = self._choose_factors(decided, plan, memory, seed)
            fit = self._run(decided, terms, memory, seed)
            self._learn(decided, plan, terms, fit)
            self._learn_ties(prepared, fit)
        self.rank_selection_ = selection or None
        return self

    def _choose_factors(
        self, prepared: Prepared, plan: Plan, memory: Memory, seed: int
    ) -> tuple[FactorTerms, list[dict[str, object]]]:
        own = plan.terms.item_precision is not None if self.item_loadings == "auto" else self.item_loadings
        if own and plan.terms.item_precision is None:
            raise UsageError(
                "Items can have loadings of their own only where they have effects of their own.",
                where=f"item_loadings=True, item_effects={self.item_effects!r}",
                fix='Set item_effects=True, or item_loadings="auto".',
            )
        names = list(prepared.covariate_names)
        unit = _spread(prepared)
        fixed = None if self.loading_precision == "auto" else float(self.loading_precision)
        terms = FactorTerms(
            n_groups=self.n_groups,
            rank=0 if self.rank == "auto" else self.rank,
            user_covariates=tuple(names.index(name) for name in self._varying(names)),
            ridge=plan.terms.ridge,
            item_precision=plan.terms.item_precision,
            loading_ridge=(fixed or 1.0) * unit,
            loading_precision=(fixed or 1.0) if own else None,
        )
        if self.rank != "auto" and (fixed is not None or self.rank == 0):
            return terms, []
        found, table = choose_factors(
            prepared,
            terms,
            self._splits(prepared, seed),
            unit=unit,
            rank=None if self.rank == "auto" else self.rank,
            max_rank=self.max_rank,
            precision=fixed,
            seed=seed,
            memo=memory.piece,
        )
        return found, [row.to_dict() for row in table]

    def _splits(self, prepared: Prepared, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Held-out answers of known people: one fifth where there are many answers, each fifth in turn where not."""
        by: FoldBy = "vote" if prepared.comparisons.origin in ("ratings", "rankings") else "pair"
        try:
            made = folds(prepared.comparisons, HELD_OUT, by=by, rng=seed)
        except UsageError as error:
            raise UsageError(
                "There are too few comparisons to choose how people differ.",
                where=f"{len(prepared.comparisons)} rows",
                fix="Set rank and loading_precision to numbers.",
            ) from error
        masks = [(train[prepared.order], held[prepared.order]) for train, held in made]
        return masks[:1] if len(prepared.comparisons) > MANY_ROWS else masks

    def _run(self, prepared: Prepared, terms: FactorTerms, memory: Memory, seed: int) -> FactorFit:
        def base() -> dict[str, np.ndarray]:
            p = base_of(prepared.problem, terms, np.random.default_rng([seed, 5]))
            effects = np.zeros((0, 0)) if p.item_effects is None else p.item_effects
            return {"heads": p.heads, "items": effects, "covariates": p.covariate_effects, "weights": p.log_weights}

        found = memory.piece("base", base)
        effects = found["items"] if found["items"].size else None
        name = "factors"
        return fit_gaussian_users(
            prepared.problem,
            terms,
            rng=np.random.default_rng([seed, 6]),
            base=Parameters(found["heads"], effects, found["covariates"], found["weights"], 0.0, None),
            tol=self.tol,
            max_iter=self.max_iter,
            state=memory.state(name),
            on_iteration=memory.watcher(name),
        )

    def _learn(self, prepared: Prepared, plan: Plan, terms: FactorTerms, fit: FactorFit) -> None:
        k, problem, minimum = terms.n_groups, prepared.problem, fit.minimum
        p = fit.parameters
        order = np.argsort(-p.log_weights, kind="stable")
        columns = np.concatenate([order, np.arange(k, k + terms.n_factors)])
        effects = None if p.item_effects is None else p.item_effects[:, columns]
        heads, covariates = p.heads[:, columns], p.covariate_effects[:, columns]
        base = Parameters(
            heads=heads[:, :k],
            item_effects=None if terms.item_precision is None or effects is None else effects[:, :k],
            covariate_effects=covariates[:, :k],
            log_weights=p.log_weights[order],
            tie=0.0,
        )
        as_mixture = MixtureFit(
            parameters=base,
            vector=fit.vector,
            responsibility=fit.placement.posterior[:, order],
            log_likelihood=fit.log_bound,
            objective=minimum.value,
            gradient_norm=float(np.linalg.norm(minimum.gradient)),
            path=minimum.path,
            n_iter=minimum.n_iter,
            converged=minimum.converged,
            start_objectives=[],
        )
        plan = Plan(plan.terms.but(item_precision=terms.item_precision), plan.ridge_choice, plan.blocks)
        learn(self, prepared, plan, as_mixture, found=Uncertainty())
        self.factor_coef_ = None if problem.features is None else np.ascontiguousarray(heads[:, k:].T)
        self.factor_items_ = None
        if effects is not None and terms.loading_precision is not None and terms.n_factors:
            played = np.flatnonzero(problem.played > 0)
            self.factor_items_ = np.ascontiguousarray(effects[played, k:].T)
        self.factor_covariates_ = covariates[:, k:].T / prepared.design_scale
        names = [prepared.covariate_names[c] for c in terms.user_covariates]
        self.factor_names_ = names + [f"factor {j + 1}" for j in range(terms.rank)]
        self.position_, self.position_covariance_ = flat(
            fit.placement.mean[:, order], fit.placement.covariance[:, order]
        )
        self.rank_ = terms.rank
        self.loading_precision_ = (
            terms.loading_precision
            if terms.loading_precision is not None
            else (terms.loading_ridge / _spread(prepared))
        )

    def _learn_ties(self, prepared: Prepared, fit: FactorFit) -> None:
        self.tie_mean_ = self.tie_sd_ = None
        if self.ties == "half":
            return
        problem = prepared.problem
        table = GaussianUsers(problem, fit.terms).table(fit.parameters)
        p = fitted_proba(problem, table, fit.parameters.covariate_effects, fit.placement)
        found = fit_tie_propensity(problem.user, problem.outcome == 0.5, tie_offset(p), problem.weight, problem.n_users)
        self.tie_mean_, self.tie_sd_, self.tie_ = found.mean, found.sd, float(np.exp(found.mean))
        self.position_, self.position_covariance_ = beside(
            self.position_, self.position_covariance_, found.user_mean, found.user_variance
        )

    def _varying(self, names: list[str]) -> list[str]:
        if self.user_covariates == "all":
            return names
        unknown = [name for name in self.user_covariates if name not in names]
        if unknown:
            raise UsageError(
                f"user_covariates has {unknown[0]!r}, which is no covariate of the model.",
                fix=f"Its covariates are {names}; add it to `covariates`.",
            )
        return list(self.user_covariates)

    def _check_own_settings(self) -> None:
        if not is_whole(self.n_groups, 1):
            refuse(self, "n_groups", "an integer of at least 1")
        if self.rank != "auto" and not is_whole(self.rank, 0):
            refuse(self, "rank", '"auto" or an integer of at least 0')
        if not is_whole(self.max_rank, 0):
            refuse(self, "max_rank", "an integer of at least 0")
        if self.item_loadings not in ("auto", True, False):
            refuse(self, "item_loadings", '"auto", True or False')
        if self.loading_precision != "auto" and not (
            is_number(self.loading_precision) and float(self.loading_precision) > 0
        ):
            refuse(self, "loading_precision", '"auto" or a positive number')

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        super()._set_state(document, arrays)
        positions = self.n_groups_ * len(self.factor_names_) + (self.tie_mean_ is not None)
        require_state(self.position_.shape[1] == positions, "positions and factors disagree")
        require_state(self.n_groups == self.n_groups_, "groups and parameters disagree")


def _spread(prepared: Prepared) -> float:
    """Total variance of the features of items that were judged, from a sample; 1 without features."""
    features = prepared.problem.features
    if features is None:
        return 1.0
    played = np.flatnonzero(prepared.problem.played > 0)
    sample = features.rows(played[np.linspace(0, len(played) - 1, min(len(played), UNIT_SAMPLE)).astype(np.int64)])
    variance = float(np.sum(np.var(sample.astype(np.float64), axis=0)))
    return variance if variance > 0 else 1.0
