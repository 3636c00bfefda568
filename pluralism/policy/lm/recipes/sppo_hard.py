"""Self-play preference optimisation with hard targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from pluralism.policy.lm.recipes.paired import PairedRecipe

__all__ = ["SPPOHard"]


@dataclass(frozen=True, kw_only=True)
class SPPOHard(PairedRecipe):
    r"""Self-play preference optimisation, :math:`(\rho(y_w) - \frac{1}{2\beta})^2 + (\rho(y_l) + \frac{1}{2\beta})^2`.

    The chosen answer is taken to win always and the rejected one never: how close it was is lost. With
    ``beta = 1 / eta`` it is `pluralism.policy.sppo_loss` at win rates of 1 and 0.

    References
    ----------
    Y. Wu et al., "Self-play preference optimization for language model alignment", arXiv:2405.00675, equation 4.7.
    """

    name: ClassVar[str] = "sppo_hard"

    beta: float = 1e-3

    def _loss(self) -> dict[str, Any]:
        return {"loss_type": ["sppo_hard"]}
