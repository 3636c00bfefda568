"""A hidden layer for PAL-A: learnt by minibatches, stopped early, and then taken as further features.

The layer starts beside a finished linear fit and learns what that leaves over. Its units then join the features, and
map and prototypes are fitted once more over both by the exact solver, so that a fit with a hidden layer converges,
and is reported, like any other.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from pluralism.models.prototype_selection import PrototypeSearch
from pluralism.solvers import FeatureMatrix, PairProblem, group_log_likelihood
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.ideal_table import IdealTable
from pluralism.solvers.prototypes import PrototypeFit
from pluralism.solvers.simplex_users import place_users

__all__ = ["DeepFeatures", "deepened"]

BATCH = 2048
RATE = 3e-3
EPOCHS = 40
PATIENCE = 3
HELD_OUT = 0.1


class DeepFeatures(CentredFeatures):
    """Features and hidden units side by side, each part in units of its own root mean square.

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
        weight: Float[np.ndarray, "hidden dim"],
        bias: Float[np.ndarray, " hidden"],
        rows: np.ndarray,
    ) -> None:
        from pluralism.models.ideal_point import gelu

        self.center_in, self.scale_in = inputs.center, inputs.scale
        self.weight, self.bias = weight, bias
        units = gelu(inputs.matmul(weight.T) + bias)
        self.unit_center = units[rows].mean(axis=0)
        units -= self.unit_center
        size = float(np.mean(np.sum(units[rows] ** 2, axis=1)))
        self.unit_scale = float(np.sqrt(size)) if size > 1e-20 else 1.0
        everything = np.empty((inputs.n_items, inputs.dim + len(bias)), dtype=np.float32)
        for start in range(0, inputs.n_items, 4096):
            block = np.arange(start, min(start + 4096, inputs.n_items))
            everything[block, : inputs.dim] = inputs.rows(block)
        everything[:, inputs.dim :] = units / self.unit_scale
        matrix = FeatureMatrix(everything)
        super().__init__(matrix, np.zeros(matrix.dim), 1.0)


def deepened(search: PrototypeSearch, n_groups: int, hidden: int) -> PrototypeSearch:
    """A search over the features and the units of a hidden layer that was learnt for `n_groups` prototypes.

    The layer is stopped by the answers of one held-out block, by which the ridge is then chosen as well.
    """
    prepared, problem, inputs = search.prepared, search.prepared.problem, search.features
    table = search.table(n_groups)
    linear = search.fit(n_groups)
    if not isinstance(table, IdealTable):
        raise TypeError("a hidden layer needs a linear map beside it")
    blocks = search.masks[0] if search.masks is not None else _some_rows(problem, search.seed)
    name = f"hidden/{n_groups}"

    def make() -> dict[str, np.ndarray]:
        train, held = prepared.subset(blocks[0]), prepared.subset(blocks[1])
        rng = np.random.default_rng([search.seed, 11, n_groups])
        weight, bias = learn_layer(train, held, table, linear, hidden, rng, partition=search.partition)
        return {"weight": weight, "bias": bias}

    layer = search.memory.piece(name, make)
    deep = DeepFeatures(inputs, layer["weight"], layer["bias"], np.flatnonzero(problem.played > 0))
    changed = replace(prepared, problem=replace(problem, features=deep.matrix))
    return search.deeper(changed, deep, None if search.masks is None else [blocks])


