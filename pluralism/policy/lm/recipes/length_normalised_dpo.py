"""DPO by token, so that a long answer does not weigh more than a short one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pluralism.policy.lm.recipes.paired import PairedRecipe

__all__ = ["LengthNormalisedDPO"]


@dataclass(frozen=True, kw_only=True)
class LengthNormalisedDPO(PairedRecipe):
    r"""DPO with log-ratios by token, :math:`-\log \sigma(\beta [\rho(y_w) / |y_w| - \rho(y_l) / |y_l|])`.

    `beta` is by token too: an order of magnitude above that of `DPO`.

    References
    ----------
    K. Ahrabian et al., "The hitchhiker's guide to human alignment with \*PO", arXiv:2407.15229.
    """

    name: ClassVar[str] = "length_normalised_dpo"

    beta: float = 2.0

    def _loss(self) -> dict[str, Any]:
        return {"loss_type": ["sigmoid_norm"]}
