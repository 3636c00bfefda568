"""Linear heads for people who differ in how they answer as well: how sure they are, and how often they do not look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from pluralism.models.linear import SPEC, LinearPreferenceModel
from pluralism.models.membership import Membership
from pluralism.models.settings import refuse
from pluralism.models.state import extended, require_state
from pluralism.solvers import PairProblem
from pluralism.solvers.annotators import Annotators, Manner, annotator_pass, answer_odds

if TYPE_CHECKING:
    from pluralism.data import Comparisons

__all__ = ["Annotated"]


ARRAYS = {
    "position_": ("users", "manners"),
    "position_covariance_": ("users", "manners", "manners"),
    "annotator_log_temperature_": ("temperatures",),
    "annotator_lapse_": ("lapses",),
    "annotator_shares_": ("temperatures", "lapses"),
    "annotator_tie_share_": ("one",),
}
"""What is learnt of how people answer; absent where all answer alike."""


class Annotated(LinearPreferenceModel):
    """A linear model whose people may have temperatures and lapses: P = (1 - e_u) sigmoid(t_u z) + e_u / 2.

    Where they have, the `position` of a membership is (log temperature, lapse) of each person, a posterior mean with
    its `covariance`; a membership without one stands for people who answer as the population does.
    """

    spec = extended(SPEC, arrays=ARRAYS, optional=ARRAYS)

    @property
    def user_temperature_(self) -> Float[np.ndarray, " users"] | None:
        """Temperature of each training user (geometric posterior mean); None where all answer alike."""
        self._check_fitted()
        return None if self.position_ is None else np.exp(self.position_[:, 0])

    @property
    def user_lapse_(self) -> Float[np.ndarray, " users"] | None:
        """Share of answers that each training user gives without looking (posterior mean); None where all look."""
        self._check_fitted()
        return None if self.position_ is None else self.position_[:, 1]

    def predict_group_proba(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        """P(left preferred, given a decision) for somebody of each group of whom nothing else is known."""
        self._check_fitted()
        left, right, _ = self._odds(comparisons, self._prior(), np.zeros(len(comparisons), np.int64))
        return left / (left + right)

    def adapt(self, comparisons: Comparisons) -> Membership:
        """Place the users of `comparisons` by these answers and the population alone.

        All users of the vocabulary come back, in its order; those without a row have the group weights, and answer as
        people do. The model is not changed.
        """
        self._check_fitted()
        annotators = self._annotators()
        if annotators is None:
            return super().adapt(comparisons)
        problem, scores, effects = self._evidence(comparisons)
        with np.errstate(divide="ignore"):
            log_weights = np.log(self.group_weights_)
        found = annotator_pass(problem, scores, effects, log_weights, annotators, tie=self.tie_, gradient=False)
        n = np.bincount(comparisons.user, comparisons.weight > 0, problem.n_users).astype(np.int64)
        return self._membership(comparisons.users, found.responsibility, n, found.manner.mean, found.manner.covariance)

    def _evidence(
        self, comparisons: Comparisons
    ) -> tuple[PairProblem, Float[np.ndarray, "items groups"], Float[np.ndarray, "covariates groups"]]:
        """What people are placed by: their answers, the rewards of the items and the effects of covariates."""
        effects = (self.covariate_effects_ * self.covariate_scale_).T
        return self._new_problem(comparisons), self.reward(comparisons.items), effects

    def _odds(
        self, comparisons: Comparisons, placed: Membership, user: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        annotators = self._annotators()
        if annotators is None:
            return super()._odds(comparisons, placed, user)
        if placed.position is None or placed.covariance is None:
            manner = annotators.manner()
        else:
            manner = Manner(placed.position[user], placed.covariance[user])
        z, variance = self._logit_moments(comparisons)
        return answer_odds(z, manner, tie=self.tie_, tie_share=annotators.tie_share, variance=variance)

    def _logit_moments(
        self, comparisons: Comparisons
    ) -> tuple[Float[np.ndarray, "pairs groups"], Float[np.ndarray, "pairs groups"] | None]:
        """Logits at temperature 1, and their variances where they have such."""
        return self._logits(comparisons), None

    def _decision_logits(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        self._check_fitted()
        if self.annotator_shares_ is None:
            return self._logits(comparisons)
        p = self.predict_group_proba(comparisons)
        return np.log(p) - np.log1p(-p)

    def _annotators(self) -> Annotators | None:
        """How people answer; None where all answer alike."""
        temperature, lapse = self.annotator_log_temperature_, self.annotator_lapse_
        shares, tie_share = self.annotator_shares_, self.annotator_tie_share_
        if temperature is None or lapse is None or shares is None or tie_share is None:
            return None
        with np.errstate(divide="ignore"):
            return Annotators(temperature, lapse, np.log(shares), float(tie_share[0]))

    def _trained(self) -> Membership:
        return self._membership(
            self.users_, self.posterior_, self.n_answers_, self.position_, self.position_covariance_
        )

    def _prior(self) -> Membership:
        annotators = self._annotators()
        if annotators is None:
            return super()._prior()
        nobody, manner = pa.array([""], pa.large_string()), annotators.manner()
        return self._membership(
            nobody, self.group_weights_[None], np.zeros(1, np.int64), manner.mean, manner.covariance
        )

    def _check_own_settings(self) -> None:
        super()._check_own_settings()
        for name in ("user_temperature", "user_lapse"):
            if getattr(self, name) not in (True, False):
                refuse(self, name, "True or False")

    def _learn_annotators(self, found: Annotators | None, manner: Manner | None) -> None:
        """Set what a fit says of how people answer."""
        self.position_ = None if manner is None else manner.mean
        self.position_covariance_ = None if manner is None else manner.covariance
        self.annotator_log_temperature_ = None if found is None else found.log_temperature
        self.annotator_lapse_ = None if found is None else found.lapse
        self.annotator_shares_ = None if found is None else np.exp(found.log_shares)
        self.annotator_tie_share_ = None if found is None else np.array([found.tie_share])

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        # temperatures of an earlier version had neither a posterior nor a population
        require_state("user_temperature_" not in arrays, "its user temperatures are of an earlier form")
        super()._set_state(document, arrays)
        self._check_annotators()

    def _check_annotators(self) -> None:
        own = [getattr(self, name) for name in ARRAYS]
        require_state(len({value is None for value in own}) == 1, "how people answer is known in part only")
        found = self._annotators()
        if found is None:
            return
        shares = np.exp(found.log_shares)
        require_state(self.position_ is not None and self.position_.shape[1] == 2, "people have two manners")
        require_state(bool(np.isclose(shares.sum(), 1.0)), "the shares of annotators are no probabilities")
        require_state(bool(np.all((found.lapse >= 0) & (found.lapse <= 1))), "a lapse is no share")
        require_state(0 <= found.tie_share < 1, "the share of ties is none")
