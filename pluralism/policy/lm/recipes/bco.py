"""Binary classifier optimisation on thumbs, with the reward shift of the paper."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from pluralism.errors import DataError, UsageError
from pluralism.policy.lm.recipes.bco_trainer import bco_trainer
from pluralism.policy.lm.recipes.quiet_trainer import quiet_trainer
from pluralism.policy.lm.recipes.training_rows import numbers_of
from pluralism.policy.lm.recipes.unpaired import UnpairedRecipe

if TYPE_CHECKING:
    from pluralism.data.sources import Source

__all__ = ["BCO"]


@dataclass(frozen=True, kw_only=True)
class BCO(UnpairedRecipe):
    r"""Binary classifier optimisation: tell thumbs up from thumbs down by the log-ratio.

    The loss is :math:`-\log \sigma(\beta \rho(y) - \delta)` for a thumb up and
    :math:`-w(x) \log \sigma(\delta - \beta \rho(y))` for one down. The shift :math:`\delta` is half the sum of the mean
    rewards of the two, as moving averages over batches. Weights w come in a column `weight`, 1 by default: those of
    `prompt_weights` correct for prompts that draw thumbs of one kind.

    Attributes
    ----------
    momentum : float
        Of the moving averages, from 0 (this batch alone) and below 1.

    References
    ----------
    S. Jung et al., "Binary classifier optimization for large language model alignment", arXiv:2404.04656. TRL 1.16
    has no trainer for it; ours is TRL's for `KTO` with another loss.
    """

    name: ClassVar[str] = "bco"

    momentum: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.momentum < 1:
            raise UsageError(f"momentum={self.momentum!r} is not possible.", fix="It is from 0 and below 1.")

    def _trl_names(self) -> tuple[str, str]:
        return "KTOTrainer", "KTOConfig"

    def _options(self) -> dict[str, Any]:
        # Of TRL's losses of thumbs, the one that pairs no answers with other prompts.
        return {"beta": self.beta, "loss_type": "apo_zero_unpaired", "train_sampling_strategy": "random"}

    def _trainer_class(self) -> type:
        return quiet_trainer(bco_trainer(self.momentum))

    def _more(self, source: Source, labels: list[bool]) -> dict[str, list[Any]]:
        if "weight" not in source:
            return {"weight": [1.0] * len(labels)}
        weights = [float(weight) for weight in numbers_of(source, "weight")]
        if min(weights) < 0:
            raise DataError("A weight is below 0.", where=source.name, fix="Give weights from 0.")
        return {"weight": [1.0 if up else weight for up, weight in zip(labels, weights, strict=True)]}
