"""PAL-A: people like what is close to a point of their own, which is a mixture of a few prototypes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.models.preparation import Prepared
from pluralism.models.prototype_selection import PrototypeSearch
from pluralism.models.prototypes import PrototypeModel, prototype_spec
from pluralism.random import RNG
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.ideal_table import IdealTable
from pluralism.solvers.item_tables import HeadTable, ItemTable
from pluralism.solvers.prototypes import PrototypeFit

if TYPE_CHECKING:
    from pluralism.data import Items
    from pluralism.data.folds import FoldBy

__all__ = ["IdealPoint"]


class IdealPoint(PrototypeModel):
    """Ideal points in a space that all people share, mixed from prototypes (PAL-A).

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
    prototypes : {"latent", "features"}
        Whether prototypes are points of the space, or of the features and mapped as the items are: sum_k w_k f(P_k),
        which for a linear map is f(sum_k w_k P_k).
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
        are linear.
    hidden_weight_, hidden_bias_ : arrays of shape (hidden, dim) and (hidden,), or None

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
    map_: Float[np.ndarray, "latent inputs"] | None
    spec = prototype_spec(
        {
            "map_": ("latent", "inputs"),
            "prototypes_": ("groups", "latent"),
            "heads_": ("groups", "dim"),
            "hidden_weight_": ("hidden", "dim"),
            "hidden_bias_": ("hidden",),
            "hidden_center_": ("hidden",),
        },
        optional=("map_", "heads_", "hidden_weight_", "hidden_bias_", "hidden_center_"),
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
        prototypes: Literal["latent", "features"] = "latent",
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
        return self.map == "mlp"

    def reward(self, items: Items) -> Float[np.ndarray, "items groups"]:
        """Reward of each item for somebody at each prototype, 2 f . P_k - f . f, in logits."""
        centred = self._centred(items)
        if self.heads_ is not None:
            return centred.matmul(self.heads_.T) - self.sharpness_ * centred.square[:, None]
        f = self.embed(items)
        return 2.0 * f @ self.prototypes_.T - np.einsum("ij,ij->i", f, f)[:, None]

    def embed(self, items: Items) -> Float[np.ndarray, "items latent"]:
        """Where items are in the space of the prototypes, f(item)."""
        centred = self._centred(items)
        if self.map_ is None:
            return centred.matrix.rows(np.arange(len(items))).astype(np.float64)
        f = centred.matmul(self.map_[:, : self.dim_].T)
        if self.hidden_weight_ is not None:
            units = gelu(centred.matmul(self.hidden_weight_.T) + self.hidden_bias_) - self.hidden_center_
            f += (units / self.hidden_scale_) @ self.map_[:, self.dim_ :].T
        return f

    def ideal_points(self, weights: Float[np.ndarray, "users groups"]) -> Float[np.ndarray, "users latent"]:
        """Where users with these weights (of a membership's `posterior`) are in the space of the prototypes."""
        self._check_fitted()
        return weights @ self.prototypes_

    def _item_table(self, features: CentredFeatures, n_groups: int, ridge: float, n_latent: int) -> ItemTable:
        if self.map == "identity":
            return HeadTable(features, n_groups, ridge, quadratic=True)
        return IdealTable(features, n_groups, n_latent, ridge, in_features=self.prototypes == "features")

    def _deepened(self, search: PrototypeSearch, n_groups: int) -> PrototypeSearch:
        if self.map != "mlp":
            return search
        from pluralism.models.hidden_layer import deepened

        return deepened(search, n_groups, self.hidden)

    def _learn(self, prepared: Prepared, table: ItemTable, fit: PrototypeFit) -> None:
        from pluralism.models.hidden_layer import DeepFeatures

        features = table.features
        self.map_ = self.heads_ = self.sharpness_ = None
        self.hidden_weight_ = self.hidden_bias_ = self.hidden_center_ = self.hidden_scale_ = None
        self.center_ = features.center
        if isinstance(table, HeadTable):
            c = float(fit.x[-1] ** 2)
            heads = table.heads(fit.x).T
            self.heads_ = np.ascontiguousarray(heads) / features.scale
            self.sharpness_ = c / features.scale**2
            self.prototypes_ = self.center_ + features.scale * heads / max(2.0 * c, 1e-12)
        elif isinstance(table, IdealTable):
            a, p, _ = table.parts(fit.x)
            self.prototypes_ = np.array(p @ a.T if table.in_features else p)
            self.map_ = np.array(a) / features.scale
            if isinstance(features, DeepFeatures):
                # the layer's inputs and the units' outputs each in their own scale, as `embed` uses them
                dim = self.dim_
                self.center_ = features.center_in
                self.map_[:, :dim] /= features.scale_in
                self.hidden_weight_ = features.weight / features.scale_in
                self.hidden_bias_ = features.bias
                self.hidden_center_ = features.unit_center
                self.hidden_scale_ = features.unit_scale

    def _control(self, seed: int) -> IdealPoint:
        parameters: dict[str, Any] = self.get_params(deep=False) | {"n_prototypes": 1, "rng": seed}
        return IdealPoint(**parameters)

    def _given_dimensions(self) -> int | None:
        if self.map == "identity":
            return super()._given_dimensions()
        return None if self.latent_dim == "auto" else int(self.latent_dim)

    def _check_own_settings(self) -> None:
        for name, allowed in (("map", ("linear", "mlp", "identity")), ("prototypes", ("latent", "features"))):
            if getattr(self, name) not in allowed:
                options = " or ".join(f'"{value}"' for value in allowed)
                raise UsageError(f"{name}={getattr(self, name)!r} is not possible.", fix=f"{name} is {options}.")
        if isinstance(self.hidden, bool) or not isinstance(self.hidden, (int, np.integer)) or self.hidden < 1:
            raise UsageError(f"hidden={self.hidden!r} is not possible.", fix="hidden is an integer of at least 1.")


def gelu(x: Float[np.ndarray, "items hidden"]) -> Float[np.ndarray, "items hidden"]:
    """X times the normal distribution function of x."""
    from scipy.special import ndtr

    return x * ndtr(x)
