"""A hidden layer for PAL-A: learnt by minibatches, stopped early, and then taken as further features.

The layer starts beside a finished linear fit and learns what that leaves over. Its units then join the features, and
map and prototypes are fitted on from there by the exact solver, so that a fit with a hidden layer converges, and is
reported, like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtr

from pluralism.models.ideal_training import Network, gelu, hidden_start, train_network
from pluralism.models.prototype_selection import PrototypeSearch
from pluralism.solvers import FeatureMatrix, PairProblem
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.ideal_table import IdealTable
from pluralism.solvers.prototypes import PrototypeFit
from pluralism.solvers.sampled_users import sampled_users
from pluralism.solvers.simplex_users import place_users

__all__ = ["DeepFeatures", "deepened", "held_out_rows"]

HELD_OUT = 0.1
MOST_ROWS = 400_000
BLOCK = 4096


class DeepFeatures(CentredFeatures):
    """Features and hidden units side by side, the units in units of their own root mean square.

    Attributes
    ----------
    weight, bias : arrays of shape (hidden, dim) and (hidden,)
        The layer, on scaled inputs (features - center_in) / scale_in.
    unit_center, unit_scale : array of shape (hidden,) and float
        Mean of the units' outputs on the items compared, and their root mean squared distance from it.
    """

    def __init__(
        self,
        inputs: CentredFeatures,
        weight: Float[np.ndarray, "hidden inputs"],
        bias: Float[np.ndarray, " hidden"],
        rows: Int[np.ndarray, " rows"],
    ) -> None:
        self.center_in, self.scale_in, self.dim_in = inputs.center, inputs.scale, inputs.dim
        self.weight, self.bias = weight, bias
        units = gelu(inputs.matmul(weight.T) + bias)
        self.unit_center = units[rows].mean(axis=0)
        units -= self.unit_center
        size = float(np.mean(np.sum(units[rows] ** 2, axis=1)))
        self.unit_scale = float(np.sqrt(size)) if size > 1e-20 else 1.0
        everything = np.empty((inputs.n_items, inputs.dim + len(bias)), dtype=np.float32)
        for start in range(0, inputs.n_items, BLOCK):
            block = np.arange(start, min(start + BLOCK, inputs.n_items))
            everything[block, : inputs.dim] = inputs.rows(block)
        everything[:, inputs.dim :] = units / self.unit_scale
        matrix = FeatureMatrix(everything)
        super().__init__(matrix, np.zeros(matrix.dim), 1.0)

    @property
    def point_dim(self) -> int:
        """Coordinates of a point among the inputs."""
        return self.dim_in

    def lift(
        self, points: Float[np.ndarray, "points coordinates"]
    ) -> tuple[Float[np.ndarray, "points dim"], Callable[[Float[np.ndarray, "points dim"]], np.ndarray]]:
        """Points among the inputs with the units they would have."""
        inner = points @ self.weight.T + self.bias
        phi = ndtr(inner)
        units = (inner * phi - self.unit_center) / self.unit_scale
        slope_at = (phi + inner * np.exp(-0.5 * inner**2) / np.sqrt(2.0 * np.pi)) / self.unit_scale

        def down(slope: Float[np.ndarray, "points dim"]) -> np.ndarray:
            return slope[:, : self.dim_in] + (slope[:, self.dim_in :] * slope_at) @ self.weight

        return np.hstack([points, units]), down


def deepened(search: PrototypeSearch, n_groups: int, hidden: int) -> PrototypeSearch:
    """A search over the features and the units of a hidden layer that was learnt for `n_groups` prototypes.

    The layer is stopped by the answers of one held-out block, by which the ridge is then chosen once more.
    """
    prepared, inputs = search.prepared, search.features
    table, linear = search.table(n_groups), search.fit(n_groups)
    if not isinstance(table, IdealTable):
        raise TypeError("a hidden layer needs a linear map beside it")
    blocks = held_out_rows(search)

    def make() -> dict[str, np.ndarray]:
        rng = np.random.default_rng([search.seed, 11, n_groups])
        network = _learn(prepared.problem, blocks, table, linear, search, hidden, rng)
        names = ("linear", "weight", "bias", "out", "points")
        return {name: getattr(network, name) for name in names}

    layer = search.memory.piece(f"hidden/{n_groups}", make)
    played = np.flatnonzero(prepared.problem.played > 0)
    deep = DeepFeatures(inputs, layer["weight"], layer["bias"], played)
    changed = replace(prepared, problem=replace(prepared.problem, features=deep.matrix))
    # units are centred, which moves everything, and what is in the space with it
    a = np.hstack([layer["linear"], layer["out"] * deep.unit_scale])
    points = layer["points"] if table.in_features else layer["points"] - layer["out"] @ deep.unit_center
    start = replace(linear, x=np.concatenate([a.ravel(), points.ravel()]))
    return search.deeper(changed, deep, [blocks], n_groups, start)


def held_out_rows(search: PrototypeSearch) -> tuple[Bool[np.ndarray, " pairs"], Bool[np.ndarray, " pairs"]]:
    """Rows to train on and rows to stop by: the first of the blocks that choose settings, else a tenth of the rows."""
    if search.masks is not None:
        return search.masks[0]
    n = len(search.prepared.problem.left)
    held = np.random.default_rng([search.seed, 12]).random(n) < HELD_OUT
    if held.all() or not held.any():
        held = np.zeros(n, dtype=bool)
        held[0] = True
    return ~held, held


def _learn(
    problem: PairProblem,
    blocks: tuple[Bool[np.ndarray, " pairs"], Bool[np.ndarray, " pairs"]],
    table: IdealTable,
    linear: PrototypeFit,
    search: PrototypeSearch,
    hidden: int,
    rng: np.random.Generator,
) -> Network:
    """The layer, with map, prototypes and users' weights that moved along."""
    some = sampled_users(problem, MOST_ROWS, rng)
    features = table.features.take(some.items)
    prepared = replace(search.prepared, problem=some.problem)
    train, held = (prepared.subset(mask[some.rows]) for mask in blocks)
    a, p, _ = table.parts(linear.x)
    weight, project = hidden_start(table.features.gram(problem, rng), problem.total_weight, hidden, rng)
    start = Network(
        linear=np.array(a),
        weight=weight,
        bias=np.zeros(hidden),
        out=np.zeros((table.n_latent, hidden)),
        points=np.array(p),
        users=place_users(train, table.table(linear.x)[some.items], linear.alpha, gradient=False).weights,
        mixing="features" if table.in_features else "latent",
    )
    return train_network(
        train, held, features, start, project, loss="logistic", ridge=table.ridge, alpha=linear.alpha, rng=rng
    )
