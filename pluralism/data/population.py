"""The parts of which simulated populations are made: features, groups, prompts, answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from pluralism.data.comparisons import Comparisons
from pluralism.data.items import Items
from pluralism.errors import UsageError

__all__ = [
    "Answers",
    "build_comparisons",
    "draw_answers",
    "draw_features",
    "draw_groups",
    "per_group",
    "question_counts",
    "refuse_answers",
    "share_out_prompts",
    "unit_heads",
    "unit_rewards",
]

SPACE = "simulated"


@dataclass(frozen=True, slots=True)
class Answers:
    """Outcomes and the probabilities behind them; see `pluralism.data.simulate.MixtureTruth`."""

    outcome: Float[np.ndarray, " pairs"]
    probability: Float[np.ndarray, " pairs"]
    tie_probability: Float[np.ndarray, " pairs"]
    lapsed: Bool[np.ndarray, " pairs"]


def draw_answers(
    generator: np.random.Generator,
    difference: Float[np.ndarray, " pairs"],
    scale: float,
    ties: float,
    position_bias: float,
    noise: float,
) -> Answers:
    """Draw an outcome for each row from the difference of rewards, as `pluralism.data.simulate` describes."""
    if np.isfinite(scale):
        logit = difference + position_bias
        small = np.exp(-np.abs(logit) / 2)
        left = np.where(logit >= 0, 1.0, small**2) / (1 + small**2)
        tie = ties * small / (ties * small + 1 + small**2)
    else:
        left = (np.sign(difference) + 1) / 2
        tie = np.zeros(len(difference))
    n = len(difference)
    outcome = np.where(generator.random(n) < tie, 0.5, (generator.random(n) < left).astype(float))
    lapsed = generator.random(n) < noise
    outcome[lapsed] = generator.random(int(lapsed.sum())) < 0.5
    decided = (1 - noise) * (1 - tie) + noise
    probability = ((1 - noise) * (1 - tie) * left + noise / 2) / decided
    return Answers(outcome, probability, (1 - noise) * tie, lapsed)


def draw_features(
    generator: np.random.Generator, n_items: int, dim: int, decay: float
) -> Float[np.ndarray, "items dim"]:
    """Gaussian features with mean squared norm 1, rounded to what float32 can hold."""
    if n_items < 2 or dim < 1:
        raise UsageError(
            f"n_items={n_items} and dim={dim} leave nothing to compare.", fix="Use 2 items, 1 feature or more."
        )
    features = generator.standard_normal((n_items, dim)) * np.sqrt((np.arange(dim) + 1.0) ** -decay)
    features /= np.sqrt(np.mean(np.sum(features**2, axis=1)))
    return features.astype(np.float32).astype(np.float64)


def unit_heads(
    generator: np.random.Generator, features: Float[np.ndarray, "items dim"], n_heads: int
) -> Float[np.ndarray, "heads dim"]:
    """Random directions whose rewards have variance 1 over the items."""
    return unit_rewards(generator.standard_normal((n_heads, features.shape[1])), features)


def unit_rewards(
    heads: Float[np.ndarray, "heads dim"], features: Float[np.ndarray, "items dim"]
) -> Float[np.ndarray, "heads dim"]:
    """Scale each head so that its rewards have variance 1 over the items."""
    return heads / (features @ heads.T).std(axis=0)[:, None]


def draw_groups(
    generator: np.random.Generator, n_users: int, n_groups: int, group_weights: Sequence[float] | None
) -> tuple[Int[np.ndarray, " users"], Float[np.ndarray, " groups"]]:
    """Group of each user: shares met by largest remainders, people in random order."""
    weights = np.ones(n_groups) if group_weights is None else np.asarray(group_weights, dtype=np.float64)
    if weights.shape != (n_groups,) or not np.all(np.isfinite(weights)) or np.any(weights < 0) or weights.sum() == 0:
        raise UsageError(
            f"group_weights must be {n_groups} non-negative numbers, not {group_weights!r}.",
            fix="Pass one share a group, such as group_weights=[0.6, 0.3, 0.1] with n_groups=3.",
        )
    shares = weights / weights.sum()
    exact = shares * n_users
    counts = np.floor(exact).astype(np.int64)
    counts[np.argsort(counts - exact, kind="stable")[: n_users - counts.sum()]] += 1
    if np.any((counts == 0) & (weights > 0)):
        raise UsageError(
            f"{n_users} users are too few for groups with shares {shares.round(3).tolist()}.",
            fix="Use more users, or fewer groups.",
        )
    return generator.permutation(np.repeat(np.arange(n_groups), counts)), shares


def per_group(name: str, value: float | Sequence[float], n_groups: int) -> Float[np.ndarray, " groups"]:
    """One number for each group, from one for all or one for each."""
    effect = np.asarray(value, dtype=np.float64)
    if effect.ndim > 1 or (effect.ndim == 1 and len(effect) != n_groups):
        raise UsageError(
            f"covariate_effects[{name!r}] must be one number, or one for each of {n_groups} groups.",
            fix=f"Pass covariate_effects={{{name!r}: 0.5}}.",
        )
    return np.broadcast_to(effect, (n_groups,)).copy()


def share_out_prompts(generator: np.random.Generator, n_items: int, n_prompts: int | None) -> Int[np.ndarray, " items"]:
    """Prompt of each item, equally many each to within one; a single one where `n_prompts` is None."""
    if n_prompts is None:
        return np.zeros(n_items, dtype=np.int64)
    if n_prompts < 1 or 2 * n_prompts > n_items:
        raise UsageError(
            f"{n_items} items cannot be shared out to {n_prompts} prompts with two or more each.",
            fix="Use at most half as many prompts as items.",
        )
    return generator.permutation(np.arange(n_items) % n_prompts)


def question_counts(pairs_per_user: int | Sequence[int], n_users: int) -> Int[np.ndarray, " users"]:
    """Number of questions of each user."""
    counts = np.asarray(pairs_per_user)
    if counts.ndim == 0:
        counts = np.full(n_users, counts)
    if counts.shape != (n_users,) or counts.dtype.kind not in "iu" or np.any(counts < 0):
        raise UsageError(
            f"pairs_per_user must be a number, or one for each of {n_users} users.", fix="Pass pairs_per_user=20."
        )
    return counts.astype(np.int64)


def refuse_answers(scale: float, ties: float, position_bias: float, noise: float) -> None:
    """Refuse settings of `draw_answers` that make no sense."""
    if not scale >= 0:
        raise UsageError(f"scale must be 0 or more, not {scale!r}.", fix="Pass scale=3.0.")
    if not (np.isfinite(ties) and ties >= 0):
        raise UsageError(f"ties must be Davidson's nu, finite and at least 0, not {ties!r}.", fix="Pass ties=0.5.")
    if not 0 <= noise <= 1:
        raise UsageError(f"noise must be a share in [0, 1], not {noise!r}.", fix="Pass noise=0.1.")
    if not np.isfinite(position_bias):
        raise UsageError(f"position_bias must be finite, not {position_bias!r}.", fix="Pass position_bias=0.3.")
    if np.isinf(scale) and (ties or position_bias):
        raise UsageError(
            "People who never err (scale=inf) have no ties and no position bias.",
            fix="Use a finite scale, or leave out ties and position_bias.",
        )


def build_comparisons(
    features: Float[np.ndarray, "items dim"],
    covariates: Mapping[str, Float[np.ndarray, " items"]],
    prompt: Int[np.ndarray, " items"] | None,
    user: Int[np.ndarray, " pairs"],
    left: Int[np.ndarray, " pairs"],
    right: Int[np.ndarray, " pairs"],
    outcome: Float[np.ndarray, " pairs"],
    groups: Int[np.ndarray, " users"],
    n_groups: int,
) -> Comparisons:
    """Put the columns together; items have texts only where they have prompts to answer."""
    n_items = len(features)
    texts = prompts = None
    if prompt is not None:
        prompts = pa.array([f"prompt-{p}" for p in prompt], pa.large_string())
        texts = pa.array([f"Response {i}." for i in range(n_items)], pa.large_string())
    items = Items(
        ids=_labels("item", n_items),
        texts=texts,
        prompts=prompts,
        features=features.astype(np.float32),
        feature_space=SPACE,
        covariates=covariates,
    )
    return Comparisons(
        items=items,
        users=_labels("user", len(groups)),
        user=user,
        left=left,
        right=right,
        outcome=outcome,
        weight=np.ones(len(user)),
        group=groups[user].astype(np.int32),
        groups=_labels("group", n_groups),
    )


def _labels(name: str, n: int) -> pa.LargeStringArray:
    return pa.array([f"{name}-{code}" for code in range(n)], pa.large_string())
