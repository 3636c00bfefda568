"""What a fitted model does not know of some comparisons: draws of the rewards of both sides, for each row's person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int
from scipy.special import expit

from pluralism.errors import UsageError
from pluralism.random import RNG, as_generator

if TYPE_CHECKING:
    from pluralism.data import Comparisons
    from pluralism.models import Membership, PreferenceModel

__all__ = ["RewardSamples", "reward_samples"]


@dataclass(frozen=True, eq=False)
class RewardSamples:
    """Draws of rewards.

    Attributes
    ----------
    left, right : arrays of shape (draws, pairs, groups)
        Rewards in logits. There is one draw, the best estimate, of models without a posterior.
    group_weight : array of shape (pairs, groups)
        Probability that the row's person is of each group.
    prompt : int array of shape (pairs,)
        Code of what both sides answer; the rewards of different prompts have no common level.
    """

    left: Float[np.ndarray, "draws pairs groups"]
    right: Float[np.ndarray, "draws pairs groups"]
    group_weight: Float[np.ndarray, "pairs groups"]
    prompt: Int[np.ndarray, " pairs"]

    @property
    def probability(self) -> Float[np.ndarray, "draws pairs groups"]:
        """P(left preferred) in each draw, for each group."""
        return expit(self.left - self.right)

    @property
    def expected(self) -> Float[np.ndarray, " pairs"]:
        """P(left preferred), over all that is not known."""
        return np.einsum("dpg,pg->p", self.probability, self.group_weight) / len(self.left)


def reward_samples(
    model: PreferenceModel,
    candidates: Comparisons,
    *,
    membership: Membership | None = None,
    n_draws: int = 100,
    rng: RNG = None,
) -> RewardSamples:
    """Draw rewards from the posterior of a model.

    Parameters
    ----------
    model : PreferenceModel
        Fitted, and with rewards.
    candidates : Comparisons
        Who might be asked about which pair; outcomes are ignored.
    membership : Membership, optional
        Where people stand; left out, as in training, and at the prior where they are new.
    n_draws : int
        Draws of the rewards, for models that can draw them.
    rng : int, Generator or None

    Raises
    ------
    UsageError
        If the model prefers in circles, so that items have no rewards.
    """
    if not model.transitive:
        raise UsageError(
            f"{type(model).__name__} prefers in circles: items have no rewards.", fix="Use a model with rewards."
        )
    if n_draws < 1:
        raise UsageError(f"n_draws={n_draws!r} is not possible.", fix="Use a whole number of at least 1.")
    draw: Any = getattr(model, "reward_draws", None)
    if draw is not None and getattr(model, "uncertainty", True):
        rewards = draw(candidates.items, n_draws, as_generator(rng, "queries"))
    else:
        rewards = model.reward(candidates.items)[None]
    placed = model._placed(candidates, membership)
    weight = placed.posterior[candidates.user]
    prompt = candidates.items.prompt_codes()[candidates.left]
    return RewardSamples(rewards[:, candidates.left], rewards[:, candidates.right], weight, prompt)
