"""Spaces of observations and actions of a task."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from pluralism.progress.task import Task

__all__ = ["action_space", "observation_space"]


def observation_space(task: Task) -> spaces.Dict:
    """What is seen of a period.

    `period` and `time` (from 0 to 1); `survey`, mean values as measured; with votes `query_phi` (features of the pairs
    asked about), `answers` (share that prefers the first), `n_votes`; of a panel `ballots` (1 where a person prefers
    the first); and `mask`, 0 where nobody was asked.
    """
    most = float(np.finfo(np.float32).max)
    asked = task.n_queries if task.n_votes else 1
    parts: dict[str, spaces.Space[Any]] = {
        "period": spaces.Discrete(task.n_periods),
        "time": spaces.Box(0.0, 1.0, (1,), np.float32),
        "mask": spaces.MultiBinary(asked),
    }
    if task.survey_noise is not None:
        parts["survey"] = spaces.Box(-most, most, (task.dims,), np.float32)
    if task.n_votes:
        parts["query_phi"] = spaces.Box(-most, most, (asked, 2, task.dims), np.float32)
        parts["answers"] = spaces.Box(0.0, 1.0, (asked,), np.float32)
        if task.voters == "panel":
            parts["ballots"] = spaces.MultiBinary((asked, task.n_votes))
        parts["n_votes"] = spaces.Box(0.0, float(task.n_votes), (asked,), np.float32)
    return spaces.Dict(parts)


def action_space(task: Task) -> spaces.Space[Any]:
    """Values over `value_range`, or choice probabilities; with chosen questions a Dict that also holds `query`."""
    acted: spaces.Space[Any] = (
        spaces.Box(-1.0, 1.0, (task.dims,), np.float32)
        if task.action == "values"
        else spaces.Box(0.0, 1.0, task.bank.shape, np.float32)
    )
    if task.queries != "chosen":
        return acted
    return spaces.Dict(
        {task.action: acted, "query": spaces.MultiDiscrete(np.full(task.n_queries, len(task.bank.query)))}
    )
