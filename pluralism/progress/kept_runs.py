"""Runs of agents kept on disk while others are still to come: a comparison that was killed goes on where it was."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from pluralism import __version__
from pluralism.files import Checkpoint
from pluralism.progress.agent_run import AgentRun
from pluralism.progress.episodes import Episodes
from pluralism.progress.task import Task

__all__ = ["KeptRuns"]

_ARRAYS = ("loss", "reward", "values", "target", "people", "twin", "mean", "groups")
_PERHAPS = ("score", "deviation")
_PART = "part."


class KeptRuns:
    """Finished runs of one task and its seeds.

    Parameters
    ----------
    folder : path-like
    task : Task
    seeds : sequence of int
    """

    def __init__(self, folder: str | Path, task: Task, seeds: Sequence[int]) -> None:
        self.task, self.seeds = task, tuple(int(seed) for seed in seeds)
        self.store = Checkpoint(folder)
        self._told = _fingerprint(task, self.seeds)

    def get(self, agent: str) -> AgentRun | None:
        """The run of an agent, or None."""
        found = self.store.get(self._key(agent))
        if found is None:
            return None
        arrays, facts = found
        given: dict[str, Any] = {name: arrays.get(name) for name in (*_ARRAYS, *_PERHAPS)}
        parts = {name.removeprefix(_PART): part for name, part in arrays.items() if name.startswith(_PART)}
        return AgentRun(agent, self.task, self.seeds, parts=parts, **given, **facts)

    def put(self, run: AgentRun) -> None:
        """Keep a run."""
        arrays = {name: getattr(run, name) for name in _ARRAYS}
        arrays |= {name: getattr(run, name) for name in _PERHAPS if getattr(run, name) is not None}
        arrays |= {f"{_PART}{name}": part for name, part in run.parts.items()}
        self.store.put(self._key(run.agent), arrays, {"n_answers": run.n_answers, "seconds": run.seconds})

    def clear(self) -> None:
        """Forget all, when the comparison is written."""
        self.store.clear()

    def _key(self, agent: str) -> str:
        return f"{__version__}/{agent}/{self._told}"


def _fingerprint(task: Task, seeds: Sequence[int]) -> str:
    """What decides the histories and how they are judged."""
    plain = {f.name: getattr(task, f.name) for f in fields(task) if f.name not in ("process", "items")}
    episodes = Episodes(task, len(seeds))
    episodes.reset(np.arange(len(seeds)), [np.random.default_rng(seed) for seed in seeds])
    bank, process = task.bank, task.process
    facts = [plain, list(seeds), list(process.shares), process.spread, bank.sharpness]
    state = hashlib.sha256(json.dumps(facts).encode())
    state.update(repr(bank.texts).encode())
    for array in (episodes.mean, episodes.groups, episodes.trend, bank.query, bank.evaluation):
        state.update(np.ascontiguousarray(array).tobytes())
    return state.hexdigest()
