"""Reward models on frozen features, learnt from votes over time."""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from pluralism.errors import UsageError
from pluralism.progress.agents.agent import Agent
from pluralism.progress.agents.extrapolation import extrapolated
from pluralism.progress.episodes import Observation
from pluralism.progress.linear_gaussian import LinearGaussian
from pluralism.progress.task import Task
from pluralism.progress.vote_estimate import vote_estimate

__all__ = ["RewardModel", "VoteFilter"]

LEAST_WEIGHT = 1e-6
STEPS = 50
TOLERANCE = 1e-8


class RewardModel(Agent):
    r"""A Bradley-Terry reward on the features of options, fitted anew in each period to all votes so far.

    Votes that are k periods old weigh :math:`\gamma^k`, as in NS-DPO (Son et al. 2025): 0 learns from the last period
    alone, 1 pools.

    Parameters
    ----------
    discount : float
        :math:`\gamma`, in [0, 1].
    order : int
        Of the extrapolation of the heads to periods ahead; 0 for none.
    prior_std : float
        Of the normal prior of each weight.
    """

    label: ClassVar[str] = "reward_model"

    def __init__(self, discount: float = 0.7, order: int = 0, prior_std: float = 0.5) -> None:
        if not 0 <= discount <= 1 or order < 0 or not prior_std > 0:
            raise UsageError("discount, order or prior_std is out of range.", fix="Use [0, 1], >= 0 and > 0.")
        self.discount, self.order, self.prior_std = discount, order, prior_std

    def begin(self, task: Task, initial: Observation) -> None:
        """Forget everything; hear the votes of period 0."""
        super().begin(task, initial)
        self.votes = [_votes(initial)]
        self.heads = [self._fit()]

    def act(self, seen: Observation) -> Float[np.ndarray, "batch dim"]:
        """The weights of the reward, or where they are heading."""
        self.votes.append(_votes(seen))
        self.heads.append(self._fit())
        return extrapolated(np.stack(self.heads, axis=1), self.order, self.task.ahead)

    def _fit(self) -> Float[np.ndarray, "batch dim"]:
        ages = [self.discount**k for k in reversed(range(len(self.votes)))]
        pairs, share, n = (np.concatenate([part[k] for part in self.votes], axis=1) for k in range(3))
        weight = np.repeat(ages, self.votes[0][1].shape[1])
        return vote_estimate(pairs, share, n * weight, sharpness=self.task.bank.sharpness, prior_std=self.prior_std)


class VoteFilter(Agent):
    r"""Kalman's filter on the heads of the reward, updated by votes: approximate, for votes are not normal.

    Each period's votes are taken at the most likely state given them (Laplace's approximation). That people differ by
    the spread of the process makes their votes less decided than those of their mean; log-odds are divided by
    :math:`\sqrt{1 + \pi \beta^2 \sigma^2 |\Delta\varphi|^2 / 8}` (MacKay 1992).
    """

    label: ClassVar[str] = "vote_filter"

    def begin(self, task: Task, initial: Observation) -> None:
        """Prepare the prior; hear the votes of period 0."""
        super().begin(task, initial)
        system = task.process.system(0.0)
        if system is None or task.kind == "coevolve":
            raise UsageError(
                "There is no law to filter votes with.", fix="Use reward_model; or follow or predict, SimulatedDrift."
            )
        self.system: LinearGaussian = system
        eye = np.eye(task.dims)
        n = len(initial["period"])
        self.mean = np.tile(np.kron(system.start_mean, np.ones(task.dims)), (n, 1))
        self.covariance = np.tile(np.kron(system.start_covariance, eye), (n, 1, 1))
        self.period = 0
        self._hear(initial)

    def act(self, seen: Observation) -> Float[np.ndarray, "batch dim"]:
        """Expect the next state, hear its votes, and forecast."""
        eye = np.eye(self.task.dims)
        step = np.kron(self.system.transition[self.period], eye)
        self.mean = self.mean @ step.T
        self.covariance = step @ self.covariance @ step.T + np.kron(self.system.noise[self.period], eye)
        self.period += 1
        self._hear(seen)
        along = np.kron(self.system.target @ self.system.power(self.period, self.task.ahead), eye)
        return self.mean @ along.T

    def _hear(self, seen: Observation) -> None:
        pairs, share, n = _votes(seen)
        sharpness, spread = self.task.bank.sharpness, self.task.process.spread
        lengths = np.square(pairs).sum(axis=-1)
        decided = sharpness / np.sqrt(1 + math.pi * (sharpness * spread) ** 2 * lengths / 8)
        rows = decided[..., None] * np.einsum("bqd,s->bqsd", pairs, self.system.observe).reshape(*pairs.shape[:2], -1)
        shared = self.covariance @ rows.swapaxes(1, 2)
        between = rows @ shared
        expected = np.einsum("bqs,bs->bq", rows, self.mean)
        push = _most_likely_push(expected, between, share, n)
        chance = expit(expected + np.einsum("bqr,br->bq", between, push))
        noisy = between + np.eye(rows.shape[1]) / _weight(chance, n)[:, None]
        self.covariance = self.covariance - shared @ np.linalg.solve(noisy, shared.swapaxes(1, 2))
        self.mean = self.mean + np.einsum("bsq,bq->bs", shared, push)


