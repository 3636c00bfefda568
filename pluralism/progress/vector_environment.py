"""Many histories at once, by Gymnasium's interface of vector environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.utils.seeding import np_random
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from pluralism.errors import UsageError
from pluralism.progress.episodes import Episodes
from pluralism.progress.spaces import action_space, observation_space
from pluralism.progress.task import Task
from pluralism.progress.task_settings import task_of

__all__ = ["TemporalVectorEnv"]

METADATA: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}


class TemporalVectorEnv(VectorEnv[dict[str, np.ndarray], Any, np.ndarray]):
    """As many `TemporalEnv` as you like in one set of arrays, with the same histories for the same seeds.

    An environment that has ended begins anew in the next step, whose action it ignores (NEXT_STEP).

    Parameters
    ----------
    kind, process, n_periods, dims, reveal, **settings
        As in `TemporalEnv`.
    num_envs : int
    """

    metadata = METADATA

    def __init__(
        self,
        kind: str | Task,
        process: Any = "damped_trend",
        *,
        num_envs: int = 1,
        n_periods: int | None = None,
        dims: int | None = None,
        reveal: bool = False,
        render_mode: None = None,
        **settings: Any,
    ) -> None:
        if num_envs < 1 or render_mode is not None:
            raise UsageError(
                f"num_envs={num_envs}, render_mode={render_mode!r} is not possible.",
                fix="Use at least one environment, and render_mode=None.",
            )
        self.task = task_of(kind, process, n_periods=n_periods, dims=dims, **settings)
        self.num_envs, self.reveal, self.render_mode = num_envs, reveal, None
        self.single_observation_space = observation_space(self.task)
        self.single_action_space = action_space(self.task)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.episodes = Episodes(self.task, num_envs)
        self._generators: list[np.random.Generator] = []
        self._ended = np.ones(num_envs, dtype=bool)

    def reset(
        self, *, seed: int | list[int | None] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
        """Begin all episodes, or those of `options["reset_mask"]`, at period 1.

        Parameters
        ----------
        seed : int or list of int, optional
            An int s seeds the environments with s, s + 1, ...
        options : dict, optional
        """
        seeds = self._seeds(seed)
        mask = np.ones(self.num_envs, dtype=bool)
        if options is not None and "reset_mask" in options:
            mask = np.asarray(options["reset_mask"])
            if mask.shape != (self.num_envs,) or mask.dtype != bool or not mask.any():
                raise UsageError("reset_mask must hold a bool for each environment, one of them true.", fix="Mend it.")
        if not self._generators:
            self._generators = [np_random(None if s is None else s)[0] for s in seeds]
        else:
            for row in np.flatnonzero(mask):
                if seeds[row] is not None:
                    self._generators[row] = np_random(seeds[row])[0]
        infos = self._begin(mask)
        return self.episodes.observe(), infos

    def step(self, actions: Any) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Act in all environments that have not ended; begin the others anew."""
        if not self._generators:
            raise UsageError("The environments have not begun.", fix="Call reset first.")
        anew = self._ended.copy()
        rewards, ended, found = self.episodes.step(actions, ~anew)
        infos: dict[str, Any] = {}
        if not anew.all():
            for name, part in found.items():
                shown = ended if name == "score" else ~anew
                if (name != "target" or self.reveal) and shown.any():
                    infos[name] = np.where(shown.reshape(-1, *[1] * (part.ndim - 1)), part, 0.0)
                    infos[f"_{name}"] = shown.copy()
        self._ended = ended
        if anew.any():
            infos |= self._begin(anew)
        return self.episodes.observe(), rewards, ended.copy(), np.zeros(self.num_envs, dtype=bool), infos

    def _begin(self, mask: np.ndarray) -> dict[str, Any]:
        rows = np.flatnonzero(mask)
        before = self.episodes.reset(rows, [self._generators[row] for row in rows])
        self._ended[rows] = False
        initial: dict[str, Any] = {}
        for name, part in before.items():
            initial[name] = np.zeros((self.num_envs, *part.shape[1:]), dtype=part.dtype)
            initial[name][rows] = part
            initial[f"_{name}"] = mask.copy()
        return {"initial": initial, "_initial": mask.copy()}

    def _seeds(self, seed: int | list[int | None] | None) -> list[int | None]:
        if seed is None:
            return [None] * self.num_envs
        if isinstance(seed, int | np.integer):
            return [int(seed) + k for k in range(self.num_envs)]
        if not isinstance(seed, Sequence) or len(seed) != self.num_envs:
            raise UsageError(
                f"{seed!r} is not one seed for each of {self.num_envs} environments.", fix="Give a number, or a list."
            )
        return list(seed)
