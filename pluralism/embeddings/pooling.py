"""One vector a text from one vector a token. Sequences are padded on the right."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

__all__ = ["POOLINGS"]


def _mean(hidden: Float[Tensor, "texts tokens dim"], lengths: Int[Tensor, " texts"]) -> Float[Tensor, "texts dim"]:
    inside = torch.arange(hidden.shape[1], device=hidden.device) < lengths[:, None]
    # where, not a product with the mask: padding positions may hold NaN, and NaN times zero is NaN.
    total = torch.where(inside[..., None], hidden.float(), 0.0).sum(1)
    return total / lengths[:, None]


def _cls(hidden: Float[Tensor, "texts tokens dim"], lengths: Int[Tensor, " texts"]) -> Float[Tensor, "texts dim"]:
    return hidden[:, 0].float()


def _last(hidden: Float[Tensor, "texts tokens dim"], lengths: Int[Tensor, " texts"]) -> Float[Tensor, "texts dim"]:
    return hidden[torch.arange(len(hidden), device=hidden.device), lengths - 1].float()


POOLINGS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mean": _mean, "cls": _cls, "last": _last}
