"""The best that can be done from surveys: Kalman's filter, and in co-evolution the optimal policy on its estimates."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.progress.agents.agent import Agent, period_estimate
from pluralism.progress.episodes import Observation
from pluralism.progress.riccati import coevolution_optimum
from pluralism.progress.task import Task

__all__ = ["LQG", "Kalman"]


class Kalman(Agent):
    """Knows the law of the values and filters the surveys: the Bayes oracle of "follow" and "predict".

    In "coevolve" it stands for what people think in the period, by the filter of the people's own law.
    """

    label: ClassVar[str] = "kalman"

    def begin(self, task: Task, initial: Observation) -> None:
        """Prepare the gains; hear the survey of period 0."""
        super().begin(task, initial)
        coevolves = task.kind == "coevolve"
        system = task.informed_system if coevolves else task.system
        if system is None:
            raise UsageError(
                "The law of the values is not known, or there are no surveys.",
                fix="Use a SimulatedDrift with survey_noise; for votes or tables use damped_trend or persistence.",
            )
        self.system = system
        self.covariances, self.gains = system.covariances()
        self.period = 0 if coevolves else 1
        survey = period_estimate(task, initial)
        if coevolves:
            before = task.started(survey)
        else:
            start = np.broadcast_to(system.start_mean, (*survey.shape, len(system.start_mean)))
            before = system.update(start, survey, self.gains[0]) @ system.transition[0].T
        # The state comes first: one product of small matrices serves all populations and dimensions.
        self.before = np.moveaxis(before, -1, 0)
        self.powers = [
            system.power(t, task.ahead) if t + task.ahead < system.n_periods else None for t in range(system.n_periods)
        ]

    def act(self, seen: Observation) -> Float[np.ndarray, "batch dim"]:
        """Update on the survey, forecast, and expect the next state."""
        surprise = period_estimate(self.task, seen) - np.tensordot(self.system.observe, self.before, axes=1)
        after = self.before + self.gains[self.period][:, None, None] * surprise
        values = self.stand(after)
        if self.period < self.system.n_periods - 1:
            self.before = np.tensordot(self.system.transition[self.period], after, axes=1)
            if self.task.kind == "coevolve":
                self.before += self.task.control[:, None, None] * values
        self.period += 1
        return values

    def stand(self, after: Float[np.ndarray, "state batch dim"]) -> Float[np.ndarray, "batch dim"]:
        """What to stand for, given the posterior mean of the state."""
        power = self.powers[self.period]
        if power is None:
            raise UsageError("There is no period to forecast.", fix="Act only while the episode lasts.")
        along = self.system.target @ power
        variance = along @ self.covariances[self.period] @ along
        self.deviation = math.sqrt(variance + self.system.forecast_variance(self.period, self.task.ahead))
        return np.tensordot(along, after, axes=1)


class LQG(Kalman):
    """The optimal policy of "coevolve" from surveys: Riccati's gains on Kalman's estimates."""

    label: ClassVar[str] = "lqg"

    def begin(self, task: Task, initial: Observation) -> None:
        """Solve the task; hear the survey of period 0."""
        self.optimum = coevolution_optimum(task)
        super().begin(task, initial)

    def stand(self, after: Float[np.ndarray, "state batch dim"]) -> Float[np.ndarray, "batch dim"]:
        """What to stand for, given the posterior mean of the state."""
        return -np.tensordot(self.optimum.gains[self.period], after, axes=1)
