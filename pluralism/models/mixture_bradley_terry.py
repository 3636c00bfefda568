"""The MaxMin mixture: users belong to groups, each group has its own Bradley-Terry reward."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np

from pluralism.errors import DataWarning, UsageError
from pluralism.models.annotated import Annotated
from pluralism.models.base import Callback
from pluralism.models.fitting import (
    Memory,
    Plan,
    Uncertainty,
    choose_terms,
    learn,
    run_fit,
    uncertainty,
)
from pluralism.models.opening import opened
from pluralism.models.pooled_control import PooledControl
from pluralism.models.preparation import Prepared
from pluralism.models.selection import GroupChoice, held_out_user_likelihood
from pluralism.models.settings import is_number, is_whole, refuse
from pluralism.random import RNG
from pluralism.solvers import MixtureFit, Terms

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.data.folds import FoldBy

__all__ = ["MixtureBradleyTerry"]

N_FOLDS = 5
PATIENCE = 2


class MixtureBradleyTerry(PooledControl, Annotated):
    """Groups of users with a reward each, fitted by user-level EM.

    A user u of group k prefers left with probability sigmoid(r_k(left) - r_k(right)); groups have weights pi. All
    answers of a user count together towards the user's group.

    Parameters
    ----------
    n_groups : "auto" or int
        "auto" takes the fewest groups within one standard error of the best held-out user likelihood.
    max_groups : int
        The most groups "auto" tries.
    algorithm : {"soft", "hard"}
        Marginal likelihood over memberships, or the hard assignment of the paper's Algorithm 2.
    init : {"spectral", "modulo"}
        Spectral and random starts ranked by likelihood, or (hard only) user number modulo groups as published.
    shared : None or float
        If set, each group's head is a shared one plus a private one with `shared` times its precision.
    user_temperature, user_lapse : bool
        Whether people differ in how they answer: P = (1 - e_u) sigmoid(t_u (r_k(left) - r_k(right))) + e_u / 2, with a
        temperature t_u, log-normal around 1, and a lapse e_u, the share of answers given without looking. Both are
        summed out over a population that is learnt with the groups, so people with few answers are taken to answer as
        others do.
    n_init : int
        Starts carried to convergence.
    concentration : float
        Of the Dirichlet prior on the group weights, at least 1.
    ridge, item_effects, covariates, position_bias, use_features, ties, blocks, tol, max_iter, uncertainty, rng
        As in `BradleyTerry`. The ridge is chosen anew for each number of groups.

    Attributes
    ----------
    control_ : BradleyTerry
        The same terms with one group: what a single reward brings on these data.
    user_temperature_, user_lapse_ : array of shape (users,) or None
        Posterior means, also in the `position` of memberships: (log temperature, lapse).
    annotator_shares_ : array of shape (temperatures, lapses) or None
        The population, on the grid of `annotator_log_temperature_` and `annotator_lapse_`.
    selection_ : list of dict
        The table behind `n_groups="auto"`: held-out likelihood, BIC and ICL for each number tried.

    References
    ----------
    S. Chakraborty et al., MaxMin-RLHF: Alignment with diverse human preferences, ICML 2024 (arXiv:2402.08925).

    Examples
    --------
    >>> from pluralism.data.simulate import simulate_mixture
    >>> data = simulate_mixture(n_users=60, n_groups=2, n_items=80, dim=4, rng=0).comparisons
    >>> model = MixtureBradleyTerry(n_groups=2, ridge=1.0, rng=0).fit(data)
    >>> model.membership().posterior.shape
    (60, 2)
    """

    def __init__(
        self,
        *,
        n_groups: int | Literal["auto"] = "auto",
        max_groups: int = 8,
        algorithm: Literal["soft", "hard"] = "soft",
        init: Literal["spectral", "modulo"] = "spectral",
        shared: float | None = None,
        user_temperature: bool = False,
        user_lapse: bool = False,
        n_init: int = 4,
        concentration: float = 2.0,
        ridge: float | Literal["auto"] = "auto",
        item_effects: float | bool | Literal["auto"] = "auto",
        covariates: Sequence[str] = (),
        position_bias: bool = False,
        use_features: bool = True,
        ties: Literal["half", "davidson"] = "half",
        blocks: FoldBy | Literal["auto"] = "auto",
        tol: float = 1e-9,
        max_iter: int = 500,
        uncertainty: bool = True,
        rng: RNG = 0,
    ) -> None:
        self.n_groups = n_groups
        self.max_groups = max_groups
        self.algorithm = algorithm
        self.init = init
        self.shared = shared
        self.user_temperature = user_temperature
        self.user_lapse = user_lapse
        self.n_init = n_init
        self.concentration = concentration
        self.ridge = ridge
        self.item_effects = item_effects
        self.covariates = covariates
        self.position_bias = position_bias
        self.use_features = use_features
        self.ties = ties
        self.blocks = blocks
        self.tol = tol
        self.max_iter = max_iter
        self.uncertainty = uncertainty
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
            pooled = choose_terms(self, prepared, self._terms(1), 1, memory, seed)
            self._learn_control(prepared, pooled, memory, seed)
            selection = None
            if self.n_groups == "auto":
                plan, fit, selection = self._choose_groups(prepared, pooled, memory, seed)
            else:
                plan = self._plan(prepared, int(self.n_groups), pooled, memory, seed)
                fit = self._run(prepared, plan, int(self.n_groups), memory, seed)
            learn(self, prepared, plan, fit)
        self._learn_annotators(fit.parameters.annotators, fit.manner)
        self.n_repairs_ = fit.n_repairs
        if selection is not None:
            self.selection_ = [row.to_dict() for row in selection]
        if self.n_groups_ > prepared.problem.voters.sum():
            warnings.warn(
                f"There are more groups ({self.n_groups_}) than users with answers "
                f"({int(prepared.problem.voters.sum())}); empty groups rest on the prior.",
                DataWarning,
                stacklevel=2,
            )
        return self

    def _terms(self, n_groups: int) -> Terms:
        return Terms(
            ties=self.ties == "davidson",
            shared=self.shared if n_groups > 1 else None,
            temperature=self.user_temperature,
            lapse=self.user_lapse,
            concentration=self.concentration,
        )

    def _plan(self, prepared: Prepared, n_groups: int, pooled: Plan, memory: Memory, seed: int) -> Plan:
        """Terms for a number of groups; the variance of item effects is the pooled model's."""
        if n_groups == 1:
            return pooled
        return choose_terms(self, prepared, self._terms(n_groups), n_groups, memory, seed, pooled=pooled)

    def _run(self, prepared: Prepared, plan: Plan, n_groups: int, memory: Memory, seed: int) -> MixtureFit:
        return run_fit(
            self,
            prepared,
            plan.terms,
            n_groups,
            memory,
            seed,
            hard=self.algorithm == "hard",
            modulo=self.init == "modulo",
            n_init=self.n_init,
        )

    def _choose_groups(
        self, prepared: Prepared, pooled: Plan, memory: Memory, seed: int
    ) -> tuple[Plan, MixtureFit, list[GroupChoice]]:
        """Fewest groups within one standard error of the best held-out user likelihood."""
        users = int(prepared.problem.voters.sum())
        n_folds = min(N_FOLDS, users)
        if n_folds < 2:
            raise UsageError(
                'n_groups="auto" needs at least two users with answers.',
                where=f"{users} users",
                fix="Set n_groups to a number, or use BradleyTerry.",
            )
        plans: dict[int, Plan] = {}
        values: dict[int, np.ndarray] = {}
        for k in range(1, min(self.max_groups, users) + 1):
            plans[k] = self._plan(prepared, k, pooled, memory, seed)
            values[k] = held_out_user_likelihood(
                prepared, k, plans[k].terms, n_folds=n_folds, rng=np.random.default_rng([seed, 4]), memo=memory.piece
            )
            best = max(values, key=lambda j: values[j].sum())
            if k - best >= PATIENCE:
                break
        differences = {k: values[best] - values[k] for k in values}
        error = {k: float(np.sqrt(users) * d[prepared.problem.voters > 0].std(ddof=1)) for k, d in differences.items()}
        chosen = min(k for k in values if differences[k].sum() <= error[k])
        scored = max(_scored_rows(prepared), 1.0)
        fits = {k: self._run(prepared, plans[k], k, memory, seed) for k in values}
        rows = []
        for k, fit in fits.items():
            found = uncertainty(prepared, plans[k].terms, fit) if self.uncertainty else Uncertainty()
            rows.append(
                GroupChoice(
                    n_groups=k,
                    ridge=float(plans[k].terms.ridge),
                    held_out=float(values[k].sum() / scored),
                    difference_to_best=float(differences[k].sum() / scored),
                    se_to_best=error[k] / scored,
                    bic=found.bic,
                    icl=found.icl,
                    chosen=k == chosen,
                )
            )
        return plans[chosen], fits[chosen], rows

    def _check_own_settings(self) -> None:
        super()._check_own_settings()
        if self.n_groups != "auto" and not is_whole(self.n_groups):
            refuse(self, "n_groups", '"auto" or an integer of at least 1')
        for name in ("max_groups", "n_init"):
            if not is_whole(getattr(self, name)):
                refuse(self, name, "an integer of at least 1")
        if self.algorithm not in ("soft", "hard"):
            refuse(self, "algorithm", '"soft" or "hard"')
        if self.init not in ("spectral", "modulo") or (self.init == "modulo" and self.algorithm == "soft"):
            refuse(self, "init", '"spectral", or "modulo" with algorithm="hard"')
        if self.algorithm == "hard" and (self.user_temperature or self.user_lapse or self.n_groups == "auto"):
            raise UsageError(
                'algorithm="hard" has neither temperatures nor lapses of users, nor a likelihood for n_groups="auto".',
                fix='Set n_groups to a number, user_temperature=False and user_lapse=False, or algorithm="soft".',
            )
        if self.shared is not None and not (is_number(self.shared) and self.shared > 0):
            refuse(self, "shared", "None or a positive ratio of precisions, such as 10.0")
        if not (is_number(self.concentration) and self.concentration >= 1):
            refuse(self, "concentration", "a number of at least 1")

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        document, arrays = super()._state()
        return document | {"n_repairs_": self.n_repairs_}, arrays

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        super()._set_state(document, arrays)
        if self.n_groups not in ("auto", self.n_groups_):
            raise ValueError(f"the parameter n_groups is {self.n_groups!r}, the model has {self.n_groups_} groups")
        self.n_repairs_ = document["n_repairs_"]


def _scored_rows(prepared: Prepared) -> float:
    rows = np.diff(prepared.problem.user_start)
    return float(np.sum(rows - rows // 2))
