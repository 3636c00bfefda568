"""An election each period: what a panel wants by a model of low rank, and a rule that settles every question."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from jaxtyping import Float, Int8

from pluralism.errors import DataWarning, SeparationWarning, UsageError
from pluralism.progress.agents.agent import Agent
from pluralism.progress.episodes import Observation
from pluralism.progress.task import Task

if TYPE_CHECKING:
    from pluralism.models.low_rank import LowRankReward

__all__ = ["LowRankVote"]

WELFARE_PRICE = 1.0
LEAST_WEIGHT = 1e-3


class LowRankVote(Agent):
    r"""Fits LoRe to the single answers of a panel, and lets the panel settle every question by a rule.

    In each period the rewards are learnt anew from all answers so far, of which those that are k periods old weigh
    :math:`\gamma^k`; each person is a mixture of a few of them (Bose et al. 2025). Everybody then ranks the options of
    every question that policies are judged by, and the rule picks, as in Freedman 2026 (arXiv:2605.01642). Who wins
    does not say how decided people are: of an election the agent keeps the direction, with the length of the mean of
    people's values.

    Parameters
    ----------
    rule : str
        A rule of rankings, such as "borda", "schulze" or "maximal-lottery", or of welfare, such as "utilitarian",
        "nash" or "maxmin"; see `pluralism.policy.policy_rules`.
    rank : int
        Rewards that people are mixtures of.
    discount : float
        :math:`\gamma`, in [0, 1]; 0 learns from each period by itself.
    weights : {"mixture", "partition", "free"}
        As for `LowRankReward`.
    ridge, concentration : float
        As for `LowRankReward`; fixed here, for they would have to be chosen anew in every period.

    Raises
    ------
    UsageError
        If a setting is out of range, there is no such rule, or it needs more settings than are given here.
    """

    label: ClassVar[str] = "low_rank_vote"

    def __init__(
        self,
        rule: str = "borda",
        rank: int = 2,
        discount: float = 0.7,
        weights: Literal["mixture", "partition", "free"] = "mixture",
        ridge: float = 1.0,
        concentration: float = 1.0,
    ) -> None:
        from pluralism.policy.by_rule import policy_rules

        if rule not in policy_rules():
            raise UsageError(f"There is no rule {rule!r}.", fix=f"Use one of {', '.join(policy_rules())}.")
        if not 0 <= discount <= 1 or rank < 1 or not min(ridge, concentration) > 0:
            raise UsageError(
                "discount, rank, ridge or concentration is out of range.", fix="Use [0, 1], at least 1, and above 0."
            )
        self.rule, self.rank, self.discount = rule, rank, discount
        self.weights, self.ridge, self.concentration = weights, ridge, concentration

    def begin(self, task: Task, initial: Observation) -> None:
        """Forget everything; hear the panel in period 0."""
        super().begin(task, initial)
        self.pairs = [_panel(initial)]

    def act(self, seen: Observation) -> Float[np.ndarray, "batch dim"]:
        """Hear the panel, and hold the election."""
        self.pairs.append(_panel(seen))
        return np.stack([self._elected(row) for row in range(len(seen["period"]))])

    def people(self, row: int) -> Float[np.ndarray, "users dim"]:
        """Values of everybody on the panel of one history, as the answers so far tell them."""
        model = self._fit(row)
        from pluralism.data import Items

        # Rewards are linear in features, about an origin of their own.
        points = 1.0 + np.vstack([np.eye(self.task.dims), np.zeros(self.task.dims)])
        rewards = model.user_reward(Items([str(k) for k in range(len(points))], features=points))
        return (rewards[:-1] - rewards[-1]).T / self.task.bank.sharpness

    def _elected(self, row: int) -> Float[np.ndarray, " dim"]:
        from pluralism.policy.by_rule import WELFARE_RULES, policy_by_rule
        from pluralism.social_choice.utilities import Utilities

        bank, values = self.task.bank, self.people(row)
        worth = bank.sharpness * np.einsum("ikd,ud->iku", bank.evaluation, values)
        priced = "beta" in WELFARE_RULES.get(self.rule, ((), ()))[1]
        elected = policy_by_rule(
            Utilities(worth).to_unit("gain"), self.rule, beta=WELFARE_PRICE if priced else None
        ).probs
        # At odds of half a choice by chance, winners have a direction.
        direction = bank.implied_values((elected + 1.0 / bank.shape[1]) / 2)
        length = float(np.linalg.norm(direction))
        return direction * (float(np.linalg.norm(values.mean(axis=0))) / length if length > 0 else 0.0)

    def _fit(self, row: int) -> LowRankReward:
        from pluralism.data import Comparisons, Items
        from pluralism.models.low_rank import LowRankReward

        ages = [self.discount**k for k in reversed(range(len(self.pairs)))]
        heard = [(*part, age) for part, age in zip(self.pairs, ages, strict=True) if age > LEAST_WEIGHT]
        options = np.concatenate([pairs[row].reshape(-1, self.task.dims) for pairs, _, _ in heard])
        features, code = np.unique(options, axis=0, return_inverse=True)
        left, right = code.reshape(-1, 2).T
        ballots = np.concatenate([given[row] for _, given, _ in heard])
        weight = np.repeat([age for *_, age in heard], len(heard[0][0][row]))
        asked, voters = ballots.shape
        each = np.repeat(np.arange(asked), voters)
        data = Comparisons.from_arrays(
            left[each],
            right[each],
            user=np.tile(np.arange(voters), asked),
            outcome=ballots.ravel().astype(float),
            weight=weight[each],
            items=Items([str(k) for k in range(len(features))], features=features),
        )
        model = LowRankReward(
            rank=self.rank,
            weights=self.weights,
            ridge=self.ridge,
            concentration=self.concentration,
            n_init=1,
            rng=0,
        )
        with warnings.catch_warnings():
            # Few answers of an early period may all point one way; the ridge settles what they leave open.
            warnings.simplefilter("ignore", SeparationWarning)
            warnings.simplefilter("ignore", DataWarning)
            return model.fit(data)


def _panel(
    seen: Observation,
) -> tuple[Float[np.ndarray, "batch pairs 2 dim"], Int8[np.ndarray, "batch pairs voters"]]:
    if "ballots" not in seen:
        raise UsageError("There is no panel to vote.", fix='Set n_votes and voters="panel".')
    return seen["query_phi"].astype(float), seen["ballots"]
