"""Binary classification of chosen and rejected answers, each on its own."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pluralism.policy.lm.recipes.paired import PairedRecipe

__all__ = ["BCOPair"]


@dataclass(frozen=True, kw_only=True)
class BCOPair(PairedRecipe):
    r"""Binary classifier optimisation on pairs, :math:`-\log \sigma(\beta \rho(y_w)) - \log \sigma(-\beta \rho(y_l))`.

    The reward shift of the paper is 0 here, as in TRL; `BCO` has it, on thumbs.

    References
    ----------
    S. Jung et al., "Binary classifier optimization for large language model alignment", arXiv:2404.04656.
    """

    name: ClassVar[str] = "bco_pair"

    def _loss(self) -> dict[str, Any]:
        return {"loss_type": ["bco_pair"]}
