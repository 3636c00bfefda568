"""Ideal points as published: distances instead of their squares, a hinge, and prototypes mixed before they are mapped.

Then rewards are no longer linear in a user's weights, and no convex fit places a user. Map, prototypes and training
users are learnt by minibatches from the fit that is linear; everybody is placed by importance sampling from the prior.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp, softmax

from pluralism.models.hidden_layer import cross_trained, held_out_masks
from pluralism.models.ideal_training import (
    Loss,
    Mixing,
    Network,
    Trained,
    hidden_start,
    train_network,
)
from pluralism.models.prototype_selection import PrototypeSearch
from pluralism.solvers import PairProblem, group_log_likelihood
from pluralism.solvers.centred_features import CentredFeatures
from pluralism.solvers.ideal_table import IdealTable
from pluralism.solvers.sampled_users import sampled_users
from pluralism.solvers.simplex_users import (
    UserPosterior,
    dirichlet_draws,
    dirichlet_moments,
    dirichlet_prior,
    place_users,
)

__all__ = ["BentFit", "distances", "fit_bent", "posterior_by_draws"]

N_DRAWS = 1024
EVIDENCE_ROWS, EVIDENCE_DRAWS = 40_000, 256
BLOCK_DRAWS = 128
BLOCK_USERS = 20_000
LOG_SHARPNESS_SD = 2.0
STEEPEST = 6.0


@dataclass(frozen=True)
class BentFit:
    """The network, what margins are multiplied with to be log-odds, and the users' prior."""

    network: Network
    sharpness: float
    alpha: Float[np.ndarray, " groups"]


def distances(
    f: Float[np.ndarray, "items latent"], goals: Float[np.ndarray, "goals latent"], *, squared: bool
) -> Float[np.ndarray, "items goals"]:
    """Distances of all items to all goals, or their squares."""
    square = np.sum(f**2, axis=1)[:, None] - 2.0 * f @ goals.T + np.sum(goals**2, axis=1)
    square = np.maximum(square, 0.0)
    return square if squared else np.sqrt(square)


def fit_bent(search: PrototypeSearch, n_groups: int, *, loss: Loss, mixing: Mixing, hidden: int) -> BentFit:
    """Learn map, prototypes and users' weights from the linear fit on, and how sure margins are.

    The held-out answers that stop the training also say by which number margins are multiplied, for a hinge leaves
    their scale open.
    """
    problem, table, linear = search.prepared.problem, search.table(n_groups), search.fit(n_groups)
    if not isinstance(table, IdealTable):
        raise TypeError("distances are measured in a space that a map leads to")
    features, squared = table.features, loss == "logistic"
    masks = held_out_masks(search)

    a, p, _ = table.parts(linear.x)

    def train(rows: PairProblem, held: PairProblem | None, steps: int | None) -> Trained:
        rng = np.random.default_rng([search.seed, 17, n_groups])
        weight, project = hidden_start(features.gram(problem, rng), problem.total_weight, max(hidden, 1), rng)
        start = Network(
            linear=np.array(a),
            weight=weight[:hidden],
            bias=np.zeros(hidden),
            out=np.zeros((table.n_latent, hidden)),
            points=np.array(p),
            users=place_users(rows, table.table(linear.x), linear.alpha, gradient=False).weights,
            mixing=mixing,
        )
        return train_network(
            rows,
            held,
            features,
            start if squared else _widened(start, rows, features, table.ridge),
            project,
            loss=loss,
            ridge=table.ridge,
            alpha=linear.alpha,
            rng=rng,
            steps=steps,
            keep_start=True,
        )

    def make() -> dict[str, np.ndarray]:
        margins: list[tuple[np.ndarray, ...]] = []
        network = cross_trained(
            search.prepared, masks, train, lambda held, found: margins.append(_margins(held, found, features))
        )
        sharpness = 1.0
        if not squared and margins:
            sharpness = _sharpness(*(np.concatenate(column) for column in zip(*margins, strict=True)))
        alpha = linear.alpha
        if n_groups > 1 and not search.partition and search.model.concentration == "auto":
            some = sampled_users(problem, EVIDENCE_ROWS, np.random.default_rng([search.seed, 18, n_groups]))
            f = network.map_items(features)[some.items]

            def posterior(trial: Float[np.ndarray, " groups"]) -> UserPosterior:
                goals = network.ideal_points
                return posterior_by_draws(
                    some.problem, f, goals, trial, sharpness, squared=squared, n_draws=EVIDENCE_DRAWS
                )

            alpha = dirichlet_prior(alpha, some.problem.voters, posterior)
        return network.parameters | {"users": network.users, "alpha": alpha, "sharpness": np.array([sharpness])}

    found = search.memory.piece(f"{loss}/{mixing}/{n_groups}", make)
    alpha, sharpness = found.pop("alpha"), float(found.pop("sharpness")[0])
    return BentFit(Network(**found, mixing=mixing), sharpness, alpha)


