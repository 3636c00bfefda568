"""DPO for preferences some of which are the wrong way round."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pluralism.errors import UsageError
from pluralism.policy.lm.recipes.paired import PairedRecipe

__all__ = ["RobustDPO"]


@dataclass(frozen=True, kw_only=True)
class RobustDPO(PairedRecipe):
    r"""DPO whose mean over flips is that of unflipped preferences.

    With z the margin :math:`\beta [\rho(y_w) - \rho(y_l)]` and a share :math:`\epsilon` of flipped pairs the loss is
    :math:`[-(1 - \epsilon) \log \sigma(z) + \epsilon \log \sigma(-z)] / (1 - 2 \epsilon)`.

    Attributes
    ----------
    flips : float
        Share of pairs that are the wrong way round, from 0 and below 1/2.

    References
    ----------
    S. R. Chowdhury et al., "Provably robust DPO: aligning language models with noisy feedback", arXiv:2403.00409.
    """

    name: ClassVar[str] = "robust_dpo"

    flips: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.flips < 0.5:
            raise UsageError(f"flips={self.flips!r} is not possible.", fix="It is from 0 and below 1/2.")

    def _loss(self) -> dict[str, Any]:
        return {"loss_type": ["robust"], "label_smoothing": self.flips}
