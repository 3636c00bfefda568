"""What models of prototypes share: users are weights on a few prototypes, and each prototype rewards every item."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float
from scipy.special import expit, softmax

from pluralism.errors import ConvergenceWarning, DataError, DataWarning, SeparationWarning
from pluralism.models.base import Callback, Places, PreferenceModel
from pluralism.models.fitting import Memory
from pluralism.models.membership import Membership
from pluralism.models.preparation import Prepared, prepare
from pluralism.models.prototype_selection import PrototypeSearch
from pluralism.models.settings import is_number, is_whole, refuse
from pluralism.models.state import StateSpec, require_state
from pluralism.random import RNG, as_seed
from pluralism.solvers import PairProblem, group_log_likelihood, suitable_threads
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.item_tables import ItemTable
from pluralism.solvers.prototypes import PrototypeFit
from pluralism.solvers.simplex_users import UserPosterior, dirichlet_moments, user_posterior

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items
    from pluralism.data.folds import FoldBy

__all__ = ["PrototypeModel", "expected_probability", "prototype_spec"]


def prototype_spec(arrays: Mapping[str, tuple[str, ...]], **more: Any) -> StateSpec:
    """The saved form of a prototype model with some arrays of its own."""
    common = {
        "center_": ("dim",),
        "group_weights_": ("groups",),
        "concentration_": ("groups",),
        "posterior_": ("users", "groups"),
        "covariance_": ("users", "groups", "groups"),
        "ess_": ("users",),
        "n_answers_": ("users",),
        "objective_path_": ("path",),
    }
    optional = frozenset(more.pop("optional", ())) | {"covariance_"}
    plain = ("selection_", "ridge_path_", "dimension_path_", *more.pop("plain", ()))
    return StateSpec(
        arrays=common | dict(arrays),
        optional=optional,
        numbers=("objective_", "gradient_norm_", "ridge_", "log_likelihood_", "restart_agreement_"),
        counts=("n_iter_", "n_comparisons_"),
        flags=("converged_", "separable_"),
        optional_names=("feature_space_", "blocks_"),
        plain=plain,
        **more,
    )


class PrototypeModel(PreferenceModel):
    """Users as weights on K prototypes, w_u ~ Dirichlet(alpha), or each user at one of them.

    P(user u prefers left) = sigmoid(sum_k w_uk (r_k(left) - r_k(right))), where a subclass says what the prototypes'
    rewards r_k are.

    Learned attributes: `concentration_` (groups,), alpha of the Dirichlet prior learnt from the training users (in a
    partition the shares of the groups); `group_weights_`, the prior mean; `posterior_`, the posterior means of the
    training users' weights, with `covariance_` and `ess_`, the effective number of draws behind them; `control_`, the
    same model with one prototype; `ridge_`, `ridge_path_`, `dimension_path_`, `selection_`, `objective_`,
    `objective_path_`, `gradient_norm_`, `converged_`, `n_iter_`, `restart_agreement_`, `separable_`.
    """

    requires_features = True
    _number: ClassVar[str]
    _kinds: ClassVar[tuple[str, ...]] = ("mixture", "partition")

    # every subclass has these keywords
    weights: Literal["mixture", "partition", "free"]
    ridge: float | Literal["auto"]
    concentration: float | Literal["auto"]
    latent_dim: int | Literal["auto"]
    blocks: FoldBy | Literal["auto"]
    tol: float
    rng: RNG
    control_: PreferenceModel | None

    @property
    def places(self) -> Places:
        """What describes a person."""
        return "weights"

    @abstractmethod
    def _item_table(self, features: CentredFeatures, n_groups: int, ridge: float, n_latent: int) -> ItemTable:
        """The rewards of prototypes as a function of parameters."""

    def _given_dimensions(self) -> int | None:
        """Dimensions of the space of the prototypes; None where they are to be chosen."""
        return 1

    @abstractmethod
    def _learn(self, prepared: Prepared, table: ItemTable, fit: PrototypeFit) -> None:
        """Set the attributes that `reward` needs, in the units of the features."""

    def _control(self, seed: int) -> Self:
        """An unfitted model with one prototype."""
        return type(self)(**(self.get_params(deep=False) | {self._number: 1, "rng": seed}))

    def _check_own_settings(self) -> None:
        """Refuse settings of a subclass that cannot work."""

    def fit(
        self,
        comparisons: Comparisons,
        *,
        checkpoint: str | Path | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Fit to comparisons of items with features; parameters as in `BradleyTerry.fit`."""
        self._forget()
        self._check_settings()
        self._check_features(comparisons)
        prepared = prepare(comparisons, (), position_bias=False)
        seed = as_seed(self.rng)
        memory = Memory(checkpoint, f"{type(self).__name__}/{seed}/{self!r}", prepared, callback)
        with suitable_threads(prepared.problem):
            search = PrototypeSearch(self, *self._features_of(prepared), memory, seed)
            wanted = getattr(self, self._number)
            n_groups, selection = search.number() if wanted == "auto" else (int(wanted), None)
            search = self._deepened(search, n_groups)
            control: PrototypeModel | None = None
            if n_groups > 1 or wanted == "auto":
                control = self._control(seed)
                control.control_ = None
                self._finish(control, search, 1)
            self._finish(self, search, n_groups)
        self.control_ = control
        self.selection_ = selection
        voters = int(prepared.problem.voters.sum())
        if n_groups > voters:
            warnings.warn(
                f"There are more prototypes ({n_groups}) than users with answers ({voters}); the rest are set by the "
                "prior.",
                DataWarning,
                stacklevel=2,
            )
        return self

    def _check_features(self, comparisons: Comparisons) -> None:
        if comparisons.items.features is None:
            raise DataError(
                f"{type(self).__name__} needs features of the items, and these have none.",
                fix='Call .embed(encoder) or .with_features(matrix); without features use BradleyTerry (recipe "bt") '
                'or MixtureBradleyTerry (recipe "maxmin").',
            )

    def _features_of(self, prepared: Prepared) -> tuple[Prepared, CentredFeatures]:
        """What the item tables are made of: the features, centred on the items that were compared."""
        if prepared.problem.features is None:
            raise DataError("The items have no features.", fix="Call .embed(encoder) first.")
        return prepared, CentredFeatures.of(prepared.problem.features, np.flatnonzero(prepared.problem.played > 0))

    def _deepened(self, search: PrototypeSearch, n_groups: int) -> PrototypeSearch:
        """The search from which the fit with so many prototypes comes."""
        return search

    @staticmethod
    def _finish(model: PrototypeModel, search: PrototypeSearch, n_groups: int) -> None:
        """Fit with a number of prototypes, and set what `model` learns."""
        prepared, fit, table = search.prepared, search.fit(n_groups), search.table(n_groups)
        problem = prepared.problem
        rewards = table.table(fit.x)
        model.dim_ = int(prepared.comparisons.dim)
        model.feature_space_ = prepared.comparisons.items.feature_space
        model.users_, model.n_answers_ = prepared.users, prepared.n
        model.concentration_ = fit.alpha
        model.group_weights_ = fit.alpha / fit.alpha.sum()
        model._learn(prepared, table, fit)
        placed = model._place(problem, model._refine(search, n_groups, rewards))
        model.posterior_, model.covariance_, model.ess_ = placed.mean, placed.covariance, placed.ess
        if model.weights == "partition":
            model.covariance_ = None
        model.log_likelihood_ = float(placed.evidence.sum())
        model.objective_, model.objective_path_ = fit.objective, np.array(fit.path)
        model.gradient_norm_, model.n_iter_ = fit.gradient_norm, fit.n_iter
        model.converged_ = bool(fit.converged)
        model.n_comparisons_ = len(prepared.comparisons)
        model.ridge_, model.ridge_path_, model.blocks_ = search.ridge(n_groups), search.path(n_groups), search.blocks
        model.dimension_path_ = search.settings.dimensions
        starts = np.array(fit.start_objectives)
        close = starts <= starts.min() + 1e-4 * max(problem.total_weight, 1.0) if len(starts) else np.ones(1, bool)
        model.restart_agreement_ = float(np.mean(close))
        model.selection_ = None
        z = rewards[problem.left] - rewards[problem.right]
        decided = (problem.weight > 0) & (problem.outcome != 0.5)
        model.separable_ = bool(
            n_groups == 1 and decided.any() and np.all(z[decided, 0] * (problem.outcome[decided] - 0.5) > 0)
        )
        if model.separable_:
            warnings.warn(
                "A single reward explains every decided comparison: the data are separable, and the size of the "
                "reward is set by the prior.",
                SeparationWarning,
                stacklevel=4,
            )
        if not fit.converged:
            warnings.warn(
                f"The fit stopped after {fit.n_iter} iterations before it converged (gradient norm "
                f"{fit.gradient_norm:.3g}); the last state is kept. Raise max_iter.",
                ConvergenceWarning,
                stacklevel=4,
            )

    def predict_group_proba(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        """P(left preferred) for somebody who is at one prototype."""
        return expit(self._gaps(comparisons))

    def predict_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """P(left preferred) for the user of each row, over what is not known of the user's weights.

        Users in `membership` (from `adapt`) are placed by it, users of the training data by their posterior, and all
        others by the prior. See `expected_probability` for the average.
        """
        self._check_fitted()
        if membership is not None and membership.covariance is None and self.weights == "mixture":
            shape = (*membership.posterior.shape, membership.n_groups)
            membership = replace(membership, covariance=np.zeros(shape))
        placed = self._placed(comparisons, membership)
        gaps = self._gaps_around(comparisons, placed.posterior)
        weights = placed.posterior[comparisons.user]
        if placed.covariance is None:
            return np.sum(weights * expit(gaps), axis=1)
        return expected_probability(gaps, weights, placed.covariance[comparisons.user])

    def adapt(self, comparisons: Comparisons) -> Membership:
        """Place the users of `comparisons` by these answers and the prior learnt from the training users.

        All users of the vocabulary come back, in its order: `posterior` is the posterior mean of the weights and
        `covariance` their covariance. Those without a row have the prior. The model is not changed.
        """
        found = self.posterior(comparisons)
        n = np.bincount(comparisons.user, comparisons.weight > 0, comparisons.n_users).astype(np.int64)
        covariance = None if self.weights == "partition" else found.covariance
        return self._membership(comparisons.users, found.mean, n, None, covariance)

    def posterior(self, comparisons: Comparisons) -> UserPosterior:
        """Posterior of the weights of every user of the vocabulary by these answers: moments, evidence, and ESS.

        Returns
        -------
        UserPosterior
            `ess` is the effective number of importance draws; where it is small (below ten or so) the moments are
            rough. `evidence` is the log marginal likelihood of each user's answers.
        """
        self._check_fitted()
        problem, _ = PairProblem.build(
            comparisons.user,
            comparisons.left,
            comparisons.right,
            comparisons.outcome,
            comparisons.weight,
            n_users=comparisons.n_users,
            n_items=len(comparisons.items),
        )
        return self._place(problem, self._judged(comparisons.items))

    def _refine(
        self, search: PrototypeSearch, n_groups: int, rewards: Float[np.ndarray, "items groups"]
    ) -> Float[np.ndarray, "items columns"]:
        """What a subclass learns beyond the fit; returns what users are placed by, the rewards of prototypes."""
        return rewards

    def _judged(self, items: Items) -> Float[np.ndarray, "items columns"]:
        """What users are placed by."""
        return self.reward(items)

    def _place(self, problem: PairProblem, scores: Float[np.ndarray, "items columns"]) -> UserPosterior:
        if self.weights == "mixture":
            return user_posterior(problem, scores, self.concentration_)
        shares = self.group_weights_
        plain = replace_design(problem)
        with np.errstate(divide="ignore"):
            joint = group_log_likelihood(plain, scores, np.zeros((0, len(shares)))) + np.log(shares)
        mean = softmax(joint, axis=1)
        mean[problem.voters == 0] = shares
        evidence = np.logaddexp.reduce(joint, axis=1) * problem.voters
        covariance = np.einsum("uk,kj->ukj", mean, np.eye(len(shares))) - mean[:, :, None] * mean[:, None, :]
        return UserPosterior(mean, np.log(np.maximum(mean, 1e-300)), covariance, np.ones(len(mean)), evidence)

    def _gaps_around(
        self, comparisons: Comparisons, weights: Float[np.ndarray, "users groups"]
    ) -> Float[np.ndarray, "pairs groups"]:
        """What each prototype adds to the logit of a row, to first order around the weights of its user."""
        return self._gaps(comparisons)

    def _gaps(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        scores = self.reward(comparisons.items)
        return scores[comparisons.left] - scores[comparisons.right]

    def _trained(self) -> Membership:
        return self._membership(self.users_, self.posterior_, self.n_answers_, None, self.covariance_)

    def _prior(self) -> Membership:
        prior = super()._prior()
        if self.weights == "partition":
            return prior
        return replace(prior, covariance=dirichlet_moments(self.concentration_)[2][None])

    def _centred(self, items: Items) -> CentredFeatures:
        self._check_fitted()
        return CentredFeatures(self._features(items), self.center_, 1.0)

    def _check_settings(self) -> None:
        """Refuse settings that cannot work, by name."""
        if getattr(self, self._number) != "auto" and not is_whole(getattr(self, self._number)):
            refuse(self, self._number, '"auto" or an integer of at least 1')
        for name in (f"max_{self._number.removeprefix('n_')}", "n_init", "max_iter"):
            if not is_whole(getattr(self, name)):
                refuse(self, name, "an integer of at least 1")
        if getattr(self, "latent_dim", "auto") != "auto" and not is_whole(self.latent_dim):
            refuse(self, "latent_dim", '"auto" or an integer of at least 1')
        if self.weights not in self._kinds:
            refuse(self, "weights", " or ".join(f'"{kind}"' for kind in self._kinds))
        for name in ("ridge", "concentration"):
            value = getattr(self, name)
            if value != "auto" and not (is_number(value) and value > 0):
                refuse(self, name, '"auto" or a positive number')
        if not (is_number(self.tol) and self.tol > 0):
            refuse(self, "tol", "a positive number")
        if self.blocks not in ("auto", "prompt", "item", "user", "vote", "pair", "row"):
            refuse(self, "blocks", '"auto", "prompt", "item", "user", "vote", "pair" or "row"')
        self._check_own_settings()

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        document, arrays = super()._state()
        if not isinstance(self.control_, PrototypeModel):
            return document | {"control": None}, arrays
        control, control_arrays = self.control_._state()
        document |= {"control": control, "control_rng": self.control_.rng}
        return document, arrays | {f"control/{name}": value for name, value in control_arrays.items()}

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        own = {name: value for name, value in arrays.items() if not name.startswith("control/")}
        super()._set_state(document, own)
        require_state(bool(np.all(self.concentration_ > 0)), "concentration_ is not positive")
        wanted = getattr(self, self._number)
        require_state(wanted in ("auto", self.n_groups_), f"{self._number} is {wanted!r}, not {self.n_groups_}")
        require_state(self.weights == "partition" or self.covariance_ is not None, "covariance_ is missing")
        self.control_ = None
        if document["control"] is not None:
            control = self._control(document["control_rng"])
            theirs = {name[len("control/") :]: v for name, v in arrays.items() if name.startswith("control/")}
            control._set_state(document["control"], theirs)
            self.control_ = control


def expected_probability(
    gaps: Float[np.ndarray, "pairs groups"],
    weights: Float[np.ndarray, "pairs groups"],
    covariance: Float[np.ndarray, "pairs groups groups"],
) -> Float[np.ndarray, " pairs"]:
    """E[sigmoid(w . gaps)] from the mean and covariance of weights on the simplex.

    With s the variance of w . gaps over the most that weights of this mean can have (all users pure), the weights are
    taken to be at vertex k with probability s^2 weight_k, and w . gaps to be normal around its mean otherwise, so that
    the variance is right. It is exact where weights are certain and where users are pure, within .01 for most
    Dirichlet distributions (.03 at worst, for log-odds of 20 and more), and always between the prototypes' own
    probabilities.
    """
    z = np.sum(weights * gaps, axis=1)
    most = np.sum(weights * (gaps - z[:, None]) ** 2, axis=1)
    variance = np.einsum("nk,nkj,nj->n", gaps, covariance, gaps)
    share = np.clip(variance / np.maximum(most, 1e-300), 0.0, 1.0)
    share[most <= 0] = 0.0
    pure = expit(gaps)
    middle = expit(z / np.sqrt(1.0 + np.pi / 8.0 * most * share / (1.0 + share)))
    middle = np.clip(middle, pure.min(axis=1, initial=1.0), pure.max(axis=1, initial=0.0))
    return (1.0 - share**2) * middle + share**2 * np.sum(weights * pure, axis=1)


def replace_design(problem: PairProblem) -> PairProblem:
    """The same rows without covariates."""
    return problem if problem.design.shape[1] == 0 else replace(problem, design=np.zeros((len(problem.left), 0)))
