"""What all linear-head models share: rewards, predictions, placing users, uncertainty and their saved form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float, Int
from scipy.special import expit, softmax

from pluralism.errors import DataError, UsageError
from pluralism.files import decode_strings, encode_strings
from pluralism.models.base import PreferenceModel
from pluralism.models.membership import Membership
from pluralism.models.preparation import covariate_design
from pluralism.models.state_check import check_state
from pluralism.solvers import FeatureMatrix, PairProblem, group_log_likelihood

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items

__all__ = ["LinearPreferenceModel"]

SCALARS = (
    "ridge_",
    "item_precision_",
    "converged_",
    "n_iter_",
    "objective_",
    "gradient_norm_",
    "log_likelihood_",
    "tie_",
    "dim_",
    "feature_space_",
    "covariate_names_",
    "selection_",
    "ridge_path_",
    "blocks_",
    "n_comparisons_",
    "bic_",
    "icl_",
    "restart_agreement_",
    "separable_",
    "n_components_",
)
ARRAYS = (
    "coef_",
    "item_effects_",
    "covariate_effects_",
    "covariate_scale_",
    "group_weights_",
    "effective_n_",
    "posterior_",
    "n_answers_",
    "objective_path_",
    "covariance_",
    "user_temperature_",
)
STRINGS = ("users_", "item_ids_")


class LinearPreferenceModel(PreferenceModel):
    """Rewards linear in frozen features, plus item effects and covariates, for one or more groups.

    Learned attributes (all end in an underscore): `coef_` (groups, dim) or None without features, `item_effects_`
    (groups, known items) or None, `item_ids_`, `covariate_names_`, `covariate_effects_` (groups, covariates) in
    logits a unit of the covariate, `group_weights_` (groups,), `effective_n_` (groups,) users' worth of weight,
    `users_`, `posterior_` (users, groups), `ridge_`, `item_precision_`, `tie_` (Davidson's nu), `converged_`,
    `n_iter_`, `objective_`, `objective_path_`, `gradient_norm_`, `log_likelihood_`, `selection_`.
    """

    @property
    def n_groups_(self) -> int:
        """Number of groups; 1 for a pooled model."""
        self._check_fitted()
        return len(self.group_weights_)

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
        dim = 0 if self.coef_ is None else self.coef_.shape[1]
        n_effects = 0 if self.item_effects_ is None else self.item_effects_.shape[1]
        variance = np.zeros((len(items), self.n_groups_))
        matrix = None
        if self.coef_ is not None:
            matrix = self._features(items)
        for k, covariance in enumerate(self.covariance_):
            if matrix is not None:
                variance[:, k] = matrix.quadratic(covariance[:dim, :dim])
            if n_effects:
                known, where = self._known_items(items)
                own = np.full(len(items), 1.0 / self.item_precision_)
                own[known] = np.diag(covariance)[dim + where]
                variance[:, k] += own
                if matrix is not None and len(known):
                    cross = covariance[:dim, dim + where]
                    variance[known, k] += 2.0 * np.einsum("ij,ji->i", matrix.rows(known), cross)
        return np.sqrt(np.maximum(variance, 0.0))

    def predict_group_proba(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        """P(left preferred, given a decision) under each group, at the average temperature."""
        return expit(self._logits(comparisons))

    def predict_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """P(left preferred, given a decision) for the user of each row.

        Users in `membership` (from `adapt`) are placed by it, users of the training data by their posterior, and all
        others by the group weights.
        """
        z, weight = self._logits_of_users(comparisons, membership)
        left, right, _ = _outcomes(z, self.tie_)
        return _ratio(weight, left, left + right)

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
        z, weight = self._logits_of_users(comparisons, membership)
        return np.sum(weight * _outcomes(z, self.tie_)[2], axis=1)

    def membership(self, comparisons: Comparisons | None = None) -> Membership:
        """Membership of the training users, or of those users of `comparisons` (unknown ones have the prior)."""
        self._check_fitted()
        trained = Membership(self.users_, self.posterior_, self.n_answers_)
        if comparisons is None:
            return trained
        users = comparisons.users.take(pa.array(np.unique(comparisons.user)))
        rows = trained.index(users)
        known = rows >= 0
        posterior = np.where(known[:, None], trained.posterior[rows], self.group_weights_)
        return Membership(users, posterior, np.where(known, trained.n[rows], 0))

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
        return Membership(comparisons.users, posterior, n)

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

    def _logits(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        scores = self.reward(comparisons.items)
        z = scores[comparisons.left] - scores[comparisons.right]
        return z + self._design(comparisons) @ self.covariate_effects_.T

    def _logits_of_users(
        self, comparisons: Comparisons, membership: Membership | None
    ) -> tuple[Float[np.ndarray, "pairs groups"], Float[np.ndarray, "pairs groups"]]:
        z = self._logits(comparisons)
        trained = Membership(self.users_, self.posterior_, self.n_answers_)
        rows = trained.index(comparisons.users)
        per_user = np.where(rows[:, None] >= 0, trained.posterior[rows], self.group_weights_)
        if self.user_temperature_ is not None:
            z = z * np.where(rows >= 0, self.user_temperature_[rows], 1.0)[comparisons.user, None]
        if membership is not None:
            if membership.n_groups != self.n_groups_:
                raise UsageError(
                    f"The membership is over {membership.n_groups} groups, the model has {self.n_groups_}.",
                    fix="Use the membership that this model's adapt() returned.",
                )
            placed = membership.index(comparisons.users)
            per_user = np.where(placed[:, None] >= 0, membership.posterior[placed], per_user)
        return z, per_user[comparisons.user]

    def _known_items(self, items: Items) -> tuple[Int[np.ndarray, " known"], Int[np.ndarray, " known"]]:
        """Positions in `items` of those with an effect, and where their effects are."""
        import pyarrow.compute as pc

        found = pc.fill_null(pc.index_in(items.ids, value_set=self.item_ids_), -1).to_numpy(zero_copy_only=False)
        known = np.flatnonzero(found >= 0)
        return known, found[known].astype(np.int64)

    def _features(self, items: Items) -> FeatureMatrix:
        """The items' features, if they are of the space the model was fitted on."""
        if items.features is None:
            raise DataError(
                "The items have no features, and this model was fitted on features.",
                fix="Call .embed(encoder) with the encoder of the fit, or .with_features(matrix).",
            )
        if items.features.shape[1] != self.dim_:
            raise DataError(
                f"The items have {items.features.shape[1]} dimensions, the model was fitted on {self.dim_}.",
                fix="Embed with the encoder of the fit.",
            )
        if self.feature_space_ is not None and items.feature_space not in (None, self.feature_space_):
            raise DataError(
                f"The features are of the space {items.feature_space!r}, the model was fitted on "
                f"{self.feature_space_!r}.",
                fix="Embed with the encoder, revision, pooling and precision of the fit.",
            )
        return FeatureMatrix(items.features)

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        document: dict[str, Any] = {name: getattr(self, name) for name in SCALARS}
        arrays = {name: getattr(self, name) for name in ARRAYS if getattr(self, name) is not None}
        for name in STRINGS:
            if getattr(self, name) is not None:
                arrays |= {f"{name}.{key}": value for key, value in encode_strings(getattr(self, name)).items()}
        return document, {name: np.ascontiguousarray(value) for name, value in arrays.items()}

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        check_state(document, arrays)
        for name in SCALARS:
            setattr(self, name, document[name])
        for name in ARRAYS:
            setattr(self, name, arrays.get(name))
        for name in STRINGS:
            parts = {key.split(".", 1)[1]: value for key, value in arrays.items() if key.startswith(f"{name}.")}
            setattr(self, name, pa.array(decode_strings(parts), pa.large_string()) if parts else None)
        if self.users_ is None or len(self.users_) != len(self.posterior_):
            raise ValueError("users and posterior disagree in length")
        if (self.item_effects_ is None) != (self.item_ids_ is None) or (
            self.item_ids_ is not None and len(self.item_ids_) != self.item_effects_.shape[1]
        ):
            raise ValueError("item effects and item ids disagree in length")


def _outcomes(z: Float[np.ndarray, "pairs groups"], tie: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Davidson's probabilities of left, right and tie."""
    half = np.exp(-0.5 * np.abs(z))
    total = 1.0 + half * half + tie * half
    winner, loser = 1.0 / total, half * half / total
    return np.where(z >= 0, winner, loser), np.where(z >= 0, loser, winner), tie * half / total


def _ratio(weight: np.ndarray, part: np.ndarray, whole: np.ndarray) -> Float[np.ndarray, " pairs"]:
    return np.sum(weight * part, axis=1) / np.sum(weight * whole, axis=1)
