"""Ideal points by minibatches: a map with a hidden layer, prototypes and users' weights together, stopped early.

This is how PAL was published, made cheap: an item is mapped once a batch however often it occurs, users are one matrix,
and the hidden layer reads the leading principal axes, on equal terms. It serves where no exact solver does: to learn a
hidden layer, for hinges, and for prototypes that are mixed before they are mapped.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from pluralism.solvers import PairProblem
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.threads import threads_for_torch

__all__ = ["Loss", "Mixing", "Network", "Trained", "gelu", "hidden_start", "train_network"]

Loss = Literal["logistic", "hinge"]
Mixing = Literal["latent", "features", "mixed"]
BATCH = 2048
RATE, USER_FACTOR = 3e-3, 10.0
BOLDEST = 3.0
EPOCHS, FEWEST_STEPS = 40, 400
SCORED_EPOCH, SCORED_STEPS = 0.5, 8
PATIENCE, PATIENT_STEPS = 3, 64
WORTH_KEEPING = 1e-4
MOST_AXES = 128
TINY = 1e-12


@dataclass(frozen=True)
class Network:
    """A map f(x) = linear x + out gelu(weight x + bias), prototypes, and users' weights on them.

    Attributes
    ----------
    linear : array of shape (latent, dim)
    weight, bias, out : arrays of shape (hidden, dim), (hidden,) and (latent, hidden)
    points : array of shape (groups, latent) or (groups, dim)
        Prototypes, in the space or among the features.
    users : array of shape (users, groups)
        On the simplex.
    mixing : {"latent", "features", "mixed"}
        Ideal points are users @ points, users @ f(points) or f(users @ points).
    prompt_maps : array of shape (groups, latent, context), optional
        How prototypes in the space move with what is known of a prompt.
    """

    linear: Float[np.ndarray, "latent dim"]
    weight: Float[np.ndarray, "hidden dim"]
    bias: Float[np.ndarray, " hidden"]
    out: Float[np.ndarray, "latent hidden"]
    points: Float[np.ndarray, "groups width"]
    users: Float[np.ndarray, "users groups"]
    mixing: Mixing
    prompt_maps: Float[np.ndarray, "groups latent context"] | None = None

    @property
    def parameters(self) -> dict[str, np.ndarray]:
        """All arrays by name, but for the users' weights."""
        names = ("linear", "weight", "bias", "out", "points", "prompt_maps")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def map(self, x: Float[np.ndarray, "rows dim"]) -> Float[np.ndarray, "rows latent"]:
        """Where features lead."""
        return x @ self.linear.T + gelu(x @ self.weight.T + self.bias) @ self.out.T

    def map_items(self, features: CentredFeatures) -> Float[np.ndarray, "items latent"]:
        """Where items are."""
        units = gelu(features.matmul(self.weight.T) + self.bias)
        return features.matmul(self.linear.T) + units @ self.out.T

    def ideal_points(self, weights: Float[np.ndarray, "rows groups"]) -> Float[np.ndarray, "rows latent"]:
        """Where somebody with these weights is."""
        if self.mixing == "mixed":
            return self.map(weights @ self.points)
        return weights @ (self.points if self.mixing == "latent" else self.map(self.points))


@dataclass(frozen=True)
class Trained:
    """The network where held-out answers were predicted best, and how training went.

    Attributes
    ----------
    network : Network
    scores : array of shape (scored,)
        Loss of the held-out answers, in nats an answer, from the start on every so many steps.
    every : int
        So many.
    """

    network: Network
    scores: Float[np.ndarray, " scored"]
    every: int


