"""LoRe: rewards of low rank, every user a mixture of a few linear rewards."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.models.base import Callback, Places, model_document, model_from_document
from pluralism.models.hierarchical_bradley_terry import HierarchicalBradleyTerry
from pluralism.models.membership import Membership
from pluralism.models.preparation import Prepared
from pluralism.models.prototypes import PrototypeModel, prototype_spec
from pluralism.random import RNG
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.item_tables import HeadTable, ItemTable
from pluralism.solvers.prototypes import PrototypeFit
from pluralism.solvers.simplex_users import UserPosterior

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items
    from pluralism.data.folds import FoldBy

__all__ = ["LowRankReward"]

ADOPTED = (
    "users_",
    "n_answers_",
    "posterior_",
    "group_weights_",
    "dim_",
    "feature_space_",
    "objective_",
    "objective_path_",
    "gradient_norm_",
    "n_iter_",
    "converged_",
    "ridge_",
    "ridge_path_",
    "blocks_",
    "n_comparisons_",
    "log_likelihood_",
    "separable_",
    "restart_agreement_",
)


class LowRankReward(PrototypeModel):
    """A few linear rewards, of which every user has a mixture of their own: r_u(x) = w_u' B x.

    On the simplex, users' weights have a Dirichlet prior that is learnt from them. Free weights are Gaussian: the first
    reward is everybody's, w_u1 = 1, and the others are what people add to it or take off, w_u ~ N(0, I), where B is
    learnt with a precision of its own and so holds their covariance; that is `HierarchicalBradleyTerry` on features.
    With one row of B it is Bradley-Terry.

    Parameters
    ----------
    rank : "auto" or int
        Number of rewards that are mixed. "auto" takes the fewest within one standard error of the best held-out user
        likelihood (with free weights, of the best NLL of held-out answers of known users).
    max_rank : int
        The most that "auto" tries.
    weights : {"mixture", "partition", "free"}
        Users mix the rewards, or have one of them each, or depart from everybody's reward in either direction.
    ridge : "auto" or float
        Prior precision of the rewards' coefficients; "auto" chooses it by the NLL of held-out blocks. With free weights
        that of everybody's reward.
    concentration : "auto" or float
        The larger, the closer to one reward for all. In a mixture the strength of a symmetric Dirichlet prior on users'
        weights while the rewards are fitted; "auto" chooses it together with the ridge. The prior by which users are
        placed is learnt afterwards, by empirical Bayes, and with "auto" made as cautious as users whom the rewards
        never saw demand. With free weights the prior precision of the rewards that people add, on features of unit
        variance, and with it how far people's Gaussian prior spreads; "auto" chooses it by held-out answers of known
        users. A partition has none.
    n_init : int
        Starts; the fit with free weights has one.
    blocks : {"auto", "prompt", "item", "user", "vote", "pair", "row"}
        What is held out together when the ridge is chosen.
    tol : float
        Convergence tolerance in nats an answer.
    max_iter : int
    rng : int, Generator or None

    Attributes
    ----------
    coef_ : array of shape (rank, dim)
        The rewards B, on the features as they come.
    free_ : HierarchicalBradleyTerry or None
        The fit with free weights. People are then described by `position` and `covariance` of their membership, there
        is one group, and `control_` is a `BradleyTerry`.

    References
    ----------
    A. Bose et al., LoRe: Personalizing LLMs via low-rank reward modeling, COLM 2025 (arXiv:2504.14439).

    Examples
    --------
    >>> from pluralism.data.simulate import simulate_mixture
    >>> data = simulate_mixture(n_users=60, n_groups=2, n_items=80, dim=4, rng=0).comparisons
    >>> model = LowRankReward(rank=2, ridge=1.0, rng=0).fit(data)
    >>> model.coef_.shape
    (2, 4)
    """

    free_: HierarchicalBradleyTerry | None
    spec = prototype_spec({"coef_": ("groups", "dim")})
    _number: ClassVar[str] = "rank"
    _kinds: ClassVar[tuple[str, ...]] = ("mixture", "partition", "free")

    def __init__(
        self,
        *,
        rank: int | Literal["auto"] = "auto",
        max_rank: int = 8,
        weights: Literal["mixture", "partition", "free"] = "mixture",
        ridge: float | Literal["auto"] = "auto",
        concentration: float | Literal["auto"] = "auto",
        n_init: int = 4,
        blocks: FoldBy | Literal["auto"] = "auto",
        tol: float = 1e-9,
        max_iter: int = 1000,
        rng: RNG = 0,
    ) -> None:
        self.rank = rank
        self.max_rank = max_rank
        self.weights = weights
        self.ridge = ridge
        self.concentration = concentration
        self.n_init = n_init
        self.blocks = blocks
        self.tol = tol
        self.max_iter = max_iter
        self.rng = rng

    @property
    def places(self) -> Places:
        """What describes a person: weights on the simplex, or the factors that free weights are."""
        return "factors" if self.weights == "free" else "weights"

    @property
    def fingerprint_(self) -> str:
        """As in `PreferenceModel`; with free weights that of the fit behind them."""
        self._check_fitted()
        return super().fingerprint_ if self.free_ is None else self.free_.fingerprint_

    def fit(
        self,
        comparisons: Comparisons,
        *,
        checkpoint: str | Path | None = None,
        callback: Callback | None = None,
    ) -> Self:
        """Fit to comparisons of items with features; parameters as in `BradleyTerry.fit`."""
        if self.weights != "free":
            super().fit(comparisons, checkpoint=checkpoint, callback=callback)
            self.free_ = None
            return self
        self._forget()
        self._check_settings()
        self._check_features(comparisons)
        model = HierarchicalBradleyTerry(
            rank="auto" if self.rank == "auto" else self.rank - 1,
            max_rank=self.max_rank - 1,
            item_loadings=False,
            item_effects=False,
            loading_precision=self.concentration,
            ridge=self.ridge,
            blocks=self.blocks,
            tol=self.tol,
            max_iter=self.max_iter,
            rng=self.rng,
        )
        self._adopt(model.fit(comparisons, checkpoint=checkpoint, callback=callback))
        return self

    def reward(self, items: Items) -> Float[np.ndarray, "items groups"]:
        """Each of the mixed rewards of each item, in logits; 0 for the average item of the training data.

        With free weights everybody's reward, of which each person's departs.
        """
        if self._behind is not None:
            return self._behind.reward(items)
        return self._centred(items).matmul(self.coef_.T)

    def user_reward(self, items: Items, membership: Membership | None = None) -> Float[np.ndarray, "items users"]:
        """Expected reward of each item for each person, in logits; as in `PreferenceModel.user_reward`."""
        if self._behind is not None:
            return self._behind.user_reward(items, membership)
        return super().user_reward(items, membership)

    def predict_group_proba(self, comparisons: Comparisons) -> Float[np.ndarray, "pairs groups"]:
        """P(left preferred) for somebody who has one of the rewards alone; with free weights, for somebody unknown."""
        if self._behind is not None:
            return self._behind.predict_group_proba(comparisons)
        return super().predict_group_proba(comparisons)

    def predict_proba(
        self, comparisons: Comparisons, *, membership: Membership | None = None
    ) -> Float[np.ndarray, " pairs"]:
        """P(left preferred) for the user of each row, over what is not known of the user's weights."""
        if self._behind is not None:
            return self._behind.predict_proba(comparisons, membership=membership)
        return super().predict_proba(comparisons, membership=membership)

    def adapt(self, comparisons: Comparisons) -> Membership:
        """Place the users of `comparisons` by these answers and the prior learnt from the training users."""
        return super().adapt(comparisons) if self._behind is None else self._behind.adapt(comparisons)

    def posterior(self, comparisons: Comparisons) -> UserPosterior:
        """Posterior of weights on the simplex; as in `PrototypeModel.posterior`.

        Raises
        ------
        UsageError
            With free weights, which have no such posterior.
        """
        if self._behind is not None:
            raise UsageError(
                "Free weights are not on the simplex.",
                fix="Their mean and covariance are `position` and `covariance` of what adapt(comparisons) returns.",
            )
        return super().posterior(comparisons)

    @property
    def _behind(self) -> HierarchicalBradleyTerry | None:
        self._check_fitted()
        return self.free_

    def _adopt(self, model: HierarchicalBradleyTerry) -> None:
        """Take what a fit with free weights learnt."""
        self.free_, self.control_, self.selection_ = model, model.control_, model.rank_selection_
        for name in ADOPTED:
            setattr(self, name, getattr(model, name))
        self.coef_ = np.vstack([part for part in (model.coef_, model.factor_coef_) if part is not None])

    def _trained(self) -> Membership:
        return super()._trained() if self.free_ is None else self.free_._trained()

    def _prior(self) -> Membership:
        return super()._prior() if self.free_ is None else self.free_._prior()

    def _item_table(self, features: CentredFeatures, n_groups: int, ridge: float, n_latent: int) -> ItemTable:
        return HeadTable(features, n_groups, ridge, quadratic=False)

    def _learn(self, prepared: Prepared, table: ItemTable, fit: PrototypeFit) -> None:
        if not isinstance(table, HeadTable):
            raise TypeError("the rewards of LoRe are heads")
        self.free_ = None
        self.center_ = table.features.center
        self.coef_ = np.ascontiguousarray(table.heads(fit.x).T) / table.features.scale

    def _state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        if self.free_ is None:
            return super()._state()
        document, arrays = model_document(self.free_)
        return {"free": document}, arrays

    def _set_state(self, document: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        if self.weights != "free":
            self.free_ = None
            super()._set_state(document, arrays)
            return
        model = model_from_document(document["free"], arrays)
        if not isinstance(model, HierarchicalBradleyTerry):
            raise ValueError("free weights are those of another model")
        self._adopt(model)
