"""Trust-region preference approximation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.recipes.response_lists import ListBatch, ListRecipe, lists_of, prompts_of
from pluralism.policy.trpa_loss import trpa_loss

if TYPE_CHECKING:
    from pluralism.data.sources import Source
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["TRPA"]


@dataclass(frozen=True, kw_only=True)
class TRPA(ListRecipe):
    """All pairs of responses of different levels, by length-normalised log-ratios; see `pluralism.policy.trpa_loss`.

    Rules, not rewards, sort responses into levels: right, right but badly put, wrong, no answer at all. That leaves
    nothing to be gamed but the rules.

    Attributes
    ----------
    beta : float
        Per token, above 0.
    anisotropy : float
        Weight of pairs whose winner has level 1, above 0.

    References
    ----------
    X. Su et al., "Trust region preference approximation", arXiv:2504.04524.
    """

    name: ClassVar[str] = "trpa"
    columns: ClassVar[tuple[str, ...]] = ("prompt", "responses", "levels")
    facts: ClassVar[tuple[str, ...]] = ("levels",)

    beta: float = 1.0
    anisotropy: float = 2.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.beta > 0 and self.anisotropy > 0):
            raise UsageError(
                f"beta={self.beta!r}, anisotropy={self.anisotropy!r} are not possible.", fix="They are above 0."
            )

    def _lists(self, model: LanguageModel, source: Source) -> tuple[list[Any], list[list[str]], dict[str, list[Any]]]:
        prompts = prompts_of(model, source)
        texts = lists_of(source, "responses", str, least=2)
        levels = lists_of(source, "levels", (int, float), least=2)
        for row, (said, level) in enumerate(zip(texts, levels, strict=True)):
            if len(said) != len(level) or min(level) < 1 or any(x != int(x) for x in level):
                raise DataError(
                    "levels do not fit the responses, or are no levels.",
                    where=f"{source.name}, row {row + 1}",
                    fix="Give each response a whole number from 1, the best.",
                )
        if all(len(set(level)) == 1 for level in levels):
            raise DataError(
                "In no row do the responses have different levels, so there is nothing to learn.",
                where=source.name,
                fix="Draw more responses, or make finer rules.",
            )
        return [[prompt] * len(said) for prompt, said in zip(prompts, texts, strict=True)], texts, {"levels": levels}

    def _losses(self, batch: ListBatch) -> Any:
        ratio = (batch.total - batch.reference) / batch.n_tokens
        return trpa_loss(ratio, batch.facts["levels"], beta=self.beta, anisotropy=self.anisotropy)