def gelu(x: Float[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """X times the normal distribution function of x."""
    from scipy.special import ndtr

    return x * ndtr(x)


def hidden_start(
    gram: Float[np.ndarray, "dim dim"], total_weight: float, hidden: int, rng: np.random.Generator
) -> tuple[Float[np.ndarray, "hidden axes"], Float[np.ndarray, "dim axes"]]:
    """Random weights on principal axes, and the axes: features times them have a mean squared norm of 1.

    Axes of less than the mean variance are not stretched to the size of the others.
    """
    from sklearn.utils.extmath import randomized_svd

    variance = gram / (2.0 * max(total_weight, TINY))
    axes = min(MOST_AXES, len(gram))
    directions, size, _ = randomized_svd(variance, axes, random_state=int(rng.integers(2**31)))
    lifted = size + np.trace(variance) / len(gram) + TINY
    project = directions / np.sqrt(lifted * max(float(np.sum(size / lifted)), TINY))
    # inputs have a norm of about 1, so that units start with inputs of about 2
    return 2.0 * rng.normal(size=(hidden, axes)), project


def train_network(
    train: PairProblem,
    held: PairProblem | None,
    features: CentredFeatures,
    start: Network,
    project: Float[np.ndarray, "dim axes"],
    *,
    loss: Loss,
    ridge: float,
    alpha: Float[np.ndarray, " groups"],
    rng: np.random.Generator,
    steps: int | None = None,
    keep_start: bool = False,
) -> Trained:
    """The network where the loss of `held` was least, by Adam on batches of 2,048 answers.

    Parameters
    ----------
    held : PairProblem or None
        Without it the last network is kept.
    start : Network
        Its `weight` is on the projected features (hidden, axes); that of the result is on the features.
    project : array of shape (dim, axes)
        What the hidden layer reads of the features.
    loss : {"logistic", "hinge"}
        log(1 + e^-z) of differences of squared distances, or max(0, 1 - m) of differences of distances.
    ridge : float
        On map, layer and prototypes; on the layer's inputs over their number.
    alpha : array of shape (groups,)
        Of the users' prior, alpha log w in softmax coordinates.
    steps : int, optional
        The most steps; 40 passes over the answers, and no fewer than 400 steps, if not given.
    keep_start : bool
        Whether the start is kept where no step predicts better. Units that are of no use yet must be given a chance.
    """
    with threads_for_torch(len(train.left)):
        return _train(train, held, features, start, project, loss, ridge, alpha, rng, steps, keep_start)


def _train(
    train: PairProblem,
    held: PairProblem | None,
    features: CentredFeatures,
    start: Network,
    project: np.ndarray,
    loss: Loss,
    ridge: float,
    alpha: np.ndarray,
    rng: np.random.Generator,
    steps: int | None,
    keep_start: bool,
) -> Trained:
    import torch
    from torch.nn.functional import gelu as torch_gelu
    from torch.nn.functional import softplus

    def parameter(values: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(np.array(values, dtype=np.float32)).requires_grad_(True)

    logits = parameter(np.log(np.maximum(start.users, 1e-6)))
    w = {name: parameter(values) for name, values in start.parameters.items()}
    # rows without weight would thin out the batches
    counted = np.flatnonzero(train.weight > 0)
    passes = int(np.ceil(len(counted) / BATCH))
    # gradients of few batches have little noise, and as few steps must do
    rate = RATE * float(np.clip(BOLDEST / max(passes, 1), 1.0, BOLDEST))
    groups: list[dict[str, Any]] = [{"params": list(w.values())}, {"params": [logits], "lr": USER_FACTOR * rate}]
    optimiser = torch.optim.Adam(groups, lr=rate)
    axes = torch.from_numpy(project.astype(np.float32))
    prior = torch.from_numpy(np.asarray(alpha, dtype=np.float32))
    items = np.flatnonzero(train.played if held is None else train.played + held.played)
    position = np.zeros(train.n_items, dtype=np.int64)
    position[items] = np.arange(len(items))
    x = torch.from_numpy(features.rows(items).astype(np.float32))
    read = x @ axes
    context = None
    if start.prompt_maps is not None and features.prompts is not None:
        context = torch.from_numpy(features.prompts[items].astype(np.float32))
    total = max(train.total_weight, TINY)

    def mapped(rows: torch.Tensor, inputs: torch.Tensor) -> torch.Tensor:
        return rows @ w["linear"].T + torch_gelu(inputs @ w["weight"].T + w["bias"]) @ w["out"].T

    def ideal_points(weights: torch.Tensor) -> torch.Tensor:
        if start.mixing == "latent":
            return weights @ w["points"]
        rows = w["points"] if start.mixing == "features" else weights @ w["points"]
        found = mapped(rows, rows @ axes)
        return weights @ found if start.mixing == "features" else found

    def columns(problem: PairProblem) -> tuple[torch.Tensor, ...]:
        codes = (problem.user, position[problem.left], position[problem.right])
        numbers = (problem.outcome.astype(np.float32), problem.weight.astype(np.float32))
        return tuple(torch.from_numpy(np.ascontiguousarray(array)) for array in (*codes, *numbers))

    def losses(rows: tuple[torch.Tensor, ...], part: torch.Tensor) -> torch.Tensor:
        user, left, right, outcome, mass = (column[part] for column in rows)
        shown, index = torch.unique(torch.cat([left, right]), return_inverse=True)
        people, who = torch.unique(user, return_inverse=True)
        weights = torch.softmax(logits[people], dim=1)
        goal = ideal_points(weights)[who]
        if context is not None:
            # both items of a comparison are of one prompt
            goal = goal + torch.einsum("nk,klc,nc->nl", weights[who], w["prompt_maps"], context[left])
        gap = (mapped(x[shown], read[shown])[index].view(2, len(left), -1) - goal).square().sum(2)
        if loss == "logistic":
            z = gap[1] - gap[0]
            return mass * (softplus(z) - outcome * z)
        near, far = torch.sqrt(gap + TINY)
        margin = far - near
        return mass * (outcome * torch.relu(1.0 - margin) + (1.0 - outcome) * torch.relu(1.0 + margin))

    def penalty() -> torch.Tensor:
        plain = sum((w[name].square().sum() for name in w if name not in ("weight", "bias")), torch.zeros(()))
        return ridge / 2 * (plain + w["weight"].square().sum() / w["weight"].shape[1])

    train_rows, held_rows = columns(train), None if held is None else columns(held)

    def score(rows: tuple[torch.Tensor, ...]) -> float:
        counted = torch.nonzero(rows[4])[:, 0]
        with torch.no_grad():
            parts = [float(losses(rows, part).sum()) for part in counted.split(16 * BATCH)]
        return sum(parts) / max(float(rows[4].sum()), TINY)

    def state() -> Network:
        arrays = {name: values.detach().numpy().astype(np.float64) for name, values in w.items()}
        arrays["weight"] = arrays["weight"] @ project.T
        users = torch.softmax(logits, dim=1).detach().numpy().astype(np.float64)
        return Network(**arrays, users=users / users.sum(axis=1, keepdims=True), mixing=start.mixing)

    every = max(SCORED_STEPS, int(SCORED_EPOCH * passes))
    patience = max(PATIENCE, PATIENT_STEPS // every)
    limit = max(FEWEST_STEPS, EPOCHS * passes) if steps is None else steps
    scores = [score(held_rows) if held_rows is not None and keep_start else np.inf]
    best, kept, waiting, step = scores[0], state(), 0, 0
    while len(counted) and step < limit and waiting < patience:
        for part in torch.from_numpy(rng.permutation(counted)).split(BATCH):
            optimiser.zero_grad()
            share = float(len(part)) / len(counted)
            fit = losses(train_rows, part).sum() / (share * total)
            (fit + (penalty() - (torch.log_softmax(logits, dim=1) @ prior).sum()) / total).backward()
            optimiser.step()
            step += 1
            if held_rows is not None and step % every == 0:
                scores.append(score(held_rows))
                if scores[-1] < best - WORTH_KEEPING:
                    best, kept, waiting = scores[-1], state(), 0
                else:
                    waiting += 1
            if step == limit or waiting == patience:
                break
    return Trained(state() if held_rows is None else kept, np.array(scores), every)
