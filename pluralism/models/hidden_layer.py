"""A hidden layer for PAL: learnt by minibatches, stopped early, and then taken as further features.

The layer starts beside a finished linear fit and learns what that leaves over. Its units then join the features, and
map and prototypes are fitted on from there by the exact solver, so that a fit with a hidden layer converges, and is
reported, like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr

from pluralism.errors import UsageError
from pluralism.models.fitting import held_out_blocks
from pluralism.models.ideal_training import WORTH_KEEPING, Network, Trained, gelu, hidden_start, train_network
from pluralism.models.preparation import Prepared
from pluralism.models.prototype_selection import PrototypeSearch
from pluralism.models.prototype_settings import ENOUGH_HELD_OUT, Masks
from pluralism.solvers import FeatureMatrix, PairProblem
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.ideal_table import IdealTable
from pluralism.solvers.prototypes import PrototypeFit
from pluralism.solvers.sampled_users import sampled_users
from pluralism.solvers.simplex_users import place_users

__all__ = ["DeepFeatures", "cross_trained", "deepened", "held_out_masks"]

MOST_ROWS = 400_000
BLOCK = 4096


class DeepFeatures(CentredFeatures):
    """Features and hidden units side by side, the units in units of their own root mean square.

    Attributes
    ----------
    inputs : CentredFeatures
        What the layer reads.
    weight, bias : arrays of shape (hidden, dim) and (hidden,)
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
        self.inputs, self.prompts = inputs, inputs.prompts
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
        return self.inputs.dim

    def lift(
        self, points: Float[np.ndarray, "points coordinates"]
    ) -> tuple[Float[np.ndarray, "points dim"], Callable[[Float[np.ndarray, "points dim"]], np.ndarray]]:
        """Points among the inputs with the units they would have."""
        inner = points @ self.weight.T + self.bias
        phi = ndtr(inner)
        units = (inner * phi - self.unit_center) / self.unit_scale
        slope_at = (phi + inner * np.exp(-0.5 * inner**2) / np.sqrt(2.0 * np.pi)) / self.unit_scale

        def down(slope: Float[np.ndarray, "points dim"]) -> np.ndarray:
            return slope[:, : self.inputs.dim] + (slope[:, self.inputs.dim :] * slope_at) @ self.weight

        return np.hstack([points, units]), down


def deepened(search: PrototypeSearch, n_groups: int, hidden: int) -> PrototypeSearch:
    """A search over the features and the units of a hidden layer that was learnt for `n_groups` prototypes.

    The layer is stopped by held-out answers, by which the ridge is then chosen once more.
    """
    prepared, inputs = search.prepared, search.features
    table, linear = search.table(n_groups), search.fit(n_groups)
    if not isinstance(table, IdealTable):
        raise TypeError("a hidden layer needs a linear map beside it")
    masks = held_out_masks(search)
    if search.settings.ridge is None:
        # it is chosen by answers that the layer was not trained on
        masks = masks[:1]

    def make() -> dict[str, np.ndarray]:
        rng = np.random.default_rng([search.seed, 11, n_groups])
        network = _learn(prepared.problem, masks, table, linear, search, hidden, rng)
        return network.parameters

    layer = search.memory.piece(f"hidden/{n_groups}", make)
    played = np.flatnonzero(prepared.problem.played > 0)
    deep = DeepFeatures(inputs, layer["weight"], layer["bias"], played)
    changed = replace(prepared, problem=replace(prepared.problem, features=deep.matrix))
    # units are centred, which moves everything, and what is in the space with it
    a = np.hstack([layer["linear"], layer["out"] * deep.unit_scale])
    points = layer["points"] if table.in_features else layer["points"] - layer["out"] @ deep.unit_center
    moves = layer.get("prompt_maps", np.zeros(0))
    start = replace(linear, x=np.concatenate([a.ravel(), points.ravel(), moves.ravel()]))
    return search.deeper(changed, deep, masks or None, n_groups, start)


