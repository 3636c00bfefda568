"""A language model for each group: adapters on a shared base, or policies trained apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluralism.policy.lm.conditioning.conditioner import check_groups, known_group

if TYPE_CHECKING:
    from pluralism.policy.lm.generations import Generations
    from pluralism.policy.lm.language_model import LanguageModel
    from pluralism.random import RNG

__all__ = ["ModelBank"]


@dataclass(frozen=True, eq=False)
class ModelBank:
    """Each group is answered by a language model of its own.

    Parameters
    ----------
    models : mapping of str to LanguageModel
        By group. It is asked for a model only when a group is answered, so that a mapping may load or switch then.
    name : str

    Raises
    ------
    UsageError
        There is no model, or a key is no name of a group.
    """

    models: Mapping[str, LanguageModel]
    name: str = "model per group"

    def __post_init__(self) -> None:
        check_groups(tuple(self.models))

    @property
    def groups(self) -> tuple[str, ...]:
        """Those that have a model."""
        return tuple(self.models)

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
        """Answers of the group's model; see `Conditioner.generate`."""
        model = self.models[known_group(group, self.groups)]
        return model.generate(prompts, n=n, max_tokens=max_tokens, temperature=temperature, top_p=top_p, rng=rng)
