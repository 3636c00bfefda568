"""Identity preference optimisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pluralism.policy.lm.recipes.paired import PairedRecipe

__all__ = ["IPO"]


@dataclass(frozen=True, kw_only=True)
class IPO(PairedRecipe):
    r"""Identity preference optimisation, :math:`(\rho(y_w) / |y_w| - \rho(y_l) / |y_l| - \frac{1}{2\beta})^2`.

    `beta` is the paper's tau. The log-ratios are by token, as in TRL and, according to it, in the paper's results.

    References
    ----------
    M. G. Azar et al., "A general theoretical paradigm to understand learning from human preferences",
    arXiv:2310.12036, equation 17.
    """

    name: ClassVar[str] = "ipo"

    def _loss(self) -> dict[str, Any]:
        return {"loss_type": ["ipo"]}
