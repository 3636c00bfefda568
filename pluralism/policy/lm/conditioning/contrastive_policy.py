"""Conditioning by contrast: what a group's policy says beyond the reference, said more strongly, without training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluralism.policy.lm.conditioning.conditioner import check_groups, known_group
from pluralism.policy.lm.conditioning.contrastive_guidance import ContrastiveGuidance
from pluralism.policy.lm.conditioning.contrastive_logits import Contrast, check_contrast
from pluralism.policy.lm.conditioning.contrastive_teacher import check_same_tokens
from pluralism.policy.lm.conditioning.rows import generate_guided

if TYPE_CHECKING:
    from pluralism.policy.lm.generations import Generations
    from pluralism.policy.lm.language_model import LanguageModel
    from pluralism.random import RNG

__all__ = ["ContrastiveDecoding"]


@dataclass(frozen=True, eq=False)
class ContrastiveDecoding:
    """Decodes from the contrast of each group's policy with another model; see `ContrastiveTeacher`.

    Parameters
    ----------
    models : mapping of str to LanguageModel
        A policy for each group, such as a DPO adapter.
    other : LanguageModel or mapping of str to LanguageModel
        The reference for all, or a model for each group: the policy of its reversed pairs.
    contrast : {"fixed", "adaptive"}
    scale : float
        With the fixed contrast 1 is the group's policy itself and more goes beyond it.
    name : str

    Raises
    ------
    UsageError
        There is no model, a group has nothing to be contrasted with, or a setting cannot work.

    References
    ----------
    S. Zhang et al., "AlignDistil: token-level language model alignment as adaptive policy distillation",
    arXiv:2503.02832.
    """

    models: Mapping[str, LanguageModel]
    other: LanguageModel | Mapping[str, LanguageModel]
    contrast: Contrast = "fixed"
    scale: float = 2.0
    name: str = "contrastive decoding"

    def __post_init__(self) -> None:
        for group in check_groups(tuple(self.models)):
            if isinstance(self.other, Mapping):
                known_group(group, tuple(self.other))
        check_contrast(self.contrast, self.scale)

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
        """Answers from the contrast; `log_probs` are its own. See `Conditioner.generate`."""
        model = self.models[known_group(group, self.groups)]
        other = self.other[group] if isinstance(self.other, Mapping) else self.other
        check_same_tokens(model, other)
        guidance = ContrastiveGuidance(model, other, prompts, contrast=self.contrast, scale=self.scale)
        return generate_guided(
            model,
            prompts,
            guidance,
            n=n,
            max_tokens=max_tokens,
            temperature=temperature,
            top_p=top_p,
            system=None,
            rng=rng,
        )
