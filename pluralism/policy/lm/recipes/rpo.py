"""DPO that also imitates the chosen answers, against over-optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pluralism.errors import UsageError
from pluralism.policy.lm.recipes.paired import PairedRecipe

__all__ = ["RPO"]


@dataclass(frozen=True, kw_only=True)
class RPO(PairedRecipe):
    r"""Regularised preference optimisation: the loss of `DPO` and `sft_weight` times the cross-entropy of the chosen.

    In theory the second term is what pessimism about the reward comes to. There it is a sum over the tokens of an
    answer; in TRL, and so here, it is the mean over the tokens of a batch, so that the weights differ by a length.

    Attributes
    ----------
    sft_weight : float
        At least 0.

    References
    ----------
    Z. Liu et al., "Provably mitigating overoptimization in RLHF: your SFT loss is implicitly an adversarial
    regularizer", arXiv:2405.16436.
    """

    name: ClassVar[str] = "rpo"

    sft_weight: float = 0.005

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sft_weight >= 0:
            raise UsageError(f"sft_weight={self.sft_weight!r} is not possible.", fix="It is at least 0.")

    def _loss(self) -> dict[str, Any]:
        return {"loss_type": ["sigmoid", "sft"], "loss_weights": [1.0, self.sft_weight]}
