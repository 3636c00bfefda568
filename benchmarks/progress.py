"""Environments of values over time: the native vector environment against Gymnasium's of the same scalar one.

    python benchmarks/progress.py [--envs 1024] [--steps 16] [--repeats 5]

Seconds are those of the processor, over all threads: a busy machine disturbs them less. Both live through the same
histories (a test holds them equal), and Gymnasium's checks of every step are off. Steps count every environment, those
that begin anew included. With Kalman's filter a step is filtering and environment together.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
from _timing import compare, machine, markdown_table

from pluralism.progress import TemporalVectorEnv, make_agent, register_environments
from pluralism.progress.task_settings import KINDS


def stepping(env: Any, n_steps: int) -> Callable[[], None]:
    """Steps with the same random actions each time."""
    env.action_space.seed(0)
    action = env.action_space.sample()

    def run() -> None:
        for _ in range(n_steps):
            env.step(action)

    env.reset(seed=0)
    return run


def filtering(env: TemporalVectorEnv, n_episodes: int) -> Callable[[], None]:
    """Whole episodes with Kalman's filter."""
    agent, width = make_agent("kalman"), env.task.value_range

    def run() -> None:
        for _ in range(n_episodes):
            seen, info = env.reset()
            agent.begin(env.task, info["initial"])
            for _ in range(env.task.n_steps):
                seen, *_ = env.step(agent.act(seen) / width)

    env.reset(seed=0)
    return run


def against_gymnasium(n_envs: int, n_steps: int, repeats: int) -> list[list[object]]:
    rows: list[list[object]] = []
    for name in KINDS:
        sync = gym.make_vec(f"pluralism/{name}", num_envs=n_envs, vectorization_mode="sync", disable_env_checker=True)
        native = gym.make_vec(f"pluralism/{name}", num_envs=n_envs)
        seconds = compare(
            {"native": stepping(native, n_steps), "sync": stepping(sync, n_steps)}, repeats, clock=time.process_time
        )
        rates = {key: n_envs * n_steps / value for key, value in seconds.items()}
        rows.append([name, "pluralism, native", rates["native"], ""])
        rows.append(["", "Gymnasium SyncVectorEnv", rates["sync"], f"{rates['native'] / rates['sync']:.0f}x"])
    return rows


def with_kalman(n_envs: int, repeats: int) -> list[list[object]]:
    rows: list[list[object]] = []
    for kind in ("follow", "predict"):
        env = TemporalVectorEnv(kind, num_envs=n_envs)
        seconds = compare({"kalman": filtering(env, 4)}, repeats, clock=time.process_time)["kalman"]
        rows.append([f"{kind}, with Kalman's filter", "pluralism, native", 4 * n_envs * env.task.n_steps / seconds, ""])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--envs", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    register_environments()
    rows = against_gymnasium(options.envs, options.steps, options.repeats)
    rows += with_kalman(options.envs, options.repeats)
    header = [f"{options.envs:,} environments, 19 dimensions", "implementation", "steps/s", "pluralism is"]
    print(
        markdown_table(header, [[cell if not isinstance(cell, float) else f"{cell:,.0f}" for cell in r] for r in rows])
    )
    print()
    print(f"numpy {np.__version__}, gymnasium {gym.__version__}; {machine()}")


if __name__ == "__main__":
    main()
