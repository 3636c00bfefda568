"""Rewards as decoders call them: many rows at once, and what comes back checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float64

from pluralism.errors import DataError, UsageError

__all__ = ["Reward", "group_rewards", "rewarded"]


class Reward(Protocol):
    """Anything that scores answers, such as a `TextReward` of one group."""

    def __call__(self, prompts: Sequence[str], responses: Sequence[str]) -> Any:
        """A number for each row: an array of shape (rows,)."""


def rewarded(reward: Reward, prompts: Sequence[str], responses: Sequence[str]) -> Float64[np.ndarray, " rows"]:
    """What a reward says of some rows, in one call.

    Raises
    ------
    DataError
        It does not give one finite number for each row.
    """
    if not callable(reward):
        raise UsageError(f"{reward!r} is no reward.", fix="Give what is called as reward(prompts, responses).")
    values = np.asarray(reward(list(prompts), list(responses)), dtype=np.float64)
    if values.shape != (len(responses),):
        raise DataError(
            f"The reward gave an array of shape {values.shape} for {len(responses)} rows.",
            fix="It must give one number for each row: take the reward of one group.",
        )
    if not np.isfinite(values).all():
        row = int(np.argmin(np.isfinite(values)))
        raise DataError(
            f"The reward is {values[row]} for a response.", where=f"row {row}: {responses[row]!r:.80}", fix="Mend it."
        )
    return values


def group_rewards(
    rewards: Mapping[str, Reward], prompts: Sequence[str], responses: Sequence[str]
) -> Float64[np.ndarray, "rows groups"]:
    """What the reward of each group says of some rows."""
    return np.stack([rewarded(reward, prompts, responses) for reward in rewards.values()], axis=1)
