"""Recipes of pairs: what the members of the DPO family share."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pluralism.errors import UsageError
from pluralism.extras import require
from pluralism.policy.lm.recipes.recipe import Recipe
from pluralism.policy.lm.recipes.training_rows import answered, token_rows

if TYPE_CHECKING:
    from pluralism.data.sources import Source
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["PairedRecipe"]


@dataclass(frozen=True, kw_only=True)
class PairedRecipe(Recipe):
    r"""A recipe whose rows are a prompt, the answer that was chosen and the one that was not.

    The losses are functions of the log-ratios :math:`\rho(y) = \log \pi(y \mid x) - \log \pi_\mathrm{ref}(y \mid x)`
    of whole answers, the token that ends them included. With a column `system` the policy is conditioned: it learns
    what to answer after each system message.

    Attributes
    ----------
    beta : float
        Above 0: how dear it is to leave the reference.
    """

    columns: ClassVar[tuple[str, ...]] = ("prompt", "chosen", "rejected")
    rates: ClassVar[tuple[float, float]] = (1e-6, 1e-5)

    beta: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta > 0:
            raise UsageError(f"beta={self.beta!r} is not possible.", fix="It is above 0.")

    @abstractmethod
    def _loss(self) -> dict[str, Any]:
        """The loss as TRL's settings name it."""

    def _trl_names(self) -> tuple[str, str]:
        return "DPOTrainer", "DPOConfig"

    def _options(self) -> dict[str, Any]:
        return {"beta": self.beta, **self._loss()}

    def _rows(self, model: LanguageModel, source: Source) -> Any:
        datasets = require("datasets", extra="lm", purpose=f"The recipe {self.name!r}")
        prompts, answers = token_rows(
            model, answered(source, ("chosen", "rejected")), source.name, max_tokens=self.max_tokens
        )
        return datasets.Dataset.from_dict(
            {"prompt_ids": prompts, "chosen_ids": answers["chosen"], "rejected_ids": answers["rejected"]}
        )
