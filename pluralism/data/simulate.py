"""Populations with known truth: what a model should find is written beside the data it is given.

Every answer is drawn in the same steps. With d = reward(left) - reward(right) + position bias for the row's user,

    P(tie) = nu / (nu + exp(d/2) + exp(-d/2)),    P(left | no tie) = 1 / (1 + exp(-d))    (Davidson 1970),

and with probability `noise` the answer is replaced by the throw of a fair coin (a lapse). Rewards are scaled so that
the log-odds of two items drawn at random have the standard deviation `scale`: at 1 the best possible accuracy is
about 0.67, at 3 about 0.84, and at infinity people never err.

References
----------
R. R. Davidson, On extending the Bradley-Terry model to accommodate ties, JASA 65 (1970).
S. Chakraborty et al., MaxMin-RLHF, ICML 2024 (mixtures). D. Chen et al., PAL, ICLR 2025 (ideal points).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
from jaxtyping import Bool, Float, Int

from pluralism.data.comparisons import Comparisons
from pluralism.data.population import (
    build_comparisons,
    draw_answers,
    draw_features,
    draw_groups,
    per_group,
    question_counts,
    refuse_answers,
    share_out_prompts,
    unit_heads,
    unit_rewards,
)
from pluralism.data.questions import draw_questions
from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

__all__ = [
    "IdealPointTruth",
    "MixtureTruth",
    "Simulation",
    "flip",
    "simulate_ideal_points",
    "simulate_mixture",
]


@dataclass(frozen=True, slots=True)
class MixtureTruth:
    """What `simulate_mixture` knows.

    Parameters
    ----------
    groups : (users,) int
        True group of each user of the comparisons.
    group_weights : (groups,) float
        Share of the users in each group.
    heads : (groups, dim) float
        Linear reward of each group on the features.
    item_effects : (items,) float
        Part of the reward that the features do not explain, common to all groups.
    covariate_effects : mapping of str to (groups,) float
    item_rewards : (items, groups) float
        Features, item effects and covariates together.
    probability : (pairs,) float
        P(left preferred, given a decision) of each row, with position bias and lapses.
    tie_probability : (pairs,) float
    lapsed : (pairs,) bool
        Rows answered by the coin.
    """

    groups: Int[np.ndarray, " users"]
    group_weights: Float[np.ndarray, " groups"]
    heads: Float[np.ndarray, "groups dim"]
    item_effects: Float[np.ndarray, " items"]
    covariate_effects: Mapping[str, Float[np.ndarray, " groups"]]
    item_rewards: Float[np.ndarray, "items groups"]
    probability: Float[np.ndarray, " pairs"]
    tie_probability: Float[np.ndarray, " pairs"]
    lapsed: Bool[np.ndarray, " pairs"]


@dataclass(frozen=True, slots=True)
class IdealPointTruth:
    """What `simulate_ideal_points` knows; a user's reward for x is ``-sharpness * |x - ideal point|**2``.

    Parameters
    ----------
    groups : (users,) int
        Prototype with the largest weight for each user.
    group_weights : (groups,) float
        Share of the users in each group, or their mean weight under `concentration`.
    prototypes : (groups, dim) float
    user_weights : (users, groups) float
        Each row sums to 1.
    ideal_points : (users, dim) float
    sharpness : float
        Turns squared distances into log-odds.
    item_rewards : (items, groups) float
        Rewards of people who stand exactly at each prototype.
    probability, tie_probability : (pairs,) float
    lapsed : (pairs,) bool
    """

    groups: Int[np.ndarray, " users"]
    group_weights: Float[np.ndarray, " groups"]
    prototypes: Float[np.ndarray, "groups dim"]
    user_weights: Float[np.ndarray, "users groups"]
    ideal_points: Float[np.ndarray, "users dim"]
    sharpness: float
    item_rewards: Float[np.ndarray, "items groups"]
    probability: Float[np.ndarray, " pairs"]
    tie_probability: Float[np.ndarray, " pairs"]
    lapsed: Bool[np.ndarray, " pairs"]


TruthT = TypeVar("TruthT")


@dataclass(frozen=True, slots=True)
class Simulation(Generic[TruthT]):
    """Comparisons and the truth behind them."""

    comparisons: Comparisons
    truth: TruthT


def simulate_mixture(
    n_users: int = 200,
    n_groups: int = 3,
    n_items: int = 400,
    dim: int = 16,
    pairs_per_user: int | Sequence[int] = 20,
    group_weights: Sequence[float] | None = None,
    scale: float = 3.0,
    ties: float = 0.0,
    position_bias: float = 0.0,
    noise: float = 0.0,
    item_effects: float = 0.0,
    covariate_effects: Mapping[str, float | Sequence[float]] | None = None,
    n_prompts: int | None = None,
    rng: RNG = 0,
    *,
    agreement: float = 0.0,
    decay: float = 0.0,
) -> Simulation[MixtureTruth]:
    """Draw people of several groups, each group with a linear reward of its own.

    Parameters
    ----------
    n_users, n_groups, n_items, dim : int
        Sizes; `dim` is the number of features.
    pairs_per_user : int or sequence of (users,) int
        Judgements of each user, of different pairs as far as there are enough.
    group_weights : sequence of (groups,) float, optional
        Shares of the groups, scaled to sum to 1 and met to within one user; equal by default.
    scale : float
        Standard deviation of the log-odds over random pairs that the features bring, in every group; ``inf`` for
        people who never err (rewards are then stated at scale 1).
    ties : float
        Davidson's nu >= 0; 0 for none, 2 for about a half at small differences.
    position_bias : float
        Log-odds added to whatever is on the left.
    noise : float
        Share of answers in [0, 1] that are the throw of a coin.
    item_effects : float
        Standard deviation of the part of an item's reward that its features do not explain, the same for all groups.
    covariate_effects : mapping of str to float or (groups,) float, optional
        Effect of numeric covariates of the items; each is drawn standard normal and attached under its name.
    n_prompts : int, optional
        Items are shared out to this many prompts, and only items of one prompt are compared.
    rng : int, Generator or None
    agreement : float
        Share in [0, 1] of the variance of a group's reward that is common to all groups: 0 for unrelated groups, 1
        for a single opinion.
    decay : float
        Variance of feature j is proportional to (j + 1) ** -decay; real embeddings have about 1.

    Returns
    -------
    Simulation of MixtureTruth
        The comparisons carry the true group of their user in `group`.

    Examples
    --------
    >>> simulation = simulate_mixture(n_users=50, group_weights=[0.6, 0.3, 0.1], rng=0)
    >>> len(simulation.comparisons), np.bincount(simulation.truth.groups).tolist()
    (1000, [30, 15, 5])
    """
    refuse_answers(scale, ties, position_bias, noise)
    if not 0 <= agreement <= 1:
        raise UsageError(f"agreement must be in [0, 1], not {agreement!r}.", fix="Pass agreement=0.5.")
    generator = as_generator(rng, "simulate")
    features = draw_features(generator, n_items, dim, decay)
    groups, shares = draw_groups(generator, n_users, n_groups, group_weights)

    heads = np.sqrt(agreement) * unit_heads(generator, features, 1)
    heads = unit_rewards(heads + np.sqrt(1 - agreement) * unit_heads(generator, features, n_groups), features)
    heads *= (scale if np.isfinite(scale) else 1.0) / np.sqrt(2)

    effects = item_effects * generator.standard_normal(n_items)
    covariates = {name: generator.standard_normal(n_items) for name in covariate_effects or {}}
    slopes = {name: per_group(name, value, n_groups) for name, value in (covariate_effects or {}).items()}
    rewards = features @ heads.T + effects[:, None]
    for name, slope in slopes.items():
        rewards += covariates[name][:, None] * slope

    prompt = share_out_prompts(generator, n_items, n_prompts)
    user, left, right = draw_questions(generator, question_counts(pairs_per_user, n_users), prompt)
    difference = rewards[left, groups[user]] - rewards[right, groups[user]]
    answers = draw_answers(generator, difference, scale, ties, position_bias, noise)
    comparisons = build_comparisons(
        features,
        covariates,
        None if n_prompts is None else prompt,
        user,
        left,
        right,
        answers.outcome,
        groups,
        n_groups,
    )
    truth = MixtureTruth(
        groups=groups,
        group_weights=shares,
        heads=heads,
        item_effects=effects,
        covariate_effects=slopes,
        item_rewards=rewards,
        probability=answers.probability,
        tie_probability=answers.tie_probability,
        lapsed=answers.lapsed,
    )
    return Simulation(comparisons, truth)


def simulate_ideal_points(
    n_users: int = 200,
    n_prototypes: int = 3,
    n_items: int = 400,
    dim: int = 16,
    pairs_per_user: int | Sequence[int] = 20,
    group_weights: Sequence[float] | None = None,
    concentration: float | None = None,
    spread: float = 0.0,
    scale: float = 3.0,
    ties: float = 0.0,
    position_bias: float = 0.0,
    noise: float = 0.0,
    n_prompts: int | None = None,
    rng: RNG = 0,
    *,
    decay: float = 0.0,
) -> Simulation[IdealPointTruth]:
    """Draw people who like what is close to a point of their own.

    Parameters
    ----------
    n_users, n_prototypes, n_items, dim : int
        Sizes; prototypes are drawn as the items' features are.
    pairs_per_user : int or sequence of (users,) int
        Judgements of each user, of different pairs as far as there are enough.
    group_weights : sequence of (prototypes,) float, optional
        Share of the people at each prototype, or their mean weight on it; equal by default.
    concentration : float, optional
        None puts every user at one prototype; a number draws mixing weights from a Dirichlet distribution with this
        mean concentration per prototype (1 is uniform on the simplex, small is nearly pure).
    spread : float
        Root mean square distance of a user's ideal point from where the prototypes put it.
    scale : float
        Root mean square over users of the standard deviation of the log-odds over random pairs; ``inf`` for people
        who never err (`sharpness` is then stated at scale 1).
    ties, position_bias, noise, n_prompts, rng, decay
        As in `simulate_mixture`.

    Returns
    -------
    Simulation of IdealPointTruth
        The comparisons carry the nearest prototype of their user in `group`.

    Examples
    --------
    >>> simulation = simulate_ideal_points(n_users=30, scale=float("inf"), rng=0)
    >>> bool(((simulation.truth.probability > 0.5) == (simulation.comparisons.outcome > 0.5)).all())
    True
    """
    refuse_answers(scale, ties, position_bias, noise)
    generator = as_generator(rng, "simulate")
    features = draw_features(generator, n_items, dim, decay)
    deviation = np.sqrt((np.arange(dim) + 1.0) ** -decay)
    prototypes = generator.standard_normal((n_prototypes, dim)) * deviation / np.linalg.norm(deviation)
    groups, shares = draw_groups(generator, n_users, n_prototypes, group_weights)
    weights = np.eye(n_prototypes)[groups]
    if concentration is not None:
        if concentration <= 0:
            raise UsageError(f"concentration must be positive, not {concentration!r}.", fix="Pass concentration=1.0.")
        weights = generator.dirichlet(np.maximum(concentration * n_prototypes * shares, 1e-6), size=n_users)
        groups = weights.argmax(axis=1)
    ideal = weights @ prototypes + spread / np.sqrt(dim) * generator.standard_normal((n_users, dim))

    # Var_x(|x|^2 - 2 x.a) for all users at once, from the moments of the items.
    square = np.einsum("id,id->i", features, features)
    moments = np.cov(np.column_stack([square, features]), rowvar=False, ddof=0)
    variance = moments[0, 0] - 4 * ideal @ moments[0, 1:] + 4 * np.sum((ideal @ moments[1:, 1:]) * ideal, axis=1)
    size = scale if np.isfinite(scale) else 1.0
    sharpness = size / np.sqrt(2 * variance.mean())

    prompt = share_out_prompts(generator, n_items, n_prompts)
    user, left, right = draw_questions(generator, question_counts(pairs_per_user, n_users), prompt)
    difference = np.empty(len(user))
    for first in range(0, len(user), 65_536):
        rows = slice(first, first + 65_536)
        moved = features[left[rows]] - features[right[rows]]
        difference[rows] = square[right[rows]] - square[left[rows]]
        difference[rows] += 2 * np.einsum("pd,pd->p", moved, ideal[user[rows]])
    answers = draw_answers(generator, sharpness * difference, scale, ties, position_bias, noise)
    comparisons = build_comparisons(
        features, {}, None if n_prompts is None else prompt, user, left, right, answers.outcome, groups, n_prototypes
    )
    distance = square[:, None] - 2 * features @ prototypes.T + np.einsum("kd,kd->k", prototypes, prototypes)
    truth = IdealPointTruth(
        groups=groups,
        group_weights=shares,
        prototypes=prototypes,
        user_weights=weights,
        ideal_points=ideal,
        sharpness=float(sharpness),
        item_rewards=-sharpness * distance,
        probability=answers.probability,
        tie_probability=answers.tie_probability,
        lapsed=answers.lapsed,
    )
    return Simulation(comparisons, truth)


def flip(comparisons: Comparisons, share: float, rng: RNG = 0) -> Comparisons:
    """The comparisons with a random share of the outcomes turned around (label noise).

    Parameters
    ----------
    comparisons : Comparisons
    share : float
        In [0, 1]; exactly ``round(share * len(comparisons))`` rows are turned, ties among them without effect.
    rng : int, Generator or None
    """
    if not 0 <= share <= 1:
        raise UsageError(f"share must be in [0, 1], not {share!r}.", fix="Pass share=0.2.")
    n = len(comparisons)
    turned = as_generator(rng, "flip").choice(n, size=round(share * n), replace=False)
    outcome = np.array(comparisons.outcome)
    outcome[turned] = 1 - outcome[turned]
    return replace(comparisons, outcome=outcome)