def posterior_by_draws(
    problem: PairProblem,
    f: Float[np.ndarray, "items latent"],
    ideal_points: Callable[[Float[np.ndarray, "draws groups"]], Float[np.ndarray, "draws latent"]],
    alpha: Float[np.ndarray, " groups"],
    sharpness: float,
    *,
    squared: bool,
    n_draws: int = N_DRAWS,
) -> UserPosterior:
    """Posterior moments of every user's weights, by weighing the same draws of the prior for all of them.

    Each draw is an ideal point. The effective sample size says how fine the answer is: it falls with the number of a
    user's answers, and moments by fewer than ten or so draws are rough.
    """
    logs = dirichlet_draws(alpha, n_draws)
    draws = np.exp(logs)
    goals = ideal_points(draws)
    products = np.einsum("sk,sj->skj", draws, draws).reshape(n_draws, -1)
    prior, k = dirichlet_moments(alpha), len(alpha)
    found: list[tuple[np.ndarray, ...]] = []
    for first in range(0, problem.n_users, BLOCK_USERS):
        part, items = _users(problem, first, min(first + BLOCK_USERS, problem.n_users))
        evidence = np.hstack(
            [
                group_log_likelihood(
                    part,
                    -sharpness * distances(f[items], goals[s : s + BLOCK_DRAWS], squared=squared),
                    np.zeros((0, len(goals[s : s + BLOCK_DRAWS]))),
                )
                for s in range(0, n_draws, BLOCK_DRAWS)
            ]
        )
        share = softmax(evidence, axis=1)
        mean = share @ draws
        covariance = (share @ products).reshape(-1, k, k) - mean[:, :, None] * mean[:, None, :]
        log_mean = share @ logs
        silent = part.voters == 0
        mean[silent], log_mean[silent], covariance[silent] = prior
        log_evidence = np.where(silent, 0.0, logsumexp(evidence, axis=1) - np.log(n_draws))
        found.append((mean, log_mean, covariance, 1.0 / np.sum(share**2, axis=1), log_evidence))
    if not found:
        return UserPosterior(np.zeros((0, k)), np.zeros((0, k)), np.zeros((0, k, k)), np.zeros(0), np.zeros(0))
    return UserPosterior(*(np.concatenate(column) for column in zip(*found, strict=True)))


def _users(problem: PairProblem, first: int, last: int) -> tuple[PairProblem, np.ndarray]:
    """The problem of a range of users and the items that they judged."""
    rows = slice(problem.user_start[first], problem.user_start[last])
    items, codes = np.unique(np.concatenate([problem.left[rows], problem.right[rows]]), return_inverse=True)
    n = len(codes) // 2
    part = replace(
        problem,
        left=codes[:n].astype(np.int32),
        right=codes[n:].astype(np.int32),
        outcome=problem.outcome[rows],
        weight=problem.weight[rows],
        user_start=problem.user_start[first : last + 1] - problem.user_start[first],
        design=np.zeros((n, 0)),
        features=None,
        n_items=len(items),
    )
    return part, items


def _widened(start: Network, rows: PairProblem, features: CentredFeatures, ridge: float) -> Network:
    """The space as wide as a hinge on distances wants it, which the squares had in other units."""
    margin, outcome, weight = _margins(rows, start, features)
    wide = ("linear", "points") if start.mixing == "latent" else ("linear",)
    size = sum(float(np.sum(getattr(start, name) ** 2)) for name in wide)

    def loss(log_width: float) -> float:
        z = np.exp(log_width) * margin
        hinge = outcome * np.maximum(1.0 - z, 0.0) + (1.0 - outcome) * np.maximum(1.0 + z, 0.0)
        return float(weight @ hinge) + 0.5 * ridge * size * float(np.exp(2.0 * log_width))

    width = np.exp(minimize_scalar(loss, bounds=(-STEEPEST, STEEPEST), method="bounded").x)
    return replace(start, **{name: width * getattr(start, name) for name in wide})


def _margins(held: PairProblem, network: Network, features: CentredFeatures) -> tuple[np.ndarray, ...]:
    """By how much the right item is further away in each held-out row, its outcome and its weight."""
    f, goal = network.map_items(features), network.ideal_points(network.users)[held.user]
    near, far = (np.linalg.norm(f[side] - goal, axis=1) for side in (held.left, held.right))
    return far - near, held.outcome, held.weight


def _sharpness(
    margin: Float[np.ndarray, " rows"], outcome: Float[np.ndarray, " rows"], weight: Float[np.ndarray, " rows"]
) -> float:
    """The number by which margins are log-odds, of greatest posterior under a log-normal prior around 1."""

    def loss(log_sharpness: float) -> float:
        z = np.exp(log_sharpness) * margin
        nll = weight @ (np.logaddexp(0.0, z) - outcome * z)
        return float(nll) + 0.5 * log_sharpness**2 / LOG_SHARPNESS_SD**2

    return float(np.exp(minimize_scalar(loss, bounds=(-STEEPEST, STEEPEST), method="bounded").x))
