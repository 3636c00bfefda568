"""An agent let loose on a task: everything that is needed to judge it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from numbers import Integral

import numpy as np
from jaxtyping import Float

from pluralism.errors import UsageError
from pluralism.progress.agents.agent import Agent, Informed
from pluralism.progress.episodes import Actions, Episodes
from pluralism.progress.task import Task

__all__ = ["AgentRun", "action_of", "require_seeds", "run_agent"]


@dataclass(frozen=True, eq=False, repr=False)
class AgentRun:
    """What an agent did in each seed's history, and what became of people.

    Attributes
    ----------
    agent : str
    task : Task
    seeds : tuple of int
    loss, reward : arrays of shape (seeds, steps)
        The loss is that of the metric "v2" in any case.
    values, target : arrays of shape (seeds, steps, dim)
        What the agent stood for, and what it was compared with.
    parts : dict of str to array of shape (seeds, steps)
        `serve`, `stay`, `influence` of "coevolve".
    score : array of shape (seeds,), optional
        Under the published metric.
    deviation : array of shape (steps,), optional
        How sure the agent says it is; see `Agent.deviation`.
    people, twin : arrays of shape (seeds, steps + 1, dim)
        From period 1 on.
    mean : array of shape (seeds, periods, dim)
    groups : array of shape (seeds, periods, groups, dim)
    n_answers : int
        Votes heard in one history, in the periods in which the agent acts, and answers that it asked for itself.
    seconds : float
        That the agent itself took, for all seeds.
    """

    agent: str
    task: Task
    seeds: tuple[int, ...]
    loss: Float[np.ndarray, "seeds steps"]
    reward: Float[np.ndarray, "seeds steps"]
    values: Float[np.ndarray, "seeds steps dim"]
    target: Float[np.ndarray, "seeds steps dim"]
    people: Float[np.ndarray, "seeds places dim"]
    twin: Float[np.ndarray, "seeds places dim"]
    mean: Float[np.ndarray, "seeds periods dim"]
    groups: Float[np.ndarray, "seeds periods groups dim"]
    n_answers: int
    seconds: float
    parts: dict[str, Float[np.ndarray, "seeds steps"]] = field(default_factory=dict)
    score: Float[np.ndarray, " seeds"] | None = None
    deviation: Float[np.ndarray, " steps"] | None = None

    @property
    def cost(self) -> Float[np.ndarray, " seeds"]:
        """Mean loss of each history, per step and dimension."""
        return self.loss.mean(axis=1)

    def __repr__(self) -> str:
        return (
            f"AgentRun({self.agent} in {self.task.kind}: cost {self.cost.mean():.4g} over {len(self.seeds)} histories)"
        )


def action_of(task: Task, values: Float[np.ndarray, "*batch dim"]) -> Actions:
    """Values in the form of the task's actions."""
    return task.bank.policy(values) if task.action == "policy" else values / task.value_range


def require_seeds(seeds: Sequence[int]) -> None:
    """Refuse seeds that are none, or not whole numbers from 0."""
    if not len(seeds) or not all(isinstance(seed, Integral) and seed >= 0 for seed in seeds):
        raise UsageError(
            f"Seeds must be whole numbers from 0, at least one, not {list(seeds)!r}.", fix="Use seeds=20, or range(20)."
        )


def run_agent(task: Task, agent: Agent, seeds: Sequence[int], *, name: str | None = None) -> AgentRun:
    """Let an agent act in one history for each seed: those that `reset(seed=...)` of the environments gives.

    Parameters
    ----------
    task : Task
        Its questions must not be chosen: an agent gives values alone.
    agent : Agent
    seeds : sequence of int
    name : str, optional
        What to call it; left out, its label.

    Raises
    ------
    UsageError
        If there is no seed, or questions are to be chosen.
    """
    if task.queries == "chosen":
        raise UsageError("Questions are to be chosen, and agents choose none.", fix='Use queries="random".')
    require_seeds(seeds)
    n = len(seeds)
    episodes = Episodes(task, n)
    # As Gymnasium seeds an environment, so that the histories are those of reset(seed=...).
    before = episodes.reset(np.arange(n), [np.random.default_rng(int(seed)) for seed in seeds])
    seen = episodes.observe()
    started = time.perf_counter()
    if isinstance(agent, Informed):
        agent.reveal(episodes)
    agent.begin(task, before)
    seconds = time.perf_counter() - started
    people, twin, n_answers = [episodes.people.copy()], [episodes.twin.copy()], 0
    taken: dict[str, list[np.ndarray]] = {}
    sure: list[float] = []
    for _ in range(task.n_steps):
        n_answers += int(seen["n_votes"][0].sum()) if "n_votes" in seen else 0
        started = time.perf_counter()
        values = np.asarray(agent.act(seen), dtype=float)
        seconds += time.perf_counter() - started
        if agent.deviation is not None:
            sure.append(agent.deviation)
        reward, _, info = episodes.step(action_of(task, values))
        seen = episodes.observe()
        people.append(episodes.people.copy())
        twin.append(episodes.twin.copy())
        for key, part in (("reward", reward), ("values", values), *info.items()):
            taken.setdefault(key, []).append(part)
    made = {key: np.stack(parts, axis=1) for key, parts in taken.items()}
    return AgentRun(
        name or agent.label,
        task,
        tuple(int(seed) for seed in seeds),
        made["loss"],
        made["reward"],
        made["values"],
        made["target"],
        np.stack(people, axis=1),
        np.stack(twin, axis=1),
        episodes.mean,
        episodes.groups,
        n_answers + agent.n_asked,
        seconds,
        {key: made[key] for key in ("serve", "stay", "influence") if key in made},
        made["score"][:, -1] if "score" in made else None,
        np.array(sure) if len(sure) == task.n_steps else None,
    )
