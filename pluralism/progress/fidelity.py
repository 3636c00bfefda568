"""Whether a policy stands for everybody: the distribution of choices, the worst group, the spread of utilities."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import rel_entr
from scipy.stats import wasserstein_distance

from pluralism.progress.agent_run import AgentRun
from pluralism.progress.published_score import cosine
from pluralism.random import RNG, as_generator

__all__ = ["distributional_fidelity", "worst_group"]


def worst_group(run: AgentRun) -> Float[np.ndarray, " seeds"]:
    """Mean over steps of the least similarity to any group, of the period that the action is compared with."""
    bank, ahead = run.task.bank, run.task.ahead
    shown = bank.behaviour(bank.policy(run.values))
    groups = _groups(run, ahead)
    return cosine(shown[:, :, None], bank.behaviour(bank.policy(groups))).min(axis=2).mean(axis=1)


def distributional_fidelity(
    run: AgentRun, *, n_people: int = 200, rng: RNG = 0
) -> dict[str, Float[np.ndarray, " seeds"]]:
    """How close the policy of the last step is to the choices of people, drawn from their groups.

    Returns
    -------
    dict of str to array of shape (seeds,)
        `jensen_shannon`: mean over questions of the divergence (nats, at most log 2) between the policy and the mean
        choice of people. `wasserstein`: distance between the distributions, over people, of the utility that the policy
        brings them and that of their own choices, in units of utility.
    """
    task, bank = run.task, run.task.bank
    drawn = as_generator(rng, "fidelity")
    groups = _groups(run, task.ahead)[:, -1]
    member = drawn.choice(groups.shape[1], size=n_people, p=np.array(task.process.shares))
    apart = drawn.standard_normal((len(groups), n_people, task.dims))
    people = groups[:, member] + task.process.spread * apart
    policy = bank.policy(run.values[:, -1])
    divergence, distance = np.empty(len(groups)), np.empty(len(groups))
    for row, (own, offered) in enumerate(zip(people, policy, strict=True)):
        choices = bank.policy(own)
        divergence[row] = _jensen_shannon(offered, choices.mean(axis=0))
        utility = np.tensordot(own, bank.centred, axes=(-1, -1))
        brought = (utility * offered).sum(axis=-1).mean(axis=1)
        chosen = (utility * choices).sum(axis=-1).mean(axis=1)
        distance[row] = wasserstein_distance(brought, chosen)
    return {"jensen_shannon": divergence, "wasserstein": distance}


def _groups(run: AgentRun, ahead: int) -> Float[np.ndarray, "seeds steps groups dim"]:
    """Group means that each action is compared with, moved with the people in "coevolve"."""
    n = run.task.n_steps
    groups = run.groups[:, 1 + ahead : 1 + ahead + n]
    if run.task.kind != "coevolve":
        return groups
    return groups + (run.people[:, :n] - run.mean[:, 1 : n + 1])[:, :, None]


def _jensen_shannon(p: Float[np.ndarray, "items candidates"], q: Float[np.ndarray, "items candidates"]) -> float:
    middle = (p + q) / 2
    return float((rel_entr(p, middle) + rel_entr(q, middle)).sum(axis=1).mean() / 2)
