"""What an agent is: it is told what people say, and answers with the values it stands for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.progress.episodes import Episodes, Observation
from pluralism.progress.task import Task
from pluralism.progress.vote_estimate import vote_estimate

__all__ = ["Agent", "Estimator", "Informed", "Oracle", "period_estimate"]


class Agent(ABC):
    """Acts for many independent populations at once.

    An outside package may register one under the entry-point group `pluralism.progress_agents`: a class, or a function,
    that makes the agent from keywords.

    Attributes
    ----------
    task : Task
        Set by `begin`.
    deviation : float, optional
        Standard deviation, in each dimension, of what it was last compared with around what it stood for, if it says
        how sure it is.
    n_asked : int
        Answers that it asked people for by itself in one history, beside those of the observations.
    """

    label: ClassVar[str]
    task: Task
    deviation: float | None = None
    n_asked: int = 0

    def begin(self, task: Task, initial: Observation) -> None:
        """Forget everything; hear what people of period 0 say."""
        self.task = task

    @abstractmethod
    def act(self, seen: Observation) -> Float[np.ndarray, "batch dim"]:
        """Values to stand for in this period, for each population."""


class Informed(Agent):
    """An agent that is handed the episodes themselves: to look at the truth, or to let people answer in words."""

    episodes: Episodes

    def reveal(self, episodes: Episodes) -> None:
        """Hand them over, before they begin."""
        self.episodes = episodes


class Oracle(Informed):
    """An agent that may look at the truth: no baseline, but a bound."""

    def act(self, seen: Observation) -> Float[np.ndarray, "batch dim"]:
        """Values to stand for in this period, for each population."""
        return self.know(int(seen["period"][0]))

    @abstractmethod
    def know(self, period: int) -> Float[np.ndarray, "batch dim"]:
        """What it does, knowing the truth."""


class Estimator(Agent):
    """An agent that forecasts from one estimate of people's values a period."""

    def begin(self, task: Task, initial: Observation) -> None:
        """Forget everything; hear what people of period 0 say."""
        super().begin(task, initial)
        self.estimates = [period_estimate(task, initial)]

    def act(self, seen: Observation) -> Float[np.ndarray, "batch dim"]:
        """Values to stand for in this period, for each population."""
        self.estimates.append(period_estimate(self.task, seen))
        return self.forecast(np.stack(self.estimates, axis=1), self.task.ahead)

    @abstractmethod
    def forecast(self, past: Float[np.ndarray, "batch periods dim"], ahead: int) -> Float[np.ndarray, "batch dim"]:
        """Values so many periods after the last.

        Parameters
        ----------
        past : array of shape (batch, periods, dim)
            Estimates of all periods so far.
        ahead : int
            0 for the last period itself.
        """


def period_estimate(task: Task, seen: Observation) -> Float[np.ndarray, "batch dim"]:
    """Mean values of people in one period: the survey, or, without one, what their votes say.

    Raises
    ------
    UsageError
        If the observation holds neither.
    """
    if "survey" in seen:
        return seen["survey"].astype(float)
    if "query_phi" not in seen:
        raise UsageError("The observation holds neither a survey nor votes.", fix="Set survey_noise or n_votes.")
    pairs = seen["query_phi"].astype(float)
    return vote_estimate(
        pairs[:, :, 0] - pairs[:, :, 1],
        seen["answers"].astype(float),
        seen["n_votes"].astype(float),
        sharpness=task.bank.sharpness,
    )
