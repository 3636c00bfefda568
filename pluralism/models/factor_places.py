"""Predictions and places of people who differ by factors: what a fitted hierarchical model does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from jaxtyping import Float
from scipy.special import expit

from pluralism.errors import UsageError
from pluralism.models.base import Places
from pluralism.models.linear import SPEC, LinearPreferenceModel
from pluralism.models.membership import Membership
from pluralism.models.state import extended
from pluralism.solvers import (
    PairProblem,
    Placement,
    place_tie_propensity,
    place_users,
    placed_logits,
    placed_proba,
    tie_offset,
)

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items

__all__ = ["PlacedByFactors", "beside", "fitted_proba", "flat"]


class PlacedByFactors(LinearPreferenceModel):
    """Rewards of groups, and loadings of items and covariates on the factors of each person."""

    places: Places = "factors"
    spec = extended(
        SPEC,
        arrays={
            "factor_coef_": ("factors", "dim"),
            "factor_items_": ("factors", "items"),
            "factor_covariates_": ("factors", "covariates"),
            "position_": ("users", "positions"),
            "position_covariance_": ("users", "positions", "positions"),
        },
        optional={"factor_coef_", "factor_items_"},
        counts=("rank_",),
        optional_numbers=("loading_precision_", "tie_mean_", "tie_sd_"),
        names=("factor_names_",),
        plain=("rank_selection_",),
    )

    def reward_std(self, items: Items) -> Float[np.ndarray, "items groups"]:
        """Not known for this model: how far people differ is, see `membership().covariance`.

        Raises
        ------
        UsageError
            Always.
        """
        raise UsageError(
            "The uncertainty of a group's rewards is not kept where people differ around them.",
            fix="Bootstrap over users with RewardEnsemble, or use MixtureBradleyTerry.",
        )

    def predict_group_proba(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        """P(left preferred) for somebody of each group of whom nothing else is known."""
        self._check_fitted()
        nobody = np.zeros(len(comparisons), dtype=np.int64)
        return expit(self._placed_logits(comparisons, nobody, self._prior()))

    def predict_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """P(left preferred) for the user of each row, averaged over what is not known of the user.

        Users in `membership` (from `adapt`) stand where it says, users of the training data where they stood, and of
        all others nothing is known.
        """
        self._check_fitted()
        placed = self._placed(comparisons, membership)
        logits = self._placed_logits(comparisons, comparisons.user, placed)
        return placed_proba(logits, placed.posterior[comparisons.user])

    def predict_tie_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """P(tie) for the user of each row (Davidson 1970, with each person's own propensity).

        Raises
        ------
        UsageError
            If the model was fitted without ties of their own.
        """
        self._check_fitted()
        if self.tie_mean_ is None:
            raise UsageError("This model has no probability of a tie.", fix='Fit with ties="davidson".')
        placed = self._placed(comparisons, membership)
        offset = tie_offset(self.predict_proba(comparisons, membership=membership))
        position, covariance = self._factors_of(placed)
        mean, variance = position[comparisons.user, -1], covariance[comparisons.user, -1, -1]
        return expit((mean + offset) / np.sqrt(1.0 + np.pi / 8.0 * variance))

    def adapt(self, comparisons: Comparisons) -> Membership:
        """Place the users of `comparisons` by these answers and the prior alone.

        All users of the vocabulary come back, in its order; those without a row have the prior. The model is not
        changed.
        """
        self._check_fitted()
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.group_weights_)
        problem = self._new_problem(comparisons)
        decisions = problem if self.tie_mean_ is None else problem.without_ties()
        effects = self._effects() * self.covariate_scale_[:, None]
        table = self._table(comparisons.items)
        found = place_users(decisions, table, effects, log_weights)
        position, covariance = flat(found.mean, found.covariance)
        if self.tie_mean_ is not None and self.tie_sd_ is not None:
            p = fitted_proba(problem, table, effects, found)
            tied = problem.outcome == 0.5
            position, covariance = beside(
                position,
                covariance,
                *place_tie_propensity(
                    problem.user, tied, tie_offset(p), problem.weight, problem.n_users, self.tie_mean_, self.tie_sd_
                ),
            )
        n = np.bincount(comparisons.user, comparisons.weight > 0, comparisons.n_users).astype(np.int64)
        return self._membership(comparisons.users, found.posterior, n, position, covariance)

    def user_reward(self, items: Items, membership: Membership | None = None) -> Float[np.ndarray, "items users"]:
        """Expected reward of each item for each person, in logits; as in `PreferenceModel.user_reward`."""
        self._check_fitted()
        placed = self._own(membership)
        table, k = self._table(items), self.n_groups_
        factors = self._factors_of(placed)[0][:, : k * len(self.factor_names_)].reshape(len(placed), k, -1)
        return table[:, :k] @ placed.posterior.T + table[:, k:] @ np.einsum("uk,ukq->qu", placed.posterior, factors)

    def _trained(self) -> Membership:
        return self._membership(
            self.users_, self.posterior_, self.n_answers_, self.position_, self.position_covariance_
        )

    def _prior(self) -> Membership:
        k, q = self.n_groups_, len(self.factor_names_)
        position, covariance = flat(np.zeros((1, k, q)), np.tile(np.eye(q), (1, k, 1, 1)))
        if self.tie_mean_ is not None and self.tie_sd_ is not None:
            position, covariance = beside(position, covariance, np.array([self.tie_mean_]), np.array([self.tie_sd_**2]))
        nobody = pa.array([""], pa.large_string())
        return self._membership(nobody, self.group_weights_[None], np.zeros(1, np.int64), position, covariance)

    def _factors_of(
        self, placed: Membership
    ) -> tuple[Float[np.ndarray, "users positions"], Float[np.ndarray, "users positions positions"]]:
        if placed.position is None or placed.covariance is None:
            raise UsageError("The membership says nothing of factors.", fix="Use what this model's adapt() returned.")
        expected = self.n_groups_ * len(self.factor_names_) + (self.tie_mean_ is not None)
        if placed.position.shape[1] != expected:
            raise UsageError(
                f"The membership has {placed.position.shape[1]} factors, the model {expected}.",
                fix="Use what this model's adapt() returned.",
            )
        return placed.position, placed.covariance

    def _table(self, items: Items) -> Float[np.ndarray, "items columns"]:
        """Rewards of the groups, then loadings."""
        loadings = np.zeros((len(items), len(self.factor_names_)))
        if self.factor_coef_ is not None:
            loadings += self._features(items).matmul(self.factor_coef_.T)
        if self.factor_items_ is not None:
            known, where = self._known_items(items)
            loadings[known] += self.factor_items_[:, where].T
        return np.hstack([self.reward(items), loadings])

    def _effects(self) -> Float[np.ndarray, "covariates columns"]:
        """Effects of a unit of each covariate on the rewards of the groups, then loadings."""
        return np.vstack([self.covariate_effects_, self.factor_covariates_]).T

    def _placed_logits(
        self, comparisons: Comparisons, user: np.ndarray, placed: Membership
    ) -> Float[np.ndarray, "pairs groups"]:
        k, q = self.n_groups_, len(self.factor_names_)
        position, covariance = self._factors_of(placed)
        blocks = covariance[:, : k * q, : k * q].reshape(len(placed), k, q, k, q)
        return placed_logits(
            self._table(comparisons.items),
            self._design(comparisons) @ self._effects(),
            comparisons.left,
            comparisons.right,
            user,
            position[:, : k * q].reshape(len(placed), k, q),
            np.stack([blocks[:, j, :, j, :] for j in range(k)], axis=1),
        )


def flat(
    mean: Float[np.ndarray, "users groups factors"], covariance: Float[np.ndarray, "users groups factors factors"]
) -> tuple[Float[np.ndarray, "users positions"], Float[np.ndarray, "users positions positions"]]:
    """Factors under each group side by side, with a covariance in blocks."""
    users, k, q = mean.shape
    out = np.zeros((users, k, q, k, q))
    for j in range(k):
        out[:, j, :, j, :] = covariance[:, j]
    return mean.reshape(users, k * q).copy(), out.reshape(users, k * q, k * q)


def beside(
    position: Float[np.ndarray, "users positions"],
    covariance: Float[np.ndarray, "users positions positions"],
    mean: Float[np.ndarray, " users"],
    variance: Float[np.ndarray, " users"],
) -> tuple[Float[np.ndarray, "users more"], Float[np.ndarray, "users more more"]]:
    """One more, independent coordinate."""
    wider = np.pad(covariance, ((0, 0), (0, 1), (0, 1)))
    wider[:, -1, -1] = variance
    return np.hstack([position, mean[:, None]]), wider


def fitted_proba(
    problem: PairProblem,
    table: Float[np.ndarray, "items columns"],
    effects: Float[np.ndarray, "covariates columns"],
    found: Placement,
) -> Float[np.ndarray, " pairs"]:
    """P(left) of the problem's rows for its own users."""
    logits = placed_logits(
        table, problem.design @ effects, problem.left, problem.right, problem.user, found.mean, found.covariance
    )
    return placed_proba(logits, found.posterior[problem.user])
