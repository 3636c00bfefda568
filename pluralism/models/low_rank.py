"""LoRe: rewards of low rank, every user a mixture of a few linear rewards."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from pluralism.models.preparation import Prepared
from pluralism.models.prototypes import PrototypeModel, prototype_spec
from pluralism.random import RNG
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.item_tables import HeadTable, ItemTable
from pluralism.solvers.prototypes import PrototypeFit

if TYPE_CHECKING:
    from pluralism.data import Items
    from pluralism.data.folds import FoldBy

__all__ = ["LowRankReward"]


class LowRankReward(PrototypeModel):
    """A few linear rewards, of which every user has a mixture of their own: r_u(x) = w_u' B x, w_u on the simplex.

    Users' weights have a Dirichlet prior that is learnt from them. With one row of B it is Bradley-Terry.

    Parameters
    ----------
    rank : "auto" or int
        Number of rewards that are mixed. "auto" takes the fewest within one standard error of the best held-out user
        likelihood.
    max_rank : int
        The most that "auto" tries.
    weights : {"mixture", "partition"}
        Users mix the rewards, or have one of them each.
    ridge : "auto" or float
        Prior precision of the rewards' coefficients; "auto" chooses it by the NLL of held-out blocks.
    concentration : "auto" or float
        Strength of a symmetric Dirichlet prior on users' weights while the prototypes are fitted (in a mixture); the
        larger, the closer to one reward for all. "auto" chooses it together with the ridge. The prior by which users
        are placed is learnt afterwards, by empirical Bayes, and with "auto" made as cautious as users whom the
        prototypes never saw demand.
    n_init : int
        Starts.
    blocks : {"auto", "prompt", "item", "user", "vote", "pair", "row"}
        What is held out together when the ridge is chosen.
    tol : float
        Convergence tolerance in nats an answer.
    max_iter : int
    rng : int, Generator or None

    Attributes
    ----------
    coef_ : array of shape (groups, dim)
        The rewards B, on the features as they come.

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

    spec = prototype_spec({"coef_": ("groups", "dim")})
    _number: ClassVar[str] = "rank"

    def __init__(
        self,
        *,
        rank: int | Literal["auto"] = "auto",
        max_rank: int = 8,
        weights: Literal["mixture", "partition"] = "mixture",
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

    def reward(self, items: Items) -> Float[np.ndarray, "items groups"]:
        """Each of the mixed rewards of each item, in logits; 0 for the average item of the training data."""
        return self._centred(items).matmul(self.coef_.T)

    def _item_table(self, features: CentredFeatures, n_groups: int, ridge: float, n_latent: int) -> ItemTable:
        return HeadTable(features, n_groups, ridge, quadratic=False)

    def _learn(self, prepared: Prepared, table: ItemTable, fit: PrototypeFit) -> None:
        if not isinstance(table, HeadTable):
            raise TypeError("the rewards of LoRe are heads")
        self.center_ = table.features.center
        self.coef_ = np.ascontiguousarray(table.heads(fit.x).T) / table.features.scale

    def _control(self, seed: int) -> LowRankReward:
        parameters = self.get_params(deep=False) | {"rank": 1, "rng": seed}
        return LowRankReward(**parameters)
