"""A conditioner: any way of answering for a group, whether by weights, by words, or by what is done to the decoding."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from pluralism.errors import UsageError

if TYPE_CHECKING:
    from pluralism.policy.lm.generations import Generations
    from pluralism.random import RNG

__all__ = ["Conditioner", "check_groups", "known_group"]


@runtime_checkable
class Conditioner(Protocol):
    """What every way of conditioning has, and all that an experiment asks for.

    Attributes
    ----------
    name : str
        What tables call it; distinct within an experiment.
    groups : tuple of str
        The groups that it can answer for.
    """

    @property
    def name(self) -> str:
        """What tables call it."""

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups that it can answer for."""

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
        """Answers for one group: n of each prompt, the same ones for the same `rng`.

        Parameters
        ----------
        prompts : sequence of str
        group : str
            One of `groups`.
        n : int
            Answers of each prompt.
        max_tokens : int
            The most tokens of an answer.
        temperature : float
            0 takes the likeliest token.
        top_p : float
            Draw from the likeliest tokens that have this probability together.
        rng : int, numpy.random.Generator or None

        Raises
        ------
        UsageError
            An unknown group, no prompts, or a number that cannot work.
        """


def check_groups(groups: Sequence[str]) -> tuple[str, ...]:
    """Names of groups: one at least, texts, and none twice.

    Raises
    ------
    UsageError
    """
    names = () if isinstance(groups, str) else tuple(groups)
    if not names or len(set(names)) < len(names) or not all(isinstance(name, str) and name for name in names):
        raise UsageError(f"groups={groups!r} are no names of groups.", fix="Give distinct texts, one at least.")
    return names


def known_group(group: str, groups: Sequence[str]) -> str:
    """The group, where it is one of `groups`.

    Raises
    ------
    UsageError
    """
    if group not in groups:
        raise UsageError(f"There is no group {group!r} here.", fix=f"Groups are {', '.join(groups)}.")
    return group
