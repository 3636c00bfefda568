"""Wrappers of the environments: what questions cost, what an episode came to, the truth for those who may know it."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np

from pluralism.errors import UsageError
from pluralism.progress.environment import TemporalEnv

__all__ = ["OracleInfo", "QueryBudget", "RecordTemporalStatistics"]


class QueryBudget(gym.Wrapper[dict[str, Any], Any, dict[str, Any], Any], gym.utils.RecordConstructorArgs):
    """Take the price of every answer off the reward.

    Parameters
    ----------
    env : gymnasium.Env
        With votes.
    cost : float
        Of one answer, at least 0, in units of the reward.
    """

    def __init__(self, env: gym.Env[dict[str, Any], Any], cost: float) -> None:
        gym.utils.RecordConstructorArgs.__init__(self, cost=cost)
        super().__init__(env)
        if not cost >= 0:
            raise UsageError(f"cost must be at least 0, not {cost}.", fix="Give the price of one answer.")
        if _temporal(env).task.n_votes == 0:
            raise UsageError("Nobody votes in this environment.", fix="Make it with n_votes=...")
        self.cost = cost

    def step(self, action: Any) -> tuple[dict[str, Any], Any, bool, bool, dict[str, Any]]:
        """Act; `info["query_cost"]` is what the answers of the new period cost."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        price = self.cost * float(observation["n_votes"].sum())
        return observation, float(reward) - price, terminated, truncated, info | {"query_cost": price}


class OracleInfo(gym.Wrapper[dict[str, Any], Any, dict[str, Any], Any], gym.utils.RecordConstructorArgs):
    """Put the true state of the present period into `info["state"]`: people, mean, trend, twin."""

    def __init__(self, env: gym.Env[dict[str, Any], Any]) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)
        self.temporal = _temporal(env)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """As the environment's, with the state."""
        observation, info = self.env.reset(seed=seed, options=options)
        return observation, info | {"state": self._state()}

    def step(self, action: Any) -> tuple[dict[str, Any], Any, bool, bool, dict[str, Any]]:
        """As the environment's, with the state."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return observation, reward, terminated, truncated, info | {"state": self._state()}

    def _state(self) -> dict[str, Any]:
        episodes = self.temporal.episodes
        now = min(int(episodes.period[0]), self.temporal.task.n_periods - 1)
        return {
            "people": episodes.people[0].copy(),
            "twin": episodes.twin[0].copy(),
            "mean": episodes.mean[0, now].copy(),
            "trend": episodes.trend[0, now].copy(),
        }


class RecordTemporalStatistics(gym.Wrapper[dict[str, Any], Any, dict[str, Any], Any], gym.utils.RecordConstructorArgs):
    """Put what an episode came to into `info["temporal"]` of its last step.

    `return` is the sum of rewards, `cost` the mean loss under the metric "v2", `answers` the votes heard since the
    episode began; in "coevolve" `serve`, `stay` and `influence` are means too.
    """

    def __init__(self, env: gym.Env[dict[str, Any], Any]) -> None:
        gym.utils.RecordConstructorArgs.__init__(self)
        super().__init__(env)
        _temporal(env)
        self._steps: list[dict[str, float]] = []
        self._answers = 0

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """As the environment's; counting begins anew."""
        observation, info = self.env.reset(seed=seed, options=options)
        self._steps, self._answers = [], _n_answers(observation)
        return observation, info

    def step(self, action: Any) -> tuple[dict[str, Any], Any, bool, bool, dict[str, Any]]:
        """As the environment's, with the statistics at the end."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        shown: dict[str, float] = {name: info[name] for name in ("loss", "serve", "stay", "influence") if name in info}
        self._steps.append({"return": float(reward), **shown})
        self._answers += _n_answers(observation)
        if terminated or truncated:
            found = {name: float(np.mean([step[name] for step in self._steps])) for name in shown}
            made = {"cost": found.pop("loss"), **found, "return": sum(step["return"] for step in self._steps)}
            info = info | {"temporal": {**made, "answers": self._answers}}
        return observation, reward, terminated, truncated, info


def _n_answers(observation: dict[str, Any]) -> int:
    return int(np.sum(observation["n_votes"])) if "n_votes" in observation else 0


def _temporal(env: gym.Env[Any, Any]) -> TemporalEnv:
    inner = env.unwrapped
    if not isinstance(inner, TemporalEnv):
        raise UsageError(f"{type(inner).__name__} is not one of these environments.", fix="Wrap a TemporalEnv.")
    return inner
