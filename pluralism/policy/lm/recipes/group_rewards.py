"""The rewards of several groups as functions that TRL calls, in one unit, and what each group gained of late."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from pluralism.errors import DataError
from pluralism.policy.lm.dual_weights import WeightState

__all__ = ["Anchor", "GroupRewards", "group_values"]

Score = Callable[[Sequence[str], Sequence[str]], Any]
"""Rewards of responses to prompts, an array of shape (rows, groups), such as `TextReward.matrix`."""


@dataclass(frozen=True, eq=False)
class Anchor:
    """Zero and unit of each group's reward.

    Attributes
    ----------
    zero, unit : arrays of shape (groups,)
        What a group has without the policy, its point of disagreement, and what its rewards are divided by.
    """

    zero: Float[np.ndarray, " groups"]
    unit: Float[np.ndarray, " groups"]


def group_values(
    score: Score, groups: Sequence[str], prompts: Sequence[str], texts: Sequence[str]
) -> Float[np.ndarray, "rows groups"]:
    """Rewards, checked.

    Raises
    ------
    DataError
        They are not one finite number for each response and group.
    """
    values = np.asarray(score(prompts, texts), dtype=np.float64)
    if values.shape != (len(texts), len(groups)) or not np.isfinite(values).all():
        raise DataError(
            f"Rewards of shape {values.shape} do not fit {len(texts):,} responses and {len(groups)} groups, or are not "
            "finite.",
            fix="The reward takes prompts and responses and gives one row for each response, a column for each group.",
        )
    return values


class GroupRewards:
    """One function for each group, which share a single call of the reward.

    Parameters
    ----------
    score : callable
    state : WeightState
        Whose groups the columns of the score are, and whose weights are logged.
    anchor : Anchor
    """

    def __init__(self, score: Score, state: WeightState, anchor: Anchor) -> None:
        self.score, self.state, self.anchor = score, state, anchor
        self._known: tuple[Any, Any] = (None, None)
        self.total = np.zeros(len(state.groups))
        self.count = 0

    def functions(self) -> list[Callable[..., list[float]]]:
        """As `reward_funcs` of TRL, named after the groups; they read the column `asked` of the data."""
        return [self._function(k) for k in range(len(self.state.groups))]

    def take(self) -> tuple[Float[np.ndarray, " groups"], int]:
        """The sum of gains since the last call, and of how many responses."""
        total, count = self.total, self.count
        self.total, self.count = np.zeros_like(total), 0
        # The same texts again are gains again.
        self._known = (None, None)
        return total, count

    def _function(self, k: int) -> Callable[..., list[float]]:
        def reward(
            completions: Sequence[str], asked: Sequence[str], log_metric: Any = None, **rest: Any
        ) -> list[float]:
            values = self._gains(tuple(asked), tuple(completions))
            if log_metric is not None:
                log_metric(f"weight/{self.state.groups[k]}", float(self.state.weights[k]))
            return values[:, k].tolist()

        reward.__name__ = self.state.groups[k]
        return reward

    def _gains(self, asked: tuple[str, ...], texts: tuple[str, ...]) -> Float[np.ndarray, "rows groups"]:
        if self._known[0] != (asked, texts):
            raw = group_values(self.score, self.state.groups, asked, texts)
            gains = (raw - self.anchor.zero) / self.anchor.unit
            self._known = ((asked, texts), gains)
            self.total, self.count = self.total + gains.sum(axis=0), self.count + len(gains)
        return self._known[1]
