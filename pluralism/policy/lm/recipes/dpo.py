"""Direct preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pluralism.policy.lm.recipes.paired import PairedRecipe

__all__ = ["DPO"]


@dataclass(frozen=True, kw_only=True)
class DPO(PairedRecipe):
    r"""Direct preference optimisation, :math:`-\log \sigma(\beta [\rho(y_w) - \rho(y_l)])`.

    References
    ----------
    R. Rafailov et al., "Direct preference optimization: your language model is secretly a reward model",
    NeurIPS 2023, arXiv:2305.18290, equation 7.
    """

    name: ClassVar[str] = "dpo"

    def _loss(self) -> dict[str, Any]:
        return {"loss_type": ["sigmoid"]}
