"""Kahneman-Tversky optimisation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pluralism.errors import DataWarning, UsageError
from pluralism.policy.lm.recipes.unpaired import UnpairedRecipe

if TYPE_CHECKING:
    from pluralism.data.sources import Source

__all__ = ["KTO"]

_ADVISED = (1.0, 4 / 3)


@dataclass(frozen=True, kw_only=True)
class KTO(UnpairedRecipe):
    r"""Kahneman-Tversky optimisation: value gained and lost against what the policy gives on average.

    The loss is :math:`1 - \sigma(\beta [\rho(y) - z])` for a thumb up and :math:`1 - \sigma(\beta [z - \rho(y)])` for
    one down, weighed. z estimates :math:`\mathrm{KL}(\pi \Vert \pi_\mathrm{ref})`, at least 0: the mean log-ratio of
    answers paired with the prompts of other rows of their batch, so that the order of the rows is kept in all epochs.

    Attributes
    ----------
    up_weight, down_weight : float
        Above 0. Where up_weight times the thumbs up is less than down_weight times those down, or more than 4/3 of it,
        there is a `DataWarning`.

    References
    ----------
    K. Ethayarajh et al., "KTO: model alignment as prospect theoretic optimization", ICML 2024, arXiv:2402.01306,
    equations 7 and 8.
    """

    name: ClassVar[str] = "kto"

    up_weight: float = 1.0
    down_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.up_weight > 0 and self.down_weight > 0 and self.batch_size > 1):
            raise UsageError(
                f"up_weight={self.up_weight!r}, down_weight={self.down_weight!r}, batch_size={self.batch_size!r} are "
                "not possible.",
                fix="The weights are above 0; batch_size is at least 2, for z needs another row.",
            )

    def _trl_names(self) -> tuple[str, str]:
        return "KTOTrainer", "KTOConfig"

    def _options(self) -> dict[str, Any]:
        return {
            "beta": self.beta,
            "loss_type": "kto",
            "desirable_weight": self.up_weight,
            "undesirable_weight": self.down_weight,
        }

    def _more(self, source: Source, labels: list[bool]) -> dict[str, list[Any]]:
        n_up = sum(labels)
        ratio = self.up_weight * n_up / (self.down_weight * (len(labels) - n_up))
        low, high = _ADVISED
        if not low - 1e-9 <= ratio <= high + 1e-9:
            warnings.warn(
                f"{source.name}: {n_up:,} thumbs up and {len(labels) - n_up:,} down weigh {ratio:.2f} to 1; KTO works "
                f"best from 1 to 1.33, as with up_weight={self.up_weight / ratio:.3g}.",
                DataWarning,
                stacklevel=2,
            )
        return {}

    def _ordered(self, columns: dict[str, list[Any]]) -> dict[str, list[Any]]:
        answers, size = columns["completion_ids"], self.batch_size
        others = []
        for start in range(0, len(answers), size):
            batch = answers[start : start + size]
            # A last batch of one row takes the answer of the row before it.
            others += [batch[-1] if len(batch) > 1 else answers[start - 1], *batch[:-1]]
        return columns | {"KL_completion_ids": others}
