"""Conditioning by choice: of n answers keep the one that the group, or the groups together, reward most."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa
from jaxtyping import Float64, Int64

from pluralism.calibration.text import json_ready
from pluralism.errors import UsageError
from pluralism.models.settings import is_whole
from pluralism.policy.best_of_n import estimate_best_of_n
from pluralism.policy.lm.conditioning.conditioner import Conditioner, check_groups, known_group
from pluralism.policy.lm.conditioning.reward_calls import Reward, group_rewards, rewarded
from pluralism.policy.lm.conditioning.rows import gather_rows
from pluralism.policy.lm.generations import Generations
from pluralism.social_choice.utilities import Unit, Utilities
from pluralism.solvers.best_of_n import best_of_n_kl_bound, best_of_n_win_rate_bound

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from pluralism.random import RNG

__all__ = ["BestOfN", "BestOfNChoice", "Rule", "WelfareBestOfN"]

Rule = Literal["worst group", "utilitarian"]


@dataclass(frozen=True, eq=False, repr=False)
class BestOfNChoice:
    """The draws of a best-of-n, and which were kept.

    Attributes
    ----------
    candidates : Generations
        All draws; those of one choice follow each other, n at a time.
    reward : array of shape (choices, n)
        By which the best was chosen.
    kept : int array of shape (choices,)
        Which of the n, the first of equal ones.
    """

    candidates: Generations
    reward: Float64[np.ndarray, "choices n"]
    kept: Int64[np.ndarray, " choices"]

    @property
    def n(self) -> int:
        """Draws of each choice."""
        return self.reward.shape[1]

    @cached_property
    def chosen(self) -> Generations:
        """The best of each n."""
        rows = np.arange(len(self.kept)) * self.n + self.kept
        return gather_rows(self.candidates, rows, self.candidates.sample[rows] // self.n)

    @property
    def kl_bound(self) -> float:
        r"""The most that the KL from the policy that drew can be, in nats: :math:`\log n - (n-1)/n`.

        The KL is that of the distribution of answers to one prompt, whatever the reward (Beirami et al. 2024).
        """
        return best_of_n_kl_bound(self.n)

    @property
    def win_rate_bound(self) -> float:
        """The highest win rate against the policy that drew, in the eyes of the reward itself: n / (n + 1)."""
        return best_of_n_win_rate_bound(self.n)

    @cached_property
    def curve(self) -> Float64[np.ndarray, " n"]:
        """Expected best reward of 1, 2, ... n draws, without bias, in the mean over choices."""
        return np.array([estimate_best_of_n(self.reward, k).mean() for k in range(1, self.n + 1)])

    def to_frame(self) -> pa.Table:
        """The candidates with `reward` and `kept`."""
        kept = np.arange(self.n) == self.kept[:, None]
        table = self.candidates.to_frame().append_column("reward", pa.array(self.reward.ravel()))
        return table.append_column("kept", pa.array(kept.ravel()))

    def to_json(self, *, indent: int | None = None) -> str:
        """`n`, the bounds, `curve`, and the rows of `to_frame`, as JSON."""
        document: dict[str, Any] = {
            "n": self.n,
            "kl_bound": self.kl_bound,
            "win_rate_bound": self.win_rate_bound,
            "curve": self.curve,
            "rows": self.to_frame().to_pylist(),
        }
        return json.dumps(json_ready(document), allow_nan=False, ensure_ascii=False, indent=indent)

    def __repr__(self) -> str:
        mean, best = self.curve[0], self.curve[-1]
        return (
            f"BestOfNChoice({len(self.kept):,} choices of {self.n}, reward {mean:.3g} to {best:.3g}, "
            f"KL at most {self.kl_bound:.3g})"
        )


@dataclass(frozen=True, eq=False)
class BestOfN:
    """Draws n answers for each that is asked for, and keeps the one that the group's reward likes most.

    Parameters
    ----------
    base : Conditioner
        What draws, such as a `SinglePolicy`; it may be conditioned itself.
    rewards : mapping of str to reward
        By group: called as ``reward(prompts, responses)``, it gives a number for each row. One call scores all draws.
        A reward for everybody stands under each group.
    n : int
    name : str, optional

    Raises
    ------
    UsageError
        A group has no reward, or n is no whole number of at least 1.
    """

    base: Conditioner
    rewards: Mapping[str, Reward]
    n: int = 8
    name: str = ""

    def __post_init__(self) -> None:
        _check(self.base, tuple(self.rewards), self.n)
        object.__setattr__(self, "name", self.name or f"best of {self.n}")

    @property
    def groups(self) -> tuple[str, ...]:
        """Those that have a reward."""
        return tuple(self.rewards)

    def choose(self, prompts: Sequence[str], group: str, *, n: int = 1, **options: Any) -> BestOfNChoice:
        """The draws and the choice among them, for n answers of each prompt; options as of `generate`."""
        reward = self.rewards[known_group(group, self.groups)]
        drawn = _draw(self.base, prompts, group, self.n, n, options)
        return _best(drawn, rewarded(reward, drawn.prompt_texts, drawn.texts), self.n)

    def generate(
        self,
        prompts: Sequence[str],
        group: str,
        *,
        n: int = 1,
        max_tokens: int = 128,
        temperature: float = 1.0,
        top_p: float = 1.0,
        rng: RNG = 0,
    ) -> Generations:
        """The best answers; see `Conditioner.generate`."""
        return self.choose(
            prompts, group, n=n, max_tokens=max_tokens, temperature=temperature, top_p=top_p, rng=rng
        ).chosen


@dataclass(frozen=True, eq=False)
class WelfareBestOfN:
    """One answer for everybody: of n draws the one that serves the worst-off group, or all groups on average, best.

    Rewards learnt from comparisons have no zero and no unit that two groups share; they are put in `unit` with the n
    draws as the reference, so that "worst-off" means something.

    Parameters
    ----------
    base : Conditioner
        What draws; asked for the first group, so usually a `SinglePolicy`.
    rewards : mapping of str to reward
        By group, as in `BestOfN`.
    n : int
    rule : {"worst group", "utilitarian"}
        The largest minimum over groups, or the largest mean by `shares`.
    unit : {"cdf", "gain", "normalised", "regret"}
        See `pluralism.social_choice.Utilities`; "cdf" is the share of the draws that an answer beats.
    shares : array of shape (groups,), optional
        How large groups are, for the utilitarian rule; left out, equally large.
    name : str, optional

    Raises
    ------
    UsageError
        As in `BestOfN`, or an unknown rule or unit.
    """

    base: Conditioner
    rewards: Mapping[str, Reward]
    n: int = 8
    rule: Rule = "worst group"
    unit: Unit = "cdf"
    shares: ArrayLike | None = None
    name: str = ""

    def __post_init__(self) -> None:
        _check(self.base, tuple(self.rewards), self.n)
        units = tuple(unit for unit in get_args(Unit) if unit != "raw")
        if self.rule not in get_args(Rule) or self.unit not in units:
            raise UsageError(
                f"rule={self.rule!r} with unit={self.unit!r} is not possible.",
                fix=f"Rules are {', '.join(get_args(Rule))}; units are {', '.join(units)}.",
            )
        object.__setattr__(self, "name", self.name or f"best of {self.n} ({self.rule})")

    @property
    def groups(self) -> tuple[str, ...]:
        """Those that have a reward."""
        return tuple(self.rewards)

    def choose(self, prompts: Sequence[str], *, n: int = 1, **options: Any) -> BestOfNChoice:
        """The draws and the choice among them, for n answers of each prompt; options as of `generate`."""
        drawn = _draw(self.base, prompts, self.groups[0], self.n, n, options)
        values = group_rewards(self.rewards, drawn.prompt_texts, drawn.texts)
        pools = values.reshape(-1, self.n, len(self.groups))
        utilities = Utilities(pools, groups=self.groups, shares=self.shares, reference="samples").to_unit(self.unit)
        if self.rule == "worst group":
            reward = utilities.values.min(axis=2)
        else:
            reward = utilities.values @ utilities.shares
        return _best(drawn, reward.ravel(), self.n)

    def generate(
        self,
        prompts: Sequence[str],
        group: str,
        *,
        n: int = 1,
        max_tokens: int = 128,
        temperature: float = 1.0,
        top_p: float = 1.0,
        rng: RNG = 0,
    ) -> Generations:
        """The best answers, the same for every group; see `Conditioner.generate`."""
        known_group(group, self.groups)
        return self.choose(prompts, n=n, max_tokens=max_tokens, temperature=temperature, top_p=top_p, rng=rng).chosen


def _check(base: Conditioner, groups: tuple[str, ...], n: int) -> None:
    check_groups(groups)
    if not is_whole(n):
        raise UsageError(f"n={n!r} is not possible.", fix="It is a whole number of draws, at least 1.")
    unknown = [group for group in groups if group not in base.groups]
    if unknown:
        raise UsageError(
            f"{base.name} cannot answer for the group {unknown[0]!r}.", fix="Give it the groups that have rewards."
        )


def _draw(
    base: Conditioner, prompts: Sequence[str], group: str, n: int, asked: int, options: dict[str, Any]
) -> Generations:
    if not is_whole(asked):
        raise UsageError(f"n={asked!r} is not possible.", fix="Ask for one answer or more of each prompt.")
    return base.generate(prompts, group, n=n * asked, **options)


def _best(drawn: Generations, reward: Float64[np.ndarray, " rows"], n: int) -> BestOfNChoice:
    pools = reward.reshape(-1, n)
    return BestOfNChoice(drawn, pools, pools.argmax(axis=1))
