"""One policy for everybody: no conditioning, the baseline of every comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluralism.policy.lm.conditioning.conditioner import check_groups, known_group

if TYPE_CHECKING:
    from pluralism.policy.lm.generations import Generations
    from pluralism.policy.lm.language_model import LanguageModel
    from pluralism.random import RNG

__all__ = ["SinglePolicy"]


@dataclass(frozen=True, eq=False)
class SinglePolicy:
    """A language model that answers everybody alike.

    The same `rng` gives each group the same texts: what differs between groups is then the judge alone.

    Parameters
    ----------
    model : LanguageModel
        The reference itself, or one policy trained for all groups (utilitarian, MaxMin, Nash).
    groups : sequence of str
    name : str
    system : str, optional
        A system message for everybody.

    Raises
    ------
    UsageError
        Names of groups that are empty or repeated.
    """

    model: LanguageModel
    groups: tuple[str, ...]
    name: str = "single policy"
    system: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", check_groups(self.groups))

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
        """Answers, the same for every group; see `Conditioner.generate`."""
        known_group(group, self.groups)
        return self.model.generate(
            prompts,
            n=n,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            system=self.system,
            rng=rng,
        )
