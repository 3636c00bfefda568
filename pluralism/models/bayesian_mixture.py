"""A Bayesian mixture of Bradley-Terry models over users, with as many groups as the data ask for."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy.special import softmax

from pluralism.errors import ConvergenceWarning
from pluralism.models.annotated import ARRAYS, Annotated
from pluralism.models.base import Callback
from pluralism.models.bayesian_posterior import BayesianPosterior, mean_probability, occupied_groups
from pluralism.models.diagnosis import diagnose
from pluralism.models.fitting import EFFECTS_WORTH_HAVING, Memory, feature_unit
from pluralism.models.head_uncertainty import HeadUncertainty, moderated
from pluralism.models.membership import Membership
from pluralism.models.opening import opened
from pluralism.models.preparation import Prepared
from pluralism.models.settings import is_number, is_whole, refuse
from pluralism.models.state import StateSpec, require_state
from pluralism.random import RNG
from pluralism.solvers import PairProblem, Terms
from pluralism.solvers.polya_gamma_mixture import Learning, fit_bayesian_mixture

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items

__all__ = ["BayesianMixture"]

RIDGES = (1e-3, 1e6)
ITEM_PRECISIONS = (1e-2, 1e4)
WEIGHT_DRAWS = 2000

SPEC = StateSpec(
    arrays=ARRAYS
    | {
        "coef_": ("groups", "dim"),
        "item_effects_": ("groups", "items"),
        "covariate_effects_": ("groups", "covariates"),
        "covariate_scale_": ("covariates",),
        "group_weights_": ("groups",),
        "effective_n_": ("groups",),
        "posterior_": ("users", "groups"),
        "n_answers_": ("users",),
        "objective_path_": ("path",),
        "covariance_": ("groups", "coefficients", "coefficients"),
        "basis_": ("dim", "dim"),
        "variance_": ("groups", "coefficients"),
        "weight_draws_": ("draws", "groups"),
        "n_groups_posterior_": ("truncation",),
    },
    labels={"users_": "users", "item_ids_": "items"},
    optional=frozenset({"coef_", "item_effects_", "item_ids_", "covariance_", "basis_", "variance_", *ARRAYS}),
    distributions=("group_weights_", "posterior_", "weight_draws_", "n_groups_posterior_"),
    numbers=("objective_", "gradient_norm_"),
    optional_numbers=("ridge_", "item_precision_"),
    counts=("n_iter_", "n_comparisons_", "n_components_"),
    flags=("converged_", "separable_"),
    names=("covariate_names_",),
    optional_names=("feature_space_",),
    plain=("starts_",),
)


class BayesianMixture(Annotated):
    """Groups of users with a reward each, all of it with a posterior.

    Group weights are those of a stick-breaking process truncated at `n_groups`, each group's coefficients have a
    Gaussian prior, and a user's answers all come from one group. Empty groups cost nothing, so that the number of
    groups need not be chosen; the posterior still tends to split large groups, so read `n_groups_posterior_` as an
    upper view and look at `co_clustering`.

    Parameters
    ----------
    n_groups : int
        The most groups there can be (the truncation).
    concentration : float
        Prior of the sticks, Beta(1, concentration): larger expects more groups.
    centre : {"zero", "pooled"}
        Mean of the prior of every head: no preference, or the head of everybody together.
    engine : {"vi", "svi", "nuts"}
        Deterministic variational inference with the Polya-Gamma bound, or stochastic variational inference or
        Hamiltonian Monte Carlo in Pyro (``pip install 'pluralism[bayes]'``), which start from the deterministic fit and
        keep its prior precisions.
    covariance : {"auto", "full", "diagonal"}
        Covariance of each group's coefficients: full, or diagonal along the axes of the pooled Gram matrix of the
        features. "auto" is full for up to 1,024 coefficients a group.
    ridge : "auto" or float
        Prior precision of the coefficients of the features (of the item effects, where there are no features); "auto"
        maximises the evidence bound.
    item_effects : "auto", bool or float
        Each item's own departure from what its features predict: a precision, or True to choose it by the evidence
        bound; "auto" has them where items occur five times or more on average. Without features always on.
    covariates : sequence of str
        Numeric covariates of either side carried as explicit terms.
    position_bias : bool
        A term for standing on the left.
    user_temperature, user_lapse : bool
        Whether people differ in how sure they are and in how often they answer without looking; as in
        `MixtureBradleyTerry`. The population maximises the bound, and is kept by the engines of Pyro.
    n_init : int
        Starts, spectral and random, for each number of clusters that is tried.
    tol : float
        Convergence tolerance of the bound, in nats an answer.
    max_iter : int
        Rounds of the deterministic fit at most.
    steps, learning_rate
        Of ``engine="svi"``.
    draws, warmup
        Of ``engine="nuts"``.
    rng : int, Generator or None

    Attributes
    ----------
    group_weights_ : array of shape (groups,)
        Posterior means; groups that hold less than half a user are left out.
    n_groups_posterior_ : array of shape (truncation,)
        Probability that 1, 2, ... groups have a member.
    weight_draws_ : array of shape (draws, groups)
    covariance_ : array of shape (groups, coefficients, coefficients) or None
    objective_ : float
        The negative evidence bound in nats; of the deterministic fit, whatever the engine.

    References
    ----------
    N. G. Polson, J. G. Scott, J. Windle, Bayesian inference for logistic models using Polya-Gamma latent variables,
    JASA 108 (2013). D. M. Blei, M. I. Jordan, Variational inference for Dirichlet process mixtures, Bayesian Analysis 1
    (2006). J. W. Miller, M. T. Harrison, Inconsistency of Pitman-Yor process mixtures for the number of components,
    JMLR 15 (2014).

    Examples
    --------
    >>> from pluralism.data.simulate import simulate_mixture
    >>> data = simulate_mixture(n_users=60, n_groups=2, n_items=80, dim=4, rng=0).comparisons
    >>> model = BayesianMixture(n_groups=5, rng=0).fit(data)
    >>> model.n_groups_
    2
    """

    ties: ClassVar[str] = "half"
    spec = SPEC

    def __init__(
        self,
        *,
        n_groups: int = 10,
        concentration: float = 1.0,
        centre: Literal["zero", "pooled"] = "zero",
        engine: Literal["vi", "svi", "nuts"] = "vi",
        covariance: Literal["auto", "full", "diagonal"] = "auto",
        ridge: float | Literal["auto"] = "auto",
        item_effects: float | bool | Literal["auto"] = "auto",
        covariates: Sequence[str] = (),
        position_bias: bool = False,
        user_temperature: bool = False,
        user_lapse: bool = False,
        n_init: int = 2,
        tol: float = 1e-7,
        max_iter: int = 500,
        steps: int = 1000,
        learning_rate: float = 0.02,
        draws: int = 300,
        warmup: int = 300,
        rng: RNG = 0,
    ) -> None:
        self.n_groups = n_groups
        self.concentration = concentration
        self.centre = centre
        self.engine = engine
        self.covariance = covariance
        self.ridge = ridge
        self.item_effects = item_effects
        self.covariates = covariates
        self.position_bias = position_bias
        self.user_temperature = user_temperature
        self.user_lapse = user_lapse
        self.n_init = n_init
        self.tol = tol
        self.max_iter = max_iter
        self.steps = steps
        self.learning_rate = learning_rate
        self.draws = draws
        self.warmup = warmup
        self.rng = rng

    def fit(
        self,
        comparisons: Comparisons,
        *,
        checkpoint: str | Path | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Fit to comparisons; parameters as in `BradleyTerry.fit`.

        Raises
        ------
        MissingExtraError
            If an engine of Pyro is asked for and Pyro is not installed.
        """
        with opened(self, comparisons, checkpoint, callback) as (prepared, memory, seed):
            terms, learning = self._prior_terms(prepared)
            kept = memory.piece("fit", lambda: self._climb(prepared, terms, learning, memory, seed).to_arrays())
            posterior = BayesianPosterior.from_arrays(kept)
            if self.engine != "vi":
                from pluralism.models.bayesian_pyro import sample

                start = posterior
                kept = memory.piece(self.engine, lambda: sample(self, prepared, start, memory.tell, seed).to_arrays())
                posterior = BayesianPosterior.from_arrays(kept)
            self._learn(prepared, posterior, seed)
        return self

    def group_weight_intervals(self, level: float = 0.95) -> Float[np.ndarray, "groups 2"]:
        """Credible interval of each group's share of users, from draws of the posterior.

        Parameters
        ----------
        level : float
            Probability that the interval holds, in (0, 1).
        """
        self._check_fitted()
        tail = (1.0 - level) / 2.0
        return np.quantile(self.weight_draws_, [tail, 1.0 - tail], axis=0).T

    def co_clustering(
        self, who: Membership | Sequence[str] | pa.Array | None = None
    ) -> Float[np.ndarray, "users users"]:
        """Posterior probability that two people are of one group.

        Unlike a posterior over groups it does not depend on how groups are named or split. The memory is quadratic in
        the number of people.

        Parameters
        ----------
        who : Membership or sequence of user labels, optional
            From `adapt`, or training users; all training users by default.
        """
        self._check_fitted()
        if isinstance(who, Membership):
            posterior = self._own(who).posterior
        else:
            posterior = self.posterior_ if who is None else self._trained().of(pa.array(who, pa.large_string()))
        together = posterior @ posterior.T
        np.fill_diagonal(together, 1.0)
        return together

    def reward_std(self, items: Items) -> Float[np.ndarray, "items groups"]:
        """Posterior standard deviation of `reward`, in logits."""
        self._check_fitted()
        return self._reward_std(items)

    def adapt(self, comparisons: Comparisons) -> Membership:
        """Place the users of `comparisons` by these answers and the population alone.

        Answers are scored by moderated probabilities. All users of the vocabulary come back, in its order; those
        without a row have the group weights, and answer as people do.
        """
        self._check_fitted()
        if self.annotator_shares_ is not None:
            return super().adapt(comparisons)
        z = self._logits(comparisons)
        row = (comparisons.outcome - 0.5)[:, None] * z - np.logaddexp(0.5 * z, -0.5 * z)
        evidence = np.empty((comparisons.n_users, self.n_groups_))
        for k in range(self.n_groups_):
            evidence[:, k] = np.bincount(comparisons.user, comparisons.weight * row[:, k], comparisons.n_users)
        with np.errstate(divide="ignore"):
            posterior = softmax(evidence + np.log(self.group_weights_), axis=1)
        n = np.bincount(comparisons.user, comparisons.weight > 0, comparisons.n_users).astype(np.int64)
        return self._membership(comparisons.users, posterior, n)

    def _logits(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        return moderated(*self._logit_moments(comparisons))

    def _logit_moments(
        self, comparisons: Comparisons
    ) -> tuple[Float[np.ndarray, "pairs groups"], Float[np.ndarray, "pairs groups"]]:
        self._check_fitted()
        features = None if self.coef_ is None else self._features(comparisons.items)
        where = self._effect_positions(comparisons.items)
        design = self._design(comparisons) / self.covariate_scale_
        left, right = comparisons.left, comparisons.right
        variance = [spread.of_pairs(features, where, left, right, design) for spread in self._uncertainties()]
        return super()._logits(comparisons), np.stack(variance, axis=1)

    def _evidence(
        self, comparisons: Comparisons
    ) -> tuple[PairProblem, Float[np.ndarray, "items groups"], Float[np.ndarray, "covariates groups"]]:
        """Each row's moderated logits stand as the rewards of an item against nothing."""
        n, z = len(comparisons), self._logits(comparisons)
        problem, _ = PairProblem.build(
            comparisons.user,
            np.arange(n),
            np.full(n, n),
            comparisons.outcome,
            comparisons.weight,
            n_users=comparisons.n_users,
            n_items=n + 1,
        )
        return problem, np.vstack([z, np.zeros((1, self.n_groups_))]), np.zeros((0, self.n_groups_))

    def _uncertainties(self) -> list[HeadUncertainty]:
        """Of each group's coefficients."""
        if self.covariance_ is not None:
            return super()._uncertainties()
        n_items = 0 if self.item_effects_ is None else self.item_effects_.shape[1]
        unknown = 0.0 if self.item_precision_ is None else 1.0 / self.item_precision_
        basis = np.zeros((0, 0)) if self.basis_ is None else self.basis_
        variance = np.zeros((0, 0)) if self.variance_ is None else self.variance_
        return [HeadUncertainty.diagonal(basis, v, n_items, unknown) for v in variance]

    def _prior_terms(self, prepared: Prepared) -> tuple[Terms, Learning]:
        """Precisions to start from, and which of them are learnt."""
        has_text = prepared.problem.features is not None
        unit = feature_unit(prepared)
        learn_ridge = has_text and self.ridge == "auto"
        ridge = unit if self.ridge == "auto" else float(self.ridge)
        effects: float | bool | str = self.item_effects
        if not has_text:
            effects = True if self.ridge == "auto" and effects in ("auto", False) else effects
            effects = effects if self.ridge == "auto" else float(self.ridge)
        elif effects == "auto":
            played = int(np.sum(prepared.problem.played > 0))
            effects = 2 * len(prepared.problem.left) >= EFFECTS_WORTH_HAVING * played
        learn_items = effects is True
        precision = None if effects is False else 1.0 if learn_items else float(effects)
        terms = Terms(ridge=ridge, item_precision=precision, temperature=self.user_temperature, lapse=self.user_lapse)
        ridges = (RIDGES[0] * unit, RIDGES[1] * unit) if learn_ridge else None
        return terms, Learning(ridges, ITEM_PRECISIONS if learn_items else None)

    def _climb(
        self, prepared: Prepared, terms: Terms, learning: Learning, memory: Memory, seed: int
    ) -> BayesianPosterior:
        """The deterministic fit."""
        full = None if self.covariance == "auto" else self.covariance == "full"
        settings: dict[str, Any] = {"tol": self.tol, "max_iter": int(self.max_iter), "on_round": memory.tell}
        settings |= {"concentration": float(self.concentration), "learning": learning}
        centre = None
        if self.centre == "pooled":
            pooled = fit_bayesian_mixture(
                prepared.problem, 1, terms, rng=np.random.default_rng([seed, 6]), full=False, **settings
            )
            centre = pooled.mean[:, 0]
        fit = fit_bayesian_mixture(
            prepared.problem,
            int(self.n_groups),
            terms,
            rng=np.random.default_rng([seed, 5]),
            n_init=int(self.n_init),
            centre=centre,
            full=full,
            **settings,
        )
        weights = fit.sticks.draws(WEIGHT_DRAWS, np.random.default_rng([seed, 7]))
        return BayesianPosterior.of_fit(fit, weights, centre)

    def _learn(self, prepared: Prepared, posterior: BayesianPosterior, seed: int) -> None:
        """Set the learned attributes, without the groups that nobody is in."""
        problem, items = prepared.problem, prepared.comparisons.items
        voters = problem.voters
        posterior = posterior.united(mean_probability(prepared, posterior))
        truncation = np.zeros(int(self.n_groups))
        occupied = occupied_groups(posterior.responsibility[voters > 0], np.random.default_rng([seed, 8]))
        truncation[: len(occupied)] = occupied
        self.n_groups_posterior_ = truncation
        kept = posterior.occupied(voters)
        self.dim_ = None if problem.features is None else problem.features.dim
        self.feature_space_ = items.feature_space
        dim = self.dim_ or 0
        n_effects = 0 if kept.item_precision is None else problem.n_items
        head, effects, covariates = np.split(kept.mean, [dim, dim + n_effects])
        self.coef_ = None if problem.features is None else np.ascontiguousarray(head.T)
        self.item_effects_, self.item_ids_ = None, None
        rows = np.arange(len(kept.mean))
        if n_effects:
            played = np.flatnonzero(problem.played > 0)
            self.item_ids_ = items.ids.take(pa.array(played))
            self.item_effects_ = np.ascontiguousarray(effects[played].T)
            of_items = (rows >= dim) & (rows < dim + n_effects)
            rows = rows[~of_items | np.isin(rows - dim, played)]
        self.covariance_ = None if kept.covariance is None else kept.covariance[:, rows[:, None], rows]
        self.variance_ = None if kept.variance is None else np.ascontiguousarray(kept.variance[rows].T)
        self.basis_ = None if kept.variance is None or self.dim_ is None else kept.basis
        self.covariate_names_ = list(prepared.covariate_names)
        self.covariate_scale_ = prepared.design_scale
        self.covariate_effects_ = covariates.T / prepared.design_scale
        self.weight_draws_ = kept.weight_draws
        self.group_weights_ = kept.weight_draws.mean(axis=0)
        self.group_weights_ = self.group_weights_ / self.group_weights_.sum()
        self.effective_n_ = voters @ kept.responsibility
        self.users_, self.posterior_, self.n_answers_ = prepared.users, kept.responsibility, prepared.n
        self.tie_ = 0.0
        self._learn_annotators(kept.annotators, kept.manner)
        self.ridge_ = kept.ridge if problem.features is not None else kept.item_precision
        self.item_precision_ = kept.item_precision
        self.n_comparisons_ = len(prepared.comparisons)
        self.objective_, self.objective_path_ = float(kept.path[-1]), kept.path
        self.gradient_norm_, self.n_iter_ = kept.gradient_norm, kept.n_iter
        self.starts_ = kept.starts
        terms = Terms(ridge=kept.ridge, item_precision=kept.item_precision)
        self.n_components_, self.separable_ = diagnose(prepared, terms, kept.as_mixture_fit(dim, n_effects))
        self.converged_ = kept.converged
        if not kept.converged:
            warnings.warn(
                f"The fit stopped after {self.max_iter} rounds before it converged; the last state is kept. Raise "
                "max_iter.",
                ConvergenceWarning,
                stacklevel=3,
            )

    def _check_own_settings(self) -> None:
        super()._check_own_settings()
        for name in ("n_groups", "n_init", "steps", "draws", "warmup"):
            if not is_whole(getattr(self, name)):
                refuse(self, name, "an integer of at least 1")
        for name in ("concentration", "learning_rate"):
            if not (is_number(getattr(self, name)) and getattr(self, name) > 0):
                refuse(self, name, "a positive number")
        for name, allowed in (
            ("centre", ("zero", "pooled")),
            ("engine", ("vi", "svi", "nuts")),
            ("covariance", ("auto", "full", "diagonal")),
        ):
            if getattr(self, name) not in allowed:
                refuse(self, name, " or ".join(f'"{choice}"' for choice in allowed))
        if self.ridge == 0:
            refuse(self, "ridge", '"auto" or a positive number, for a posterior needs a prior')

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        extents = self._give_state(document, arrays)
        self._check_annotators()
        require_state((self.dim_ is None) == (self.coef_ is None), "coefficients and dimensions disagree")
        require_state((self.item_effects_ is None) == (self.item_ids_ is None), "item effects and item ids disagree")
        require_state((self.covariance_ is None) != (self.variance_ is None), "there must be one form of covariance")
        wants_basis = self.variance_ is not None and self.dim_ is not None
        require_state((self.basis_ is not None) == wants_basis, "the axes do not fit the variances")
        sizes = extents.get("dim", 0) + extents.get("items", 0) + extents["covariates"]
        require_state(extents["coefficients"] == sizes, "the covariance does not fit the coefficients")
        require_state(self.item_precision_ is None or self.item_precision_ > 0, "item_precision_ is not positive")
        self.tie_ = 0.0
