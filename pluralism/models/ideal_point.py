"""PAL-A: people like what is close to a point of their own, which is a mixture of a few prototypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.models.mapped_items import MAP_ARRAYS, MappedItems
from pluralism.models.membership import Membership
from pluralism.models.preparation import Prepared
from pluralism.models.prototype_selection import PrototypeSearch
from pluralism.models.prototypes import prototype_spec
from pluralism.models.settings import is_whole, refuse
from pluralism.random import RNG
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.ideal_table import IdealTable
from pluralism.solvers.item_tables import HeadTable, ItemTable
from pluralism.solvers.pairs import PairProblem
from pluralism.solvers.prototypes import PrototypeFit
from pluralism.solvers.simplex_users import UserPosterior

if TYPE_CHECKING:
    from pluralism.data import Comparisons, Items
    from pluralism.data.folds import FoldBy

__all__ = ["IdealPoint"]

NUDGE = 1e-4


class IdealPoint(MappedItems):
    r"""Ideal points in a space that all people share, mixed from prototypes (PAL-A).

    P(user u prefers left) = sigmoid(D(right, a_u) - D(left, a_u)), where D is the squared distance of an item's f to
    a_u = sum_k w_uk P_k, w_u on the simplex. As the square of a_u cancels, this is linear in w_u: prototype k rewards
    an item with 2 f . P_k - f . f, up to a constant.

    Parameters
    ----------
    n_prototypes : "auto" or int
        "auto" takes the fewest within one standard error of the best held-out user likelihood.
    max_prototypes : int
        The most that "auto" tries.
    map : {"linear", "mlp", "identity"}
        The shared map f: linear into `latent_dim` dimensions, linear plus one hidden layer, or the features
        themselves but for their scale. For "mlp" a number is chosen with the linear map.
    latent_dim : "auto" or int
        Dimensions of the space; not more than the features have (the identity keeps theirs). "auto" takes the fewest
        of 1, 2, 4, ..., 64 within one standard error of the best on held-out blocks, with as few prototypes as are
        considered, and one more for each further prototype.
    hidden : int
        Units of the hidden layer.
    weights : {"mixture", "partition"}
        Users are anywhere between the prototypes, or at one of them each.
    prototypes : {"latent", "features", "mixed"}
        Prototypes are points of the space, or of the features and mapped as the items are, before they are mixed,
        sum_k w_k f(P_k), or after, f(sum_k w_k P_k). The last two differ with a hidden layer only; "mixed" is then not
        linear in weights.
    loss : {"logistic", "hinge"}
        Log-loss on differences of squared distances, or the published max(0, 1 - m) on differences m of distances
        themselves, which is not linear in weights.
    ridge : "auto" or float
        Prior precision of the map and the prototypes, in units of the features' mean squared distance from their
        mean; "auto" chooses it by the NLL of held-out blocks.
    concentration : "auto" or float
        Strength of a symmetric Dirichlet prior on users' weights while the prototypes are fitted (in a mixture); the
        larger, the closer to one reward for all. "auto" chooses it together with the ridge. The prior by which users
        are placed is learnt afterwards, by empirical Bayes, and with "auto" made as cautious as users whom the
        prototypes never saw demand.
    n_init : int
        Starts.
    blocks : {"auto", "prompt", "item", "user", "vote", "pair", "row"}
        What is held out together when the ridge is chosen and hidden layers are stopped.
    tol : float
        Convergence tolerance in nats an answer.
    max_iter : int
    rng : int, Generator or None

    Attributes
    ----------
    map_ : array of shape (latent, dim) or None
        ``f(e) = map_ @ (e - center_)``; None for the identity. With a hidden layer the columns for its units follow.
    prototypes_ : array of shape (groups, latent)
        Where the prototypes are in the space; for the identity, among the features.
    sharpness_ : float or None
        For the identity: what the squared distance is multiplied with. Near 0 the prototypes are far away, and rewards
        are linear. Where rewards are not linear in weights: what distances are multiplied with.
    hidden_weight_, hidden_bias_ : arrays of shape (hidden, dim) and (hidden,), or None
    points_ : array of shape (groups, dim) or None
        Prototypes that are mixed before they are mapped, among the features.

    Notes
    -----
    Where rewards are not linear in weights, map, prototypes and training users are learnt by minibatches (Adam, stopped
    by held-out answers) from the linear fit on, whose convergence is what is reported. With the parameters
    :math:`\theta` they minimise

    .. math:: \sum_n \ell_n + \frac{\rho}{2} \|\theta\|^2 - \sum_u \alpha \cdot \log w_u,

    where a hinge has :math:`\ell_n = y \max(0, 1 - m) + (1 - y) \max(0, 1 + m)` of the margin
    :math:`m = \|f(x_{right}) - a_u\| - \|f(x_{left}) - a_u\|`. Where there are too few answers to hold any out, the
    linear fit stays. Users are placed by importance sampling from the prior. A hinge leaves the scale of margins open:
    `sharpness_`, the number by which they are log-odds, is fitted to the held-out answers, so that probabilities are
    calibrated on answers the map did not see.

    References
    ----------
    D. Chen et al., PAL: Sample-efficient personalized reward modeling for pluralistic alignment, ICLR 2025
    (arXiv:2406.08469), model A.

    Examples
    --------
    >>> from pluralism.data.simulate import simulate_ideal_points
    >>> data = simulate_ideal_points(n_users=60, n_prototypes=2, n_items=80, dim=4, rng=0).comparisons
    >>> model = IdealPoint(n_prototypes=2, map="identity", ridge=1.0, rng=0).fit(data)
    >>> model.prototypes_.shape
    (2, 4)
    """

    heads_: Float[np.ndarray, "groups dim"] | None
    points_: Float[np.ndarray, "groups dim"] | None
    spec = prototype_spec(
        MAP_ARRAYS
        | {
            "prototypes_": ("groups", "latent"),
            "heads_": ("groups", "dim"),
            "points_": ("groups", "dim"),
        },
        optional=(*MAP_ARRAYS, "heads_", "points_"),
        optional_numbers=("sharpness_", "hidden_scale_"),
    )
    _number: ClassVar[str] = "n_prototypes"

    def __init__(
        self,
        *,
        n_prototypes: int | Literal["auto"] = "auto",
        max_prototypes: int = 8,
        map: Literal["linear", "mlp", "identity"] = "linear",
        latent_dim: int | Literal["auto"] = 16,
        hidden: int = 256,
        weights: Literal["mixture", "partition"] = "mixture",
        prototypes: Literal["latent", "features", "mixed"] = "latent",
        loss: Literal["logistic", "hinge"] = "logistic",
        ridge: float | Literal["auto"] = "auto",
        concentration: float | Literal["auto"] = "auto",
        n_init: int = 4,
        blocks: FoldBy | Literal["auto"] = "auto",
        tol: float = 1e-9,
        max_iter: int = 1000,
        rng: RNG = 0,
    ) -> None:
        self.n_prototypes = n_prototypes
        self.max_prototypes = max_prototypes
        self.map = map
        self.latent_dim = latent_dim
        self.hidden = hidden
        self.weights = weights
        self.prototypes = prototypes
        self.loss = loss
        self.ridge = ridge
        self.concentration = concentration
        self.n_init = n_init
        self.blocks = blocks
        self.tol = tol
        self.max_iter = max_iter
        self.rng = rng

    @property
    def minibatched(self) -> bool:
        """Whether part of the model is learnt by minibatches, which are drawn in the order of the rows."""
        return self.map == "mlp" or self._bent

    @property
    def mixes_rewards(self) -> bool:
        """Whether a user's reward is the mean of the prototypes' rewards by the user's weights."""
        return not self._bent or self.weights == "partition"

    @property
    def _bent(self) -> bool:
        """Whether rewards are not linear in a user's weights."""
        return self.loss == "hinge" or (self.map == "mlp" and self.prototypes == "mixed")

    def reward(self, items: Items) -> Float[np.ndarray, "items groups"]:
        """Reward of each item for somebody at each prototype, 2 f . P_k - f . f, in logits.

        With a hinge it is minus the distance, times `sharpness_`.
        """
        centred = self._centred(items)
        if self.heads_ is not None:
            return centred.matmul(self.heads_.T) - self._steepness * centred.square[:, None]
        f = self.embed(items)
        if self._bent:
            return self._liking(f, self.prototypes_)
        return 2.0 * f @ self.prototypes_.T - np.einsum("ij,ij->i", f, f)[:, None]

    def user_reward(self, items: Items, membership: Membership | None = None) -> Float[np.ndarray, "items users"]:
        """Expected reward of each item for each person, in logits; as in `PreferenceModel.user_reward`.

        Where rewards are not linear in weights, it is the reward for somebody with the mean of a person's weights.
        """
        if self.mixes_rewards:
            return super().user_reward(items, membership)
        self._check_fitted()
        return self._liking(self.embed(items), self.ideal_points(self._own(membership).posterior))

    def ideal_points(self, weights: Float[np.ndarray, "users groups"]) -> Float[np.ndarray, "users latent"]:
        """Where users with these weights (of a membership's `posterior`) are in the space of the prototypes."""
        self._check_fitted()
        return self._mixed(weights)

    def _mixed(self, weights: Float[np.ndarray, "users groups"]) -> Float[np.ndarray, "users latent"]:
        if self.points_ is None or self.map_ is None or self.hidden_weight_ is None:
            return weights @ self.prototypes_
        points = weights @ self.points_ - self.center_
        return points @ self.map_[:, : self.dim_].T + (
            self._units(points @ self.hidden_weight_.T) @ self.map_[:, self.dim_ :].T
        )

    @property
    def _steepness(self) -> float:
        """What distances are multiplied with to be log-odds."""
        return 1.0 if self.sharpness_ is None else float(self.sharpness_)

    def _liking(
        self, f: Float[np.ndarray, "items latent"], goals: Float[np.ndarray, "goals latent"]
    ) -> Float[np.ndarray, "items goals"]:
        from pluralism.models.bent_ideal_points import distances

        return -self._steepness * distances(f, goals, squared=self.loss == "logistic")

    def _item_table(self, features: CentredFeatures, n_groups: int, ridge: float, n_latent: int) -> ItemTable:
        if self.map == "identity":
            return HeadTable(features, n_groups, ridge, quadratic=True)
        return IdealTable(features, n_groups, n_latent, ridge, in_features=self.prototypes != "latent")

    def _deepened(self, search: PrototypeSearch, n_groups: int) -> PrototypeSearch:
        if self.map != "mlp" or self._bent:
            return search
        from pluralism.models.hidden_layer import deepened

        return deepened(search, n_groups, self.hidden)

    def _learn(self, prepared: Prepared, table: ItemTable, fit: PrototypeFit) -> None:
        features = table.features
        self.heads_ = self.sharpness_ = self.points_ = None
        self._learn_map(features, np.array(table.parts(fit.x)[0]) if isinstance(table, IdealTable) else None)
        if isinstance(table, IdealTable):
            self.prototypes_ = table.prototypes(fit.x)
        elif isinstance(table, HeadTable):
            c = float(fit.x[-1] ** 2)
            heads = table.heads(fit.x).T
            self.heads_ = np.ascontiguousarray(heads) / features.scale
            self.sharpness_ = c / features.scale**2
            self.prototypes_ = self.center_ + features.scale * heads / max(2.0 * c, 1e-12)

    def _refine(
        self, search: PrototypeSearch, n_groups: int, rewards: Float[np.ndarray, "items groups"]
    ) -> Float[np.ndarray, "items columns"]:
        if not self._bent:
            return rewards
        from pluralism.models.bent_ideal_points import fit_bent

        hidden = self.hidden if self.map == "mlp" else 0
        found = fit_bent(search, n_groups, loss=self.loss, mixing=self.prototypes, hidden=hidden)
        network, scale = found.network, search.features.scale
        self.sharpness_ = found.sharpness
        self.concentration_, self.group_weights_ = found.alpha, found.alpha / found.alpha.sum()
        self.map_ = np.hstack([network.linear / scale, network.out])
        self.prototypes_ = network.ideal_points(np.eye(n_groups))
        if hidden:
            self.hidden_weight_, self.hidden_bias_ = network.weight / scale, network.bias
            self.hidden_center_, self.hidden_scale_ = np.zeros(hidden), 1.0
        if self.prototypes == "mixed":
            self.points_ = self.center_ + scale * network.points
        f = network.map_items(search.features)
        return self._liking(f, self.prototypes_) if self.mixes_rewards else f

    def _judged(self, items: Items) -> Float[np.ndarray, "items columns"]:
        return self.embed(items) if not self.mixes_rewards else self.reward(items)

    def _place(self, problem: PairProblem, scores: Float[np.ndarray, "items columns"]) -> UserPosterior:
        if self.mixes_rewards:
            return super()._place(problem, scores)
        from pluralism.models.bent_ideal_points import posterior_by_draws

        return posterior_by_draws(
            problem, scores, self._mixed, self.concentration_, self._steepness, squared=self.loss == "logistic"
        )

    def _gaps_around(
        self, comparisons: Comparisons, weights: Float[np.ndarray, "users groups"]
    ) -> Float[np.ndarray, "pairs groups"]:
        if self.mixes_rewards:
            return super()._gaps_around(comparisons, weights)
        f, user = self.embed(comparisons.items), comparisons.user
        left, right = f[comparisons.left], f[comparisons.right]

        def logit(goals: Float[np.ndarray, "users latent"]) -> Float[np.ndarray, " pairs"]:
            near, far = (np.sum((side - goals[user]) ** 2, axis=1) for side in (left, right))
            return self._steepness * (far - near if self.loss == "logistic" else np.sqrt(far) - np.sqrt(near))

        middle = logit(self.ideal_points(weights))
        towards = [weights + NUDGE * (vertex - weights) for vertex in np.eye(weights.shape[1])]
        return np.stack([middle + (logit(self.ideal_points(w)) - middle) / NUDGE for w in towards], axis=1)

    def _given_dimensions(self) -> int | None:
        if self.map == "identity":
            return super()._given_dimensions()
        return None if self.latent_dim == "auto" else int(self.latent_dim)

    def _check_own_settings(self) -> None:
        choices = {
            "map": ("linear", "mlp", "identity"),
            "prototypes": ("latent", "features", "mixed"),
            "loss": ("logistic", "hinge"),
        }
        for name, allowed in choices.items():
            if getattr(self, name) not in allowed:
                refuse(self, name, " or ".join(f'"{value}"' for value in allowed))
        if not is_whole(self.hidden):
            refuse(self, "hidden", "an integer of at least 1")
        if self.loss == "hinge" and self.map == "identity":
            raise UsageError(
                'loss="hinge" is not possible with map="identity": the size of a hinge needs a map that can be scaled.',
                fix='Set map="linear".',
            )
