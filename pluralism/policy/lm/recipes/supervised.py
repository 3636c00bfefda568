"""Supervised fine-tuning on answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pluralism.extras import require
from pluralism.policy.lm.recipes.recipe import Recipe
from pluralism.policy.lm.recipes.training_rows import answered, token_rows

if TYPE_CHECKING:
    from pluralism.data.sources import Source
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["SupervisedTuning"]

_IGNORED = -100


@dataclass(frozen=True, kw_only=True)
class SupervisedTuning(Recipe):
    """Supervised fine-tuning: the cross-entropy of answers by token, the token that ends them included.

    Prompts and system messages are read and not learnt. With a column `system` the policy is conditioned on it.
    """

    name: ClassVar[str] = "supervised"
    columns: ClassVar[tuple[str, ...]] = ("prompt", "completion")
    rates: ClassVar[tuple[float, float]] = (2e-5, 2e-4)

    def _trl_names(self) -> tuple[str, str]:
        return "SFTTrainer", "SFTConfig"

    def _options(self) -> dict[str, Any]:
        return {"packing": False}

    def _compares(self) -> bool:
        return False

    def _rows(self, model: LanguageModel, source: Source) -> Any:
        datasets = require("datasets", extra="lm", purpose=f"The recipe {self.name!r}")
        prompts, answers = token_rows(model, answered(source, ("completion",)), source.name, max_tokens=self.max_tokens)
        pairs = list(zip(prompts, answers["completion"], strict=True))
        return datasets.Dataset.from_dict(
            {
                "input_ids": [prompt + answer for prompt, answer in pairs],
                "labels": [[_IGNORED] * len(prompt) + answer for prompt, answer in pairs],
            }
        )
