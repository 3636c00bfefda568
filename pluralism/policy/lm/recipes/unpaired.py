"""Recipes of thumbs: answers that were liked or not, each on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pluralism.errors import DataError, UsageError
from pluralism.extras import require
from pluralism.policy.lm.recipes.recipe import Recipe
from pluralism.policy.lm.recipes.training_rows import answered, labels_of, token_rows
from pluralism.random import as_generator

if TYPE_CHECKING:
    from pluralism.data.sources import Source
    from pluralism.policy.lm.language_model import LanguageModel

__all__ = ["UnpairedRecipe"]


@dataclass(frozen=True, kw_only=True)
class UnpairedRecipe(Recipe):
    r"""A recipe whose rows are a prompt, an answer and a label: true for a thumb up, false for one down.

    The losses are functions of the log-ratios :math:`\rho(y) = \log \pi(y \mid x) - \log \pi_\mathrm{ref}(y \mid x)`
    of whole answers. With a column `system` the policy is conditioned on it.

    Attributes
    ----------
    beta : float
        Above 0: how dear it is to leave the reference.
    """

    columns: ClassVar[tuple[str, ...]] = ("prompt", "completion", "label")
    rates: ClassVar[tuple[float, float]] = (1e-6, 1e-5)

    beta: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.beta > 0:
            raise UsageError(f"beta={self.beta!r} is not possible.", fix="It is above 0.")

    def _rows(self, model: LanguageModel, source: Source) -> Any:
        datasets = require("datasets", extra="lm", purpose=f"The recipe {self.name!r}")
        labels = labels_of(source)
        if len(set(labels)) < 2:
            raise DataError(
                f"All labels are {labels[0]}.",
                where=source.name,
                fix="Give thumbs both up and down: there is no contrast.",
            )
        prompts, answers = token_rows(model, answered(source, ("completion",)), source.name, max_tokens=self.max_tokens)
        columns: dict[str, list[Any]] = {
            "prompt_ids": prompts,
            "completion_ids": answers["completion"],
            "label": labels,
        }
        columns |= self._more(source, labels)
        # Rows that come sorted would make batches of thumbs up alone.
        order = as_generator(self.rng, "order of thumbs").permutation(source.n_rows)
        mixed = {name: [cells[row] for row in order] for name, cells in columns.items()}
        return datasets.Dataset.from_dict(self._ordered(mixed))

    def _more(self, source: Source, labels: list[bool]) -> dict[str, list[Any]]:
        """Further columns of the recipe."""
        return {}

    def _ordered(self, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        """What depends on the order of the rows."""
        return columns
