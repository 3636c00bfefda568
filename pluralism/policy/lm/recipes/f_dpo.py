"""DPO with another divergence from the reference than the reverse Kullback-Leibler one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pluralism.errors import UsageError
from pluralism.policy.lm.recipes.paired import PairedRecipe

__all__ = ["FDPO"]

_TRL_NAMES = {
    "reverse_kl": "reverse_kl",
    "forward_kl": "forward_kl",
    "jensen_shannon": "js_divergence",
    "alpha": "alpha_divergence",
}


@dataclass(frozen=True, kw_only=True)
class FDPO(PairedRecipe):
    r"""DPO for a policy kept near its reference by an f-divergence.

    The loss is :math:`-\log \sigma(\beta [f'(e^{\rho(y_w)}) - f'(e^{\rho(y_l)})])`, with :math:`f'(u)` equal to
    :math:`\log u` for ``reverse_kl`` (which is `DPO`), :math:`1 - 1/u` for ``forward_kl``,
    :math:`\log \frac{2u}{u + 1}` for ``jensen_shannon`` and :math:`\frac{u^{\alpha - 1} - 1}{\alpha - 1}` for
    ``alpha``. It regularises towards the reference; `pluralism.policy.f_dpg` goes to a target.

    Attributes
    ----------
    divergence : {"jensen_shannon", "forward_kl", "alpha", "reverse_kl"}
    alpha : float
        Of ``alpha``, from 0 to 1; 1 is ``reverse_kl``.

    References
    ----------
    C. Wang et al., "Beyond reverse KL: generalizing direct preference optimization with diverse divergence
    constraints", ICLR 2024, arXiv:2309.16240.
    """

    name: ClassVar[str] = "f_dpo"

    divergence: Literal["jensen_shannon", "forward_kl", "alpha", "reverse_kl"] = "jensen_shannon"
    alpha: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.divergence not in _TRL_NAMES or not 0 <= self.alpha <= 1:
            raise UsageError(
                f"divergence={self.divergence!r}, alpha={self.alpha!r} are not possible.",
                fix=f"The divergence is one of {', '.join(_TRL_NAMES)}; alpha is from 0 to 1.",
            )

    def _loss(self) -> dict[str, Any]:
        return {
            "loss_type": ["sigmoid"],
            "f_divergence_type": _TRL_NAMES[self.divergence],
            "f_alpha_divergence_coef": self.alpha,
        }
