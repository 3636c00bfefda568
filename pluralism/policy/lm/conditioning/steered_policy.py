"""Conditioning by steering: a vector for each group, added inside the model while it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from pluralism.errors import UsageError
from pluralism.policy.lm.conditioning.conditioner import check_groups, known_group
from pluralism.policy.lm.conditioning.steering_vector import SteeringVector

if TYPE_CHECKING:
    from pluralism.policy.lm.generations import Generations
    from pluralism.policy.lm.language_model import LanguageModel
    from pluralism.random import RNG

__all__ = ["Steered"]


@dataclass(frozen=True, eq=False)
class Steered:
    """One model, moved by the group's vector; `log_probs` of what it writes are those of the steered model.

    Parameters
    ----------
    model : LanguageModel
    vectors : mapping of str to SteeringVector
        By group.
    strength : float
        What vectors are multiplied by.
    keep_norm : bool
        As in `SteeringVector.applied`.
    name : str

    Raises
    ------
    UsageError
        There is no vector, or the strength is not finite.
    """

    model: LanguageModel
    vectors: Mapping[str, SteeringVector]
    strength: float = 1.0
    keep_norm: bool = False
    name: str = "steering vectors"

    def __post_init__(self) -> None:
        check_groups(tuple(self.vectors))
        if not np.isfinite(self.strength):
            raise UsageError(f"strength={self.strength!r} is not possible.", fix="Use a finite number.")

    @property
    def groups(self) -> tuple[str, ...]:
        """Those that have a vector."""
        return tuple(self.vectors)

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
        """Answers of the steered model; see `Conditioner.generate`."""
        vector = self.vectors[known_group(group, self.groups)]
        with vector.applied(self.model, self.strength, keep_norm=self.keep_norm):
            return self.model.generate(
                prompts, n=n, max_tokens=max_tokens, temperature=temperature, top_p=top_p, rng=rng
            )