def _most_likely_push(
    expected: Float[np.ndarray, "batch pairs"],
    between: Float[np.ndarray, "batch pairs pairs"],
    share: Float[np.ndarray, "batch pairs"],
    n: Float[np.ndarray, "batch pairs"],
) -> Float[np.ndarray, "batch pairs"]:
    """How hard each pair pulls at the most likely state, given prior log-odds and their covariance.

    The state moves by covariance times features times push, so that a singular prior does no harm; Newton's method with
    halved steps.
    """
    push = np.zeros_like(expected)

    def loss(at: Float[np.ndarray, "batch pairs"]) -> Float[np.ndarray, " batch"]:
        moved = np.einsum("bqr,br->bq", between, at)
        odds = expected + moved
        return (at * moved).sum(axis=1) / 2 + (n * (np.logaddexp(0.0, odds) - share * odds)).sum(axis=1)

    now = loss(push)
    for _ in range(STEPS):
        chance = expit(expected + np.einsum("bqr,br->bq", between, push))
        weight = _weight(chance, n)
        residual = push + n * (chance - share)
        if np.abs(residual).max(initial=0.0) < TOLERANCE:
            break
        noisy = between + np.eye(between.shape[1]) / weight[:, None]
        step = np.linalg.solve(noisy, (residual / weight)[..., None])[..., 0]
        size = np.ones(len(push))
        moved = push - step
        then = loss(moved)
        while (worse := ~(then <= now) & (size > 1e-6)).any():
            size[worse] /= 2
            moved[worse] = push[worse] - size[worse, None] * step[worse]
            then = loss(moved)
        better = then <= now
        push, now = np.where(better[:, None], moved, push), np.where(better, then, now)
    return push


def _weight(chance: Float[np.ndarray, "batch pairs"], n: Float[np.ndarray, "batch pairs"]) -> np.ndarray:
    """Information of the votes on the log-odds of each pair, a little even where there is none."""
    return np.maximum(n * chance * (1 - chance), LEAST_WEIGHT)


def _votes(
    seen: Observation,
) -> tuple[Float[np.ndarray, "batch pairs dim"], Float[np.ndarray, "batch pairs"], Float[np.ndarray, "batch pairs"]]:
    """Differences of features, shares and numbers of votes."""
    if "query_phi" not in seen:
        raise UsageError("Nobody votes here.", fix="Set n_votes, or use an agent of surveys.")
    pairs = seen["query_phi"].astype(float)
    return pairs[:, :, 0] - pairs[:, :, 1], seen["answers"].astype(float), seen["n_votes"].astype(float)
