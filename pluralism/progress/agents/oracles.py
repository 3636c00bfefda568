"""Bounds: agents that know the future, or the state, and two that show why leading and freezing are punished."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.progress.agents.agent import Oracle
from pluralism.progress.episodes import Observation
from pluralism.progress.riccati import coevolution_optimum
from pluralism.progress.task import Task

__all__ = ["Clairvoyant", "History", "Lead", "Riccati", "StateOracle"]


class Clairvoyant(Oracle):
    """Knows what it will be compared with: no error at all in "follow" and "predict"."""

    label: ClassVar[str] = "clairvoyant"

    def begin(self, task: Task, initial: Observation) -> None:
        """Refuses "coevolve", where what is right depends on what it does."""
        if task.kind == "coevolve":
            raise UsageError("In coevolution there is no target to know.", fix="Use riccati.")
        super().begin(task, initial)

    def know(self, period: int) -> Float[np.ndarray, "batch dim"]:
        """The values of people in the period to come."""
        return self.episodes.mean[:, period + self.task.ahead]


class StateOracle(Oracle):
    """Knows mean and trend of the present and the law, not the noise to come."""

    label: ClassVar[str] = "state_oracle"

    def begin(self, task: Task, initial: Observation) -> None:
        """Refuses tasks without a known law, and "coevolve"."""
        if task.system is None or task.kind == "coevolve":
            raise UsageError(
                "There is no forecast from a known law here.", fix="Use riccati for coevolve, or a SimulatedDrift."
            )
        self.system = task.system
        super().begin(task, initial)

    def know(self, period: int) -> Float[np.ndarray, "batch dim"]:
        r""":math:`H F^K x_t`."""
        state = np.stack([self.episodes.mean[:, period], self.episodes.trend[:, period]], axis=-1)
        return state @ (self.system.target @ self.system.power(period, self.task.ahead))


class Riccati(Oracle):
    """The exact optimum of "coevolve" with full information."""

    label: ClassVar[str] = "riccati"

    def begin(self, task: Task, initial: Observation) -> None:
        """Solve the task."""
        self.optimum = coevolution_optimum(task)
        super().begin(task, initial)

    def know(self, period: int) -> Float[np.ndarray, "batch dim"]:
        """The best gains on the true state."""
        now = self.episodes
        state = np.stack([now.people, now.twin, now.mean[:, period], now.trend[:, period]], axis=-1)
        return -state @ self.optimum.gains[period - 1]


class History(Oracle):
    """Stands for where history is, whether people are there or not."""

    label: ClassVar[str] = "history"

    def know(self, period: int) -> Float[np.ndarray, "batch dim"]:
        """The mean of the period."""
        return self.episodes.mean[:, period]


class Lead(Oracle):
    """Stands for where history will end, from the first period on: what the published score of Coevolve pays for."""

    label: ClassVar[str] = "lead"

    def know(self, period: int) -> Float[np.ndarray, "batch dim"]:
        """The mean of the last period."""
        return self.episodes.mean[:, -1]
