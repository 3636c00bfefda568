"""One history at a time, by Gymnasium's interface."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from pluralism.errors import UsageError
from pluralism.progress.episodes import Episodes
from pluralism.progress.spaces import action_space, observation_space
from pluralism.progress.task import Task
from pluralism.progress.task_settings import task_of

__all__ = ["TemporalEnv"]

METADATA: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 1}


class TemporalEnv(gym.Env[dict[str, Any], Any]):
    """Follow, predict or co-evolve with people's values; one step is one period.

    Parameters
    ----------
    kind : {"follow", "predict", "coevolve"}
        Also "Follow-v0" and so on are registered, see `pluralism.progress.register_environments`.
    process : str or ValueProcess
        A preset of `SimulatedDrift`, a registered process, or a process such as a `TrajectoryTable`.
    n_periods, dims : int, optional
        Of a process given by name.
    reveal : bool
        Whether `info` holds what the action was compared with. In "predict" that is the future.
    render_mode : {"ansi"}, optional
        `render` then gives one line about the period.
    **settings
        Of `Task`: horizon, metric, action, queries, n_votes, survey_noise, ...

    Examples
    --------
    >>> env = TemporalEnv("follow", dims=2)
    >>> observation, info = env.reset(seed=0)
    >>> int(info["initial"]["period"]), int(observation["period"])
    (0, 1)
    """

    metadata = METADATA

    def __init__(
        self,
        kind: str | Task,
        process: Any = "damped_trend",
        *,
        n_periods: int | None = None,
        dims: int | None = None,
        reveal: bool = False,
        render_mode: str | None = None,
        **settings: Any,
    ) -> None:
        if render_mode not in (None, *self.metadata["render_modes"]):
            raise UsageError(f"There is no render mode {render_mode!r}.", fix='Use "ansi" or None.')
        self.task = task_of(kind, process, n_periods=n_periods, dims=dims, **settings)
        self.reveal, self.render_mode = reveal, render_mode
        self.observation_space = observation_space(self.task)
        self.action_space = action_space(self.task)
        self.episodes = Episodes(self.task, 1)
        self._ended = True
        self._last = ""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin at period 1; `info["initial"]` is the observation of period 0. There are no options."""
        super().reset(seed=seed)
        before = self.episodes.reset(np.zeros(1, dtype=np.int64), [self.np_random])
        self._ended, self._last = False, "period 1 begins"
        return _single(self.episodes.observe()), {"initial": _single(before)}

    def step(self, action: Any) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Judge an action, let people move, and show the next period; `truncated` is always false.

        Raises
        ------
        UsageError
            If the episode has ended or the action is not of the right shape.
        """
        if self._ended:
            raise UsageError("The episode has ended.", fix="Call reset first.")
        batch = {name: _one(part) for name, part in action.items()} if isinstance(action, dict) else _one(action)
        rewards, ended, found = self.episodes.step(batch)
        reward, self._ended = float(rewards[0]), bool(ended[0])
        info: dict[str, Any] = {name: float(part[0]) for name, part in found.items() if part.ndim == 1}
        if self.reveal:
            info["target"] = found["target"][0].copy()
        if "score" in info and not self._ended:
            del info["score"]
        self._last = f"period {int(self.episodes.period[0]) - 1}: reward {reward:.4f}"
        return _single(self.episodes.observe()), reward, self._ended, False, info

    def render(self) -> str | None:
        """One line on the last period, with render_mode "ansi"."""
        return self._last if self.render_mode == "ansi" else None


def _one(part: Any) -> Any:
    """A batch of one; what is no array is left to be refused where its meaning is known."""
    return [part] if isinstance(part, list) else np.asarray(part)[None]


def _single(batch: dict[str, np.ndarray]) -> dict[str, Any]:
    return {name: part[0].copy() if part.ndim > 1 else np.int64(part[0]) for name, part in batch.items()}
