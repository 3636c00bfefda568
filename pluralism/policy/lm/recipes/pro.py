"""Preference ranking optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.recipes.response_lists import ListBatch, ListRecipe, lists_of, prompts_of
from pluralism.policy.pro_loss import pro_loss

if TYPE_CHECKING:
    from pluralism.data.sources import Source
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["PRO"]


@dataclass(frozen=True, kw_only=True)
class PRO(ListRecipe):
    """Likelihood of a whole ranking under mean token log-probabilities, with the best response also imitated.

    The loss is `pluralism.policy.pro_loss`. Responses come with rewards and are ranked by them, the first of equals
    first. There is no reference: what holds the policy is the imitation.

    Attributes
    ----------
    use_rewards : bool
        Whether a response that falls short by little is pushed down by little; otherwise only the order counts.
    sft_weight : float
        Of the best response's negative log-likelihood, times the squared number of other responses; at least 0.

    References
    ----------
    F. Song et al., "Preference ranking optimization for human alignment", AAAI 2024, arXiv:2306.17492.
    """

    name: ClassVar[str] = "pro"
    columns: ClassVar[tuple[str, ...]] = ("prompt", "responses", "rewards")
    facts: ClassVar[tuple[str, ...]] = ("rewards",)
    compares: ClassVar[bool] = False

    use_rewards: bool = True
    sft_weight: float = 0.05

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.sft_weight < np.inf:
            raise UsageError(f"sft_weight={self.sft_weight!r} is not possible.", fix="It is at least 0.")

    def _lists(self, model: LanguageModel, source: Source) -> tuple[list[Any], list[list[str]], dict[str, list[Any]]]:
        prompts = prompts_of(model, source)
        texts = lists_of(source, "responses", str, least=2)
        rewards = lists_of(source, "rewards", (int, float), least=2)
        for row, (said, worth) in enumerate(zip(texts, rewards, strict=True)):
            if len(said) != len(worth) or not np.isfinite(worth).all():
                raise DataError(
                    "rewards do not fit the responses, or are not finite.",
                    where=f"{source.name}, row {row + 1}",
                    fix="Give each response a number; more is better.",
                )
        orders = [np.argsort(-np.array(worth, dtype=float), kind="stable") for worth in rewards]
        texts = [[said[k] for k in order] for said, order in zip(texts, orders, strict=True)]
        rewards = [[float(worth[k]) for k in order] for worth, order in zip(rewards, orders, strict=True)]
        return [[prompt] * len(said) for prompt, said in zip(prompts, texts, strict=True)], texts, {"rewards": rewards}

    def _losses(self, batch: ListBatch) -> Any:
        return pro_loss(
            batch.mean,
            rewards=batch.facts["rewards"] if self.use_rewards else None,
            n_candidates=batch.n_rows,
            best_log_prob=batch.total[:, 0],
            sft_weight=self.sft_weight,
        )
