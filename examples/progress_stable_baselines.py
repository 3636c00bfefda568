"""
Training an agent with stable-baselines3
========================================

The environments are Gymnasium's, so that libraries of reinforcement learning take them as they are. Here PPO of
`stable-baselines3 <https://stable-baselines3.readthedocs.io>`_ learns to serve people whom it influences. It is told
neither how values move nor how people listen. How near does it come to the exact optimum?

Run with ``python examples/progress_stable_baselines.py``; it needs ``pip install stable-baselines3``.
"""

# %%
# An environment with a memory
# ----------------------------
# A policy that sees one survey cannot tell noise from movement: Gymnasium's own wrappers keep the last four.
import gymnasium as gym
import numpy as np
import torch
from gymnasium.wrappers import FilterObservation, FlattenObservation, FrameStackObservation
from stable_baselines3 import PPO
from stable_baselines3.common.vec_env import DummyVecEnv

from pluralism.progress import coevolution_optimum, make_agent, register_environments, run_agent

register_environments()
torch.set_num_threads(1)


def environment() -> gym.Env:
    env = gym.make("pluralism/Coevolve-v0", dims=1, process="damped_trend")
    return FrameStackObservation(FlattenObservation(FilterObservation(env, ["survey", "time"])), 4)


# %%
# Training
# --------
# An episode has seven steps and no discount.
agent = PPO(
    "MlpPolicy",
    DummyVecEnv([environment] * 32),
    n_steps=28,
    batch_size=224,
    learning_rate=1e-3,
    gamma=1.0,
    gae_lambda=0.95,
    policy_kwargs={"log_std_init": -2.0, "net_arch": [32]},
    seed=0,
    device="cpu",
)
agent.learn(60_000)

# %%
# What came of it
# ---------------
# The same histories for everybody.
env, seeds = environment(), range(10_000, 10_400)
task = env.unwrapped.task
costs = []
for seed in seeds:
    observation, _ = env.reset(seed=seed)
    ended = False
    while not ended:
        action, _ = agent.predict(observation, deterministic=True)
        observation, reward, ended, _, _ = env.step(action)
        costs.append(-reward)
cost = {name: run_agent(task, make_agent(name), seeds).cost.mean() for name in ("lqg", "persistence", "frozen")}
print(f"trained: {np.mean(costs):.4f}")
print(f"optimum from surveys: {cost['lqg']:.4f} (expected {coevolution_optimum(task).survey_cost:.4f})")
print(f"follows people: {cost['persistence']:.4f}, frozen: {cost['frozen']:.4f}")