def learn_layer(
    train: PairProblem,
    held: PairProblem,
    table: IdealTable,
    linear: PrototypeFit,
    hidden: int,
    rng: np.random.Generator,
    *,
    partition: bool,
) -> tuple[Float[np.ndarray, "hidden dim"], Float[np.ndarray, " hidden"]]:
    """Weights and biases of the layer where the NLL of `held` was least.

    Map, prototypes and users' weights start at the linear fit and move along. Adam, batches of 2,048 answers.
    """
    import torch
    from torch.nn.functional import gelu, softplus

    inputs = table.features
    a0, p0, _ = table.parts(linear.x)
    seen = p0 @ a0.T if table.in_features else p0
    if partition:
        evidence = group_log_likelihood(train, table.table(linear.x), np.zeros((0, len(linear.alpha))))
        placed = softmax(evidence + np.log(linear.alpha), axis=1)
    else:
        placed = place_users(train, table.table(linear.x), linear.alpha, gradient=False).weights
    items = np.flatnonzero((train.played > 0) | (held.played > 0))
    position = np.zeros(train.n_items, dtype=np.int64)
    position[items] = np.arange(len(items))
    x = torch.from_numpy(inputs.rows(items).astype(np.float32))
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    dim, latent = inputs.dim, a0.shape[0]

    def parameter(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(values, dtype=np.float32)).requires_grad_(True)

    # inputs have a norm of about 1, so that units start with inputs of about 2
    weight = (2.0 * torch.randn((hidden, dim), generator=generator)).requires_grad_(True)
    bias = torch.zeros(hidden, requires_grad=True)
    out = torch.zeros((latent, hidden), requires_grad=True)
    a, p, logits = parameter(a0), parameter(seen), parameter(np.log(np.maximum(placed, 1e-6)))
    groups: list[dict[str, Any]] = [{"params": [weight, bias, out, a, p]}, {"params": [logits], "lr": 10 * RATE}]
    optimiser = torch.optim.Adam(groups, lr=RATE)
    prior = torch.from_numpy(np.asarray(linear.alpha, dtype=np.float32))
    total = max(train.total_weight, 1e-12)

    def place(codes: torch.Tensor) -> torch.Tensor:
        inner = x[codes]
        return inner @ a.T + gelu(inner @ weight.T + bias) @ out.T

    def rows_of(problem: PairProblem) -> tuple[torch.Tensor, ...]:
        arrays = (problem.user, position[problem.left], position[problem.right])
        numbers = (problem.outcome.astype(np.float32), problem.weight.astype(np.float32))
        return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in (*arrays, *numbers))

    def losses(rows: tuple[torch.Tensor, ...], part: torch.Tensor) -> torch.Tensor:
        user, left, right, outcome, mass = (column[part] for column in rows)
        shown, index = torch.unique(torch.cat([left, right]), return_inverse=True)
        f = place(shown)
        scores = 2.0 * f @ p.T - (f * f).sum(1, keepdim=True)
        gap = scores[index[: len(left)]] - scores[index[len(left) :]]
        z = (torch.softmax(logits[user], dim=1) * gap).sum(1)
        return mass * (softplus(z) - outcome * z)

    train_rows, held_rows = rows_of(train), rows_of(held)
    order_rng = np.random.default_rng(int(rng.integers(2**31)))
    everything = torch.arange(len(held.left))

    def score() -> float:
        with torch.no_grad():
            parts = [float(losses(held_rows, part).sum()) for part in everything.split(16 * BATCH)]
        return sum(parts)

    def state() -> tuple[np.ndarray, np.ndarray]:
        return weight.detach().numpy().astype(np.float64), bias.detach().numpy().astype(np.float64)

    # the units at the start are of no use yet, so the first epoch is kept whatever it brings
    best, kept, waiting = np.inf, state(), 0
    for _ in range(EPOCHS):
        for part in torch.from_numpy(order_rng.permutation(len(train.left))).split(BATCH):
            optimiser.zero_grad()
            share = float(len(part)) / max(len(train.left), 1)
            log_w = torch.log_softmax(logits, dim=1)
            decay = (
                table.ridge / 2 * ((a * a).sum() + (p * p).sum() + (out * out).sum() + (weight * weight).sum() / dim)
            )
            loss = (losses(train_rows, part).sum() + share * (decay - (log_w @ prior).sum())) / (share * total)
            loss.backward()
            optimiser.step()
        found = score()
        if found < best - 1e-4 * max(held.total_weight, 1.0):
            best, kept, waiting = found, state(), 0
        else:
            waiting += 1
            if waiting == PATIENCE:
                break
    return kept


def _some_rows(problem: PairProblem, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """A tenth of the rows, held out."""
    held = np.random.default_rng([seed, 12]).random(len(problem.left)) < HELD_OUT
    if held.all() or not held.any():
        held = np.zeros(len(held), dtype=bool)
        held[0] = True
    return ~held, held
