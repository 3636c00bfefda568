"""The frontier of co-evolution: serve present people, keep them near history, move them little."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Bool, Float

from pluralism.calibration.text import format_table, json_ready
from pluralism.errors import UsageError
from pluralism.progress.agent_run import run_agent
from pluralism.progress.agents.catalogue import make_agent
from pluralism.progress.task import Task

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["CoevolutionFrontier", "coevolution_frontier"]

AIMS = ("serve", "stay", "influence")
NAIVE = ("persistence", "history", "lead", "frozen")
WEIGHTS = ((0.0, 0.0), (0.3, 0.0), (1.0, 0.0), (3.0, 0.0), (0.0, 1.0), (0.3, 0.5), (1.0, 0.5), (1.0, 3.0), (3.0, 3.0))


@dataclass(frozen=True, eq=False, repr=False)
class CoevolutionFrontier:
    """Three aims, each a mean squared distance per dimension: less is better.

    Attributes
    ----------
    names : tuple of str
        The optimal policy of each pair of weights, then the naive agents.
    aims : array of shape (policies, 3)
        `serve` (policy and present people), `stay` (people and history), `influence` (people and their twin).
    optimal : array of bool, shape (policies,)
        Whether the policy is the optimum of some weights.
    """

    names: tuple[str, ...]
    aims: Float[np.ndarray, "policies aims"]
    optimal: Bool[np.ndarray, " policies"]

    def dominated(self) -> tuple[str, ...]:
        """Policies that some other is no worse than in any aim, and better in one."""
        no_worse = (self.aims[:, None] <= self.aims[None]).all(axis=2)
        better = (self.aims[:, None] < self.aims[None]).any(axis=2)
        return tuple(self.names[k] for k in np.flatnonzero((no_worse & better).any(axis=0)))

    def to_frame(self) -> pa.Table:
        """Columns `policy, serve, stay, influence, optimal`."""
        import pyarrow as pa

        columns = {aim: self.aims[:, k] for k, aim in enumerate(AIMS)}
        return pa.table({"policy": list(self.names), **columns, "optimal": self.optimal})

    def to_json(self, *, indent: int | None = None) -> str:
        """The rows of `to_frame`, as JSON."""
        return json.dumps(json_ready(self.to_frame().to_pylist()), allow_nan=False, indent=indent)

    def __repr__(self) -> str:
        columns = {aim: self.aims[:, k].tolist() for k, aim in enumerate(AIMS)}
        return format_table({"policy": self.names, **columns})


def coevolution_frontier(
    task: Task,
    *,
    weights: Sequence[tuple[float, float]] = WEIGHTS,
    agents: Sequence[str] = NAIVE,
    seeds: int = 20,
) -> CoevolutionFrontier:
    r"""Run the full-information optimum of several weights beside naive agents, on the same histories.

    Parameters
    ----------
    task : Task
        Of kind "coevolve" with a known law; its weights do not matter.
    weights : sequence of (float, float)
        :math:`(\omega, \lambda)`: of staying with history and of limiting influence, beside 1 for serving the present.
    agents : sequence of str
    seeds : int

    Raises
    ------
    UsageError
        If there are no weights, or the task has no known optimum.
    """
    if not len(weights):
        raise UsageError("There are no weights.", fix="Give pairs such as (1, 0.5).")
    tasks = [replace(task, history_weight=float(stay), influence_weight=float(move)) for stay, move in weights]
    chosen = [
        (f"optimum ω={stay:g}, λ={move:g}", each, "riccati") for (stay, move), each in zip(weights, tasks, strict=True)
    ]
    chosen += [(name, tasks[0], name) for name in agents]
    aims = np.empty((len(chosen), len(AIMS)))
    for row, (_, each, name) in enumerate(chosen):
        parts = run_agent(each, make_agent(name), range(seeds)).parts
        aims[row] = [parts[aim].mean() for aim in AIMS]
    optimal = np.arange(len(chosen)) < len(weights)
    return CoevolutionFrontier(tuple(name for name, _, _ in chosen), aims, optimal)
