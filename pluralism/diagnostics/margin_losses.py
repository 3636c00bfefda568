"""Losses of a pair as functions of its two log-probabilities: what each pulls at, the chosen or the rejected one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pluralism.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["MARGIN_LOSSES", "PairTerms", "margin_loss"]


@dataclass(frozen=True)
class PairTerms:
    """One pair as scalars of torch: log-probabilities of the policy and of the reference, and numbers of tokens."""

    chosen: Tensor
    rejected: Tensor
    reference_chosen: Tensor
    reference_rejected: Tensor
    chosen_tokens: int
    rejected_tokens: int


Loss = Callable[[PairTerms], "Tensor"]


def margin_loss(name: str | Loss, *, beta: float, margin: float, sft_weight: float) -> Loss:
    r"""A loss by its name; a callable is returned as it is.

    With :math:`w = \log \pi(y_w)`, :math:`l = \log \pi(y_l)`, and hats for log-ratios to the reference:

    ===================== ==================================================================================
    name                  loss
    ===================== ==================================================================================
    dpo                   :math:`-\log \sigma(\beta (\hat w - \hat l))`
    cpo                   :math:`-\log \sigma(\beta (w - l))`, without a reference
    ipo                   :math:`(\hat w - \hat l - 1 / (2 \beta))^2`
    slic                  :math:`\max(0, margin - \beta (w - l))`
    length_normalised     :math:`-\log \sigma(\beta (\hat w / |y_w| - \hat l / |y_l|))`
    simpo                 :math:`-\log \sigma(\beta (w / |y_w| - l / |y_l|) - margin)`
    rpo                   DPO less :math:`sft\_weight \cdot w / |y_w|`
    ===================== ==================================================================================

    Raises
    ------
    UsageError
        There is no such loss.
    """
    if callable(name):
        return name
    if name not in MARGIN_LOSSES:
        raise UsageError(f"There is no loss {name!r}.", fix=f"Use one of {', '.join(MARGIN_LOSSES)}, or a callable.")
    form = MARGIN_LOSSES[name]
    return lambda pair: form(pair, beta, margin, sft_weight)


def _log_sigmoid(value: Tensor) -> Tensor:
    from torch.nn.functional import logsigmoid

    return logsigmoid(value)


def _ratio_margin(pair: PairTerms) -> Tensor:
    return pair.chosen - pair.reference_chosen - (pair.rejected - pair.reference_rejected)


def _dpo(pair: PairTerms, beta: float, margin: float, sft_weight: float) -> Tensor:
    return -_log_sigmoid(beta * _ratio_margin(pair))


def _cpo(pair: PairTerms, beta: float, margin: float, sft_weight: float) -> Tensor:
    return -_log_sigmoid(beta * (pair.chosen - pair.rejected))


def _ipo(pair: PairTerms, beta: float, margin: float, sft_weight: float) -> Tensor:
    return (_ratio_margin(pair) - 1 / (2 * beta)) ** 2


def _slic(pair: PairTerms, beta: float, margin: float, sft_weight: float) -> Tensor:
    return (margin - beta * (pair.chosen - pair.rejected)).clamp(min=0.0)


def _length_normalised(pair: PairTerms, beta: float, margin: float, sft_weight: float) -> Tensor:
    chosen = (pair.chosen - pair.reference_chosen) / pair.chosen_tokens
    return -_log_sigmoid(beta * (chosen - (pair.rejected - pair.reference_rejected) / pair.rejected_tokens))


def _simpo(pair: PairTerms, beta: float, margin: float, sft_weight: float) -> Tensor:
    difference = pair.chosen / pair.chosen_tokens - pair.rejected / pair.rejected_tokens
    return -_log_sigmoid(beta * difference - margin)


def _rpo(pair: PairTerms, beta: float, margin: float, sft_weight: float) -> Tensor:
    return _dpo(pair, beta, margin, sft_weight) - sft_weight * pair.chosen / pair.chosen_tokens


MARGIN_LOSSES: dict[str, Callable[[PairTerms, float, float, float], Tensor]] = {
    "dpo": _dpo,
    "cpo": _cpo,
    "ipo": _ipo,
    "slic": _slic,
    "length_normalised": _length_normalised,
    "simpo": _simpo,
    "rpo": _rpo,
}
"""Losses by name, as functions of a pair, `beta`, `margin` and `sft_weight`."""
