"""Rewards as annotators: the item with the higher reward is preferred."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from pluralism.data import Comparisons, Items
from pluralism.data.arrays import finite_vector
from pluralism.discretion.annotators.verdicts import Verdicts
from pluralism.models import PreferenceModel

__all__ = ["Reward", "item_rewards", "reward_verdicts"]

Reward: TypeAlias = "np.ndarray | Callable[[Items], np.ndarray] | PreferenceModel"
"""Rewards of items in logits: an array, a function of the items, or a fitted model."""


def item_rewards(items: Items, reward: Reward, name: str) -> Float[np.ndarray, " items"]:
    """Rewards of items.

    Of a model with several groups it is the mean over people, with the groups' sizes as weights.

    Raises
    ------
    DataError
        If they are not one finite number for each item.
    """
    if isinstance(reward, PreferenceModel):
        found = reward.reward(items) @ reward.group_weights_
    else:
        found = reward(items) if callable(reward) else reward
    return finite_vector(found, f"reward {name}", len(items))


def reward_verdicts(comparisons: Comparisons, reward: Reward, *, name: str = "reward") -> Verdicts:
    """Verdicts of a reward: P(left) = s(difference of rewards).

    Parameters
    ----------
    comparisons : Comparisons
    reward : array of shape (items,), callable or PreferenceModel
        In logits.
    name : str

    Examples
    --------
    >>> data = Comparisons.from_arrays(left=[0, 1], right=[1, 2])
    >>> reward_verdicts(data, np.array([0.0, 0.0, -1.0])).left.round(2).tolist()
    [0.5, 0.73]
    """
    values = item_rewards(comparisons.items, reward, name)
    return Verdicts(name, expit(values[comparisons.left] - values[comparisons.right]))
