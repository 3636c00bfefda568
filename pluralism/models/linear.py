"""What all linear-head models share: rewards, predictions, placing users, uncertainty and their saved form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit, softmax

from pluralism.errors import UsageError
from pluralism.models.base import PreferenceModel
from pluralism.models.head_uncertainty import HeadUncertainty
from pluralism.models.membership import Membership
from pluralism.models.preparation import covariate_design
from pluralism.models.state import StateSpec, require_state
from pluralism.random import RNG, as_generator
from pluralism.solvers import PairProblem, group_log_likelihood

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items

__all__ = ["LinearPreferenceModel"]

SPEC = StateSpec(
    arrays={
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
    },
    labels={"users_": "users", "item_ids_": "items"},
    optional=frozenset({"coef_", "item_effects_", "item_ids_", "covariance_"}),
    numbers=("objective_", "gradient_norm_", "log_likelihood_", "tie_", "restart_agreement_"),
    optional_numbers=("ridge_", "item_precision_", "bic_", "icl_"),
    counts=("n_iter_", "n_comparisons_", "n_components_"),
    flags=("converged_", "separable_"),
    names=("covariate_names_",),
    optional_names=("feature_space_", "blocks_"),
    plain=("selection_", "ridge_path_"),
)


class LinearPreferenceModel(PreferenceModel):
    """Rewards linear in frozen features, plus item effects and covariates, for one or more groups.

    Learned attributes (all end in an underscore): `coef_` (groups, dim) or None without features, `item_effects_`
    (groups, known items) or None, `item_ids_`, `covariate_names_`, `covariate_effects_` (groups, covariates) in
    logits a unit of the covariate, `group_weights_` (groups,), `effective_n_` (groups,) users' worth of weight,
    `users_`, `posterior_` (users, groups), `ridge_`, `item_precision_`, `tie_` (Davidson's nu), `converged_`,
    `n_iter_`, `objective_`, `objective_path_`, `gradient_norm_`, `log_likelihood_`, `selection_`.
    """

    spec = SPEC

    def reward(self, items: Items) -> Float[np.ndarray, "items groups"]:
        """Reward of each item for each group, in logits.

        Only differences within a comparison mean something; the prior puts an unknown item with the average text
        at 0. Items unknown to a model with item effects have the reward their text predicts.
        """
        self._check_fitted()
        n_groups = self.n_groups_
        scores = np.zeros((len(items), n_groups))
        if self.coef_ is not None:
            scores += self._features(items).matmul(self.coef_.T)
        if self.item_effects_ is not None:
            known, where = self._known_items(items)
            scores[known] += self.item_effects_[:, where].T
        return scores

    def reward_std(self, items: Items) -> Float[np.ndarray, "items groups"]:
        """Standard deviation of `reward` by Laplace's approximation, in logits.

        Raises
        ------
        UsageError
            If the model was fitted without uncertainty, or has more coefficients than an exact covariance is kept for.
        """
        self._check_fitted()
        if self.covariance_ is None:
            raise UsageError(
                "This model has no covariance of its coefficients.",
                fix="Fit with uncertainty=True; exact covariances are kept for up to 4,096 coefficients a group "
                "(dimensions, item effects and covariates together).",
            )
        return self._reward_std(items)

    def _reward_std(self, items: Items) -> Float[np.ndarray, "items groups"]:
        features = None if self.coef_ is None else self._features(items)
        where = self._effect_positions(items)
        variance = [spread.of_items(features, where) for spread in self._uncertainties()]
        return np.sqrt(np.maximum(np.stack(variance, axis=1), 0.0))

    def reward_draws(self, items: Items, n_draws: int, rng: RNG = None) -> Float[np.ndarray, "draws items groups"]:
        """Draws of the rewards of all items together from their (Laplace) posterior, in logits; see `reward_std`."""
        self.reward_std(items.take([]))  # says why there is no posterior, where there is none
        generator = as_generator(rng, "reward draws")
        mean = self.reward(items)
        features = None if self.coef_ is None else self._features(items)
        where = self._effect_positions(items)
        draws = [
            spread.draws(features, where, n_draws, generator) + mean[:, k]
            for k, spread in enumerate(self._uncertainties())
        ]
        return np.stack(draws, axis=2)

    def predict_group_proba(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        """P(left preferred, given a decision) under each group."""
        return expit(self._decision_logits(comparisons))

    def predict_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """P(left preferred, given a decision) for the user of each row.

        Users in `membership` (from `adapt`) are placed by it, users of the training data by their posterior, and all
        others by the group weights.
        """
        self._check_fitted()
        placed = self._placed(comparisons, membership)
        left, right, _ = self._odds(comparisons, placed, comparisons.user)
        return _ratio(placed.posterior[comparisons.user], left, left + right)

    def predict_tie_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """P(tie) for the user of each row (Davidson 1970).

        Raises
        ------
        UsageError
            If the model was fitted without a tie parameter.
        """
        self._check_fitted()
        if self.tie_ == 0.0:
            raise UsageError("This model has no probability of a tie.", fix='Fit with ties="davidson".')
        placed = self._placed(comparisons, membership)
        tied = self._odds(comparisons, placed, comparisons.user)[2]
        return np.sum(placed.posterior[comparisons.user] * tied, axis=1)

    def adapt(self, comparisons: Comparisons) -> Membership:
        """Place the users of `comparisons` by these answers and the group weights alone.

        All users of the vocabulary come back, in its order; those without a row have the group weights.
        The model is not changed.
        """
        self._check_fitted()
        problem = self._new_problem(comparisons)
        effects = (self.covariate_effects_ * self.covariate_scale_).T
        evidence = group_log_likelihood(problem, self.reward(comparisons.items), effects, tie=self.tie_)
        with np.errstate(divide="ignore"):
            posterior = softmax(evidence + np.log(self.group_weights_), axis=1)
        n = np.bincount(comparisons.user, comparisons.weight > 0, problem.n_users).astype(np.int64)
        return self._membership(comparisons.users, posterior, n)

    def group_weight_intervals(self, level: float = 0.95) -> Float[np.ndarray, "groups 2"]:
        """Credible interval of each group's share of users: the Beta margins of the Dirichlet posterior."""
        from scipy.stats import beta

        self._check_fitted()
        counts = self.effective_n_ + 1.0
        rest = counts.sum() - counts
        if len(counts) == 1:
            return np.ones((1, 2))
        tail = (1.0 - level) / 2.0
        return np.stack([beta.ppf(tail, counts, rest), beta.ppf(1.0 - tail, counts, rest)], axis=1)

    def _design(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs covariates"]:
        _, design = covariate_design(
            comparisons, [n for n in self.covariate_names_ if n in self.covariates], position_bias=self.position_bias
        )
        return design

    def _new_problem(self, comparisons: Comparisons) -> PairProblem:
        problem, _ = PairProblem.build(
            comparisons.user,
            comparisons.left,
            comparisons.right,
            comparisons.outcome,
            comparisons.weight,
            n_users=comparisons.n_users,
            n_items=len(comparisons.items),
            design=self._design(comparisons) / self.covariate_scale_,
        )
        return problem

    def _decision_logits(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        return self._logits(comparisons)

    def _logits(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        """Differences of rewards, left minus right, with what covariates add."""
        scores = self.reward(comparisons.items)
        z = scores[comparisons.left] - scores[comparisons.right]
        return z + self._design(comparisons) @ self.covariate_effects_.T

    def _odds(
        self, comparisons: Comparisons, placed: Membership, user: Int[np.ndarray, " pairs"]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """P(left), P(right) and P(tie) of each row under each group, for the user given (a row of `placed`)."""
        return _outcomes(self._logits(comparisons), self.tie_)

    def _check_own_settings(self) -> None:
        """Refuse settings of this model that cannot work, by name."""

    def _known_items(self, items: Items) -> tuple[Int[np.ndarray, " known"], Int[np.ndarray, " known"]]:
        """Positions in `items` of those with an effect, and where their effects are."""
        import pyarrow.compute as pc

        found = pc.fill_null(pc.index_in(items.ids, value_set=self.item_ids_), -1).to_numpy(zero_copy_only=False)
        known = np.flatnonzero(found >= 0)
        return known, found[known].astype(np.int64)

    def _effect_positions(self, items: Items) -> Int[np.ndarray, " items"]:
        """Where the effect of each item is, -1 where it has none."""
        where = np.full(len(items), -1)
        if self.item_effects_ is not None:
            known, position = self._known_items(items)
            where[known] = position
        return where

    def _uncertainties(self) -> list[HeadUncertainty]:
        """Of each group's coefficients."""
        dim = 0 if self.coef_ is None else self.coef_.shape[1]
        n_items = 0 if self.item_effects_ is None else self.item_effects_.shape[1]
        unknown = 0.0 if self.item_precision_ is None else 1.0 / self.item_precision_
        return [HeadUncertainty.full(covariance, dim, n_items, unknown) for covariance in self.covariance_]

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        extents = self._give_state(document, arrays)
        require_state(document["tie_"] >= 0, "tie_ is negative")
        require_state((self.dim_ is None) == (self.coef_ is None), "coefficients and dimensions disagree")
        require_state(
            self.coef_ is not None or self.item_effects_ is not None, "there are neither coefficients nor item effects"
        )
        require_state((self.item_effects_ is None) == (self.item_ids_ is None), "item effects and item ids disagree")
        sizes = extents.get("dim", 0) + extents.get("items", 0) + extents["covariates"]
        require_state(extents.get("coefficients", sizes) == sizes, "the covariance does not fit the coefficients")


def _outcomes(z: Float[np.ndarray, "pairs groups"], tie: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Davidson's probabilities of left, right and tie."""
    half = np.exp(-0.5 * np.abs(z))
    total = 1.0 + half * half + tie * half
    winner, loser = 1.0 / total, half * half / total
    return np.where(z >= 0, winner, loser), np.where(z >= 0, loser, winner), tie * half / total


def _ratio(weight: np.ndarray, part: np.ndarray, whole: np.ndarray) -> Float[np.ndarray, " pairs"]:
    return np.sum(weight * part, axis=1) / np.sum(weight * whole, axis=1)