def held_out_masks(search: PrototypeSearch) -> Masks:
    """Rows to train on and rows to stop by, those that choose settings as well; none where there are too few rows."""
    if search.masks is not None:
        return search.masks
    try:
        return held_out_blocks(search.prepared, search.model.blocks, search.seed)[0] or []
    except UsageError:
        return []


def cross_trained(
    prepared: Prepared,
    masks: Masks,
    train: Callable[[PairProblem, PairProblem | None, int | None], Trained],
    seen: Callable[[PairProblem, Network], None] | None = None,
) -> Network:
    """A network that was trained for as many steps as held-out answers call for.

    Where there are many answers one block is enough, and what was learnt without it is kept. Few are held out block by
    block, and then all used, for the fewest steps within one standard error of the best.

    Parameters
    ----------
    train : function
        Of rows to train on, rows to stop by (or None) and the number of steps (or None).
    seen : function, optional
        Is told what each of the held-out blocks was predicted by.
    """
    runs: list[Trained] = []
    mass: list[float] = []
    scored = 0
    for mask in masks:
        rows, held = (prepared.subset(part) for part in mask)
        if rows.total_weight == 0 or held.total_weight == 0:
            continue
        runs.append(train(rows, held, None))
        mass.append(held.total_weight)
        if seen is not None:
            seen(held, runs[-1].network)
        scored += int(np.count_nonzero(held.weight))
        if scored >= ENOUGH_HELD_OUT:
            break
    if len(runs) == 1:
        return runs[0].network
    steps = runs[0].every * _fewest_scored(np.array(mass), [run.scores for run in runs]) if runs else 0
    return train(prepared.problem, None, steps).network


def _fewest_scored(mass: Float[np.ndarray, " runs"], scores: list[Float[np.ndarray, " scored"]]) -> int:
    """The earliest score within one standard error, over the runs, of the best mean score."""
    # a run that was stopped would have gone on to get worse
    longest = max(len(curve) for curve in scores)
    curves = np.array([np.pad(curve, (0, longest - len(curve)), mode="edge") for curve in scores])
    first = int(np.argmax(np.isfinite(curves[0])))
    share, curves = mass / mass.sum(), curves[:, first:]
    worse = curves - curves[:, [int(np.argmin(share @ curves))]]
    error = np.sqrt(share**2 @ (worse - share @ worse) ** 2)
    return first + int(np.flatnonzero(share @ worse <= error + WORTH_KEEPING)[0])


def _learn(
    problem: PairProblem,
    masks: Masks,
    table: IdealTable,
    linear: PrototypeFit,
    search: PrototypeSearch,
    hidden: int,
    rng: np.random.Generator,
) -> Network:
    """The layer, with map, prototypes and users' weights that moved along."""
    some = sampled_users(problem, MOST_ROWS, rng)
    features = table.features.take(some.items)
    a, p, b = table.parts(linear.x)
    weight, project = hidden_start(table.features.gram(problem, rng), problem.total_weight, hidden, rng)
    seed = int(rng.integers(2**31))

    def train(rows: PairProblem, held: PairProblem | None, steps: int | None) -> Trained:
        start = Network(
            linear=np.array(a),
            weight=weight,
            bias=np.zeros(hidden),
            out=np.zeros((table.n_latent, hidden)),
            points=np.array(p),
            users=place_users(rows, table.table(linear.x)[some.items], linear.alpha, gradient=False).weights,
            mixing="features" if table.in_features else "latent",
            prompt_maps=None if table.prompts is None else np.array(b),
        )
        return train_network(
            rows,
            held,
            features,
            start,
            project,
            loss="logistic",
            ridge=table.ridge,
            alpha=linear.alpha,
            rng=np.random.default_rng(seed),
            steps=steps,
        )

    prepared = replace(search.prepared, problem=some.problem)
    return cross_trained(prepared, [(fit[some.rows], held[some.rows]) for fit, held in masks], train)
