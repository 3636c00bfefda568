"""Logits of a teacher that is made of two models: what one says beyond the other, said more strongly."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import torch

from pluralism.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FLOOR", "Contrast", "adaptive_logits", "check_contrast", "contrast", "extrapolated_logits"]

Contrast = Literal["fixed", "adaptive"]

FLOOR = 1e-3
"""The least weight of the adaptive contrast, as the authors' program has it."""


def extrapolated_logits(policy: Tensor, reference: Tensor, scale: float) -> Tensor:
    r"""The teacher of fixed weight, :math:`a z + (1 - a) z_{ref}`.

    With the implicit reward :math:`\beta_{dpo} \log (\pi / \pi_{ref})` of a DPO policy, this is the optimum of the
    KL-regularised problem of weight :math:`\beta` at each token, where :math:`a = \beta_{dpo} / \beta` (the basic
    theorem of the paper): 1 is the policy, 0 the reference, and above 1 the reward is followed further than DPO did.

    Parameters
    ----------
    policy, reference : tensors of shape (..., vocabulary)
        Logits; constants for each row do not matter.
    scale : float
        a.

    References
    ----------
    S. Zhang et al., "AlignDistil: token-level language model alignment as adaptive policy distillation",
    arXiv:2503.02832.
    """
    return scale * policy + (1 - scale) * reference


def adaptive_logits(policy: Tensor, reverse: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    r"""The token-adaptive teacher, :math:`z + w (z - z_{rev})`.

    The weight is :math:`w = \beta_2 \|\pi - \pi_{rev}\|_1 + 10^{-3}` at each token: where both models agree there is
    nothing to follow, and it is small. The norm is not halved, so that it reaches 2.

    Parameters
    ----------
    policy, reverse : tensors of shape (..., vocabulary)
        Logits of a policy, and of one trained on the same pairs with choices reversed (or of the reference).
    scale : float
        :math:`\beta_2`.

    Returns
    -------
    logits : tensor of shape (..., vocabulary)
    weight : tensor of shape (...)
        w, at each place.

    References
    ----------
    As in `extrapolated_logits`.
    """
    gap = torch.softmax(policy.float(), dim=-1) - torch.softmax(reverse.float(), dim=-1)
    weight = scale * gap.abs().sum(dim=-1) + FLOOR
    return policy + weight.unsqueeze(-1) * (policy - reverse), weight


def contrast(policy: Tensor, other: Tensor, kind: Contrast, scale: float) -> Tensor:
    """The teacher of either kind."""
    if kind == "fixed":
        return extrapolated_logits(policy, other, scale)
    return adaptive_logits(policy, other, scale)[0]


def check_contrast(kind: str, scale: float) -> None:
    """Refuse settings that cannot work.

    Raises
    ------
    UsageError
    """
    if kind not in get_args(Contrast):
        raise UsageError(f"contrast={kind!r} is not possible.", fix='It is "fixed" or "adaptive".')
    if not np.isfinite(scale) or scale < 0:
        raise UsageError(f"scale={scale!r} is not possible.", fix="It is finite and not negative.")
