"""
Training an agent that co-evolves with people
=============================================

The environments follow Gymnasium's interface, so anything that learns from it can be trained in them. Here a policy
with five weights learns by REINFORCE, in a plain loop of torch over 1,024 populations at once, to serve people whom it
influences. How near does it come to the exact optimum?

Run with ``python examples/progress_train.py``.
"""

# %%
# What the policy sees
# --------------------
# In each period the survey, the mean of all surveys so far, the first survey, and how the survey changed. The law of
# the values is not told.
import gymnasium as gym
import numpy as np
import torch

from pluralism.progress import coevolution_optimum, make_agent, register_environments, run_agent

register_environments()
env = gym.make_vec("pluralism/Coevolve-v0", num_envs=1024, dims=1, process="damped_trend")
task, width = env.unwrapped.task, env.unwrapped.task.value_range


def features(surveys: list[np.ndarray]) -> torch.Tensor:
    now, before = surveys[-1], surveys[-2]
    seen = np.stack([now, np.mean(surveys, axis=0), surveys[0], now - before, np.ones_like(now)], axis=-1)
    return torch.from_numpy(seen[:, 0].astype(np.float32))


# %%
# The loop
# --------
# Actions are drawn around the policy's answer; the gradient weighs how they were drawn by what they brought later, less
# the mean over populations.
def episode(seed: int | None, noise: float) -> tuple[torch.Tensor, torch.Tensor]:
    observation, info = env.reset(seed=seed)
    surveys = [info["initial"]["survey"], observation["survey"]]
    log_probs, rewards = [], []
    for _ in range(task.n_steps):
        mean = features(surveys) @ weights
        values = (mean + noise * torch.randn(mean.shape, generator=drawn)).detach()
        log_probs.append(-((values - mean) ** 2) / (2 * max(noise, 1e-9) ** 2))
        observation, reward, *_ = env.step(values[:, None].numpy() / width)
        rewards.append(torch.from_numpy(reward.astype(np.float32)))
        surveys.append(observation["survey"])
    return torch.stack(log_probs), torch.stack(rewards)


drawn = torch.Generator().manual_seed(0)
weights = torch.zeros(5, requires_grad=True)
optimiser = torch.optim.Adam([weights], lr=0.02)
for update in range(300):
    log_probs, rewards = episode(seed=0 if update == 0 else None, noise=0.3)
    gained = rewards.flip(0).cumsum(0).flip(0)
    loss = -(log_probs * (gained - gained.mean(dim=1, keepdim=True))).sum(dim=0).mean()
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()

# %%
# What came of it
# ---------------
# The same populations for everybody; nobody who sees the surveys alone can cost less than the optimum.
with torch.no_grad():
    _, rewards = episode(seed=10_000, noise=0.0)
learnt = -float(rewards.mean())
seeds = range(10_000, 11_024)
cost = {name: run_agent(task, make_agent(name), seeds).cost.mean() for name in ("lqg", "persistence", "frozen")}
print(f"trained: {learnt:.4f}")
print(f"optimum from surveys: {cost['lqg']:.4f} (expected {coevolution_optimum(task).survey_cost:.4f})")
print(f"follows people: {cost['persistence']:.4f}, frozen: {cost['frozen']:.4f}")
