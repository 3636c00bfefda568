"""Examinees of the published protocol as agents: on the same histories, with the same scores, as everybody else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.progress.agents.agent import Informed
from pluralism.progress.episodes import Observation
from pluralism.progress.examinee import committed_policy
from pluralism.progress.questioned_people import QuestionedPeople
from pluralism.progress.task import Task

__all__ = ["ExamineeAgent"]


class ExamineeAgent(Informed):
    """Runs one examinee in each history.

    It stands for the values that the examinee's choices imply; what it asks people counts as `n_asked`.

    Parameters
    ----------
    make : callable
        Makes a fresh examinee, such as its class.
    """

    label: ClassVar[str] = "examinee"

    def __init__(self, make: Callable[[], Any]) -> None:
        self.make = make

    def begin(self, task: Task, initial: Observation) -> None:
        """Start an examinee in each history; people of period 0 are there to be asked."""
        super().begin(task, initial)
        n = len(initial["period"])
        self.people = [QuestionedPeople(self.episodes, row) for row in range(n)]
        self.examinees = [self.make() for _ in range(n)]
        self.running: list[Iterator[Any]] = [
            iter(each.run(people)) for each, people in zip(self.examinees, self.people, strict=True)
        ]

    def act(self, seen: Observation) -> Float[np.ndarray, "batch dim"]:
        """Let each learn in the new period, until it yields, and read what it would choose.

        Raises
        ------
        UsageError
            If one stops before the last period.
        """
        policies = []
        for people, examinee, running in zip(self.people, self.examinees, self.running, strict=True):
            people.tick()
            try:
                next(running)
            except StopIteration:
                raise UsageError(
                    f"The examinee stopped before period {people.current_timestep}.",
                    fix="Yield once a period, for as long as you are asked.",
                ) from None
            policies.append(committed_policy(self.task.bank, examinee))
        self.n_asked = round(float(np.mean([people.query_times for people in self.people])))
        return self.task.bank.implied_values(np.stack(policies))
