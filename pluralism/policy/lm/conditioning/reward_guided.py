"""Conditioning by guided decoding: each group's reward steers every token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluralism.errors import UsageError
from pluralism.policy.lm.conditioning.conditioner import check_groups, known_group
from pluralism.policy.lm.conditioning.reward_calls import Reward
from pluralism.policy.lm.conditioning.reward_guidance import Others, RewardGuidance, check_guidance
from pluralism.policy.lm.conditioning.rows import generate_guided

if TYPE_CHECKING:
    from pluralism.policy.lm.generations import Generations
    from pluralism.policy.lm.language_model import LanguageModel
    from pluralism.random import RNG

__all__ = ["RewardGuided"]


@dataclass(frozen=True, eq=False)
class RewardGuided:
    """One model, whose tokens are weighed by the group's reward of what they lead to; see `RewardGuidance`.

    It costs a lookahead for each candidate of each token: much slower than `BestOfN`, and worth it where good answers
    are too rare to be drawn.

    Parameters
    ----------
    model : LanguageModel
    rewards : mapping of str to reward
        By group.
    strength : float
        In nats for a unit of reward; 0 leaves the model as it is.
    top_k, lookahead, others
        As in `RewardGuidance`.
    system : mapping of str to str, optional
        A system message for each group as well.
    name : str, optional

    Raises
    ------
    UsageError
        There is no reward, or a setting cannot work.

    References
    ----------
    J. Y. Huang et al., "DeAL: decoding-time alignment for large language models", arXiv:2402.06147.
    """

    model: LanguageModel
    rewards: Mapping[str, Reward]
    strength: float = 1.0
    top_k: int = 8
    lookahead: int = 8
    others: Others = "dropped"
    system: Mapping[str, str] | None = None
    name: str = "reward-guided"

    def __post_init__(self) -> None:
        check_groups(tuple(self.rewards))
        check_guidance(self.strength, self.top_k, self.lookahead, self.others)
        if self.system is not None and set(self.system) != set(self.rewards):
            raise UsageError(
                "System messages and rewards are of different groups.", fix="Give one of each to each group."
            )

    @property
    def groups(self) -> tuple[str, ...]:
        """Those that have a reward."""
        return tuple(self.rewards)

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
        """Answers guided by the group's reward; `log_probs` are the guided policy's. See `Conditioner.generate`."""
        reward = self.rewards[known_group(group, self.groups)]
        system = None if self.system is None else self.system[group]
        guidance = RewardGuidance(
            self.model,
            prompts,
            reward,
            strength=self.strength,
            top_k=self.top_k,
            lookahead=self.lookahead,
            others=self.others,
            system=system,
        )
        return generate_guided(
            self.model,
            prompts,
            guidance,
            n=n,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            system=system,
            rng=rng,
        )
