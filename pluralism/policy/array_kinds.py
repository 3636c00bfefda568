"""The few operations of losses that numpy and torch spell differently, so that a loss is written once for both."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from pluralism.errors import UsageError

if TYPE_CHECKING:
    import torch

__all__ = [
    "Array",
    "as_array",
    "constant",
    "diagonal",
    "is_tensor",
    "largest",
    "log_add_exp",
    "log_sum_exp",
    "lowest",
    "positions",
    "reverse_log_cumsum_exp",
    "select",
    "transposed",
]

Array = TypeVar("Array", "np.ndarray[Any, Any]", "torch.Tensor")
"""A numpy array in, one out; a torch tensor in, one out, with its gradient."""


def is_tensor(x: Any) -> bool:
    """Whether x is a torch tensor; asking does not load torch."""
    return type(x).__module__.partition(".")[0] == "torch"


def as_array(x: Any, name: str) -> Any:
    """A floating-point array or tensor of at least one axis."""
    array = x if is_tensor(x) else np.asarray(x, dtype=np.float64)
    if array.ndim == 0 or array.shape[-1] == 0 or (is_tensor(x) and not x.is_floating_point()):
        raise UsageError(
            f"{name} must be numbers of shape (..., candidates), not of shape {tuple(array.shape)}.",
            fix="Pass one score for each candidate, the best first.",
        )
    return array


def constant(x: Any, like: Any) -> Any:
    """Turn x into an array of the kind, type and device of another."""
    if is_tensor(like):
        import torch

        return torch.as_tensor(x, dtype=like.dtype, device=like.device)
    return np.asarray(x, dtype=np.float64)


def positions(like: Any) -> Any:
    """0, 1, ... along the last axis."""
    if is_tensor(like):
        import torch

        return torch.arange(like.shape[-1], device=like.device)
    return np.arange(like.shape[-1])


def reverse_log_cumsum_exp(x: Any) -> Any:
    """Log of the sum of exponentials from each entry to the last."""
    if is_tensor(x):
        return x.flip(-1).logcumsumexp(-1).flip(-1)
    return np.logaddexp.accumulate(x[..., ::-1], axis=-1)[..., ::-1]


def log_sum_exp(x: Any) -> Any:
    """Log of the sum of exponentials along the last axis."""
    if is_tensor(x):
        return x.logsumexp(-1)
    return np.logaddexp.reduce(x, axis=-1)


def log_add_exp(x: Any, y: Any) -> Any:
    """Log of the sum of two exponentials."""
    return x.logaddexp(y) if is_tensor(x) else np.logaddexp(x, y)


def largest(x: Any) -> Any:
    """Maximum along the last axis."""
    return x.amax(-1) if is_tensor(x) else x.max(axis=-1)


def lowest(x: Any) -> float:
    """A finite number that stands for minus infinity, whose differences would have no gradient."""
    if is_tensor(x):
        import torch

        return torch.finfo(x.dtype).min / 4
    return float(np.finfo(np.float64).min / 4)


def select(condition: Any, x: Any, fill: float) -> Any:
    """Entries where the condition holds, else a number through which no gradient goes."""
    if is_tensor(x):
        import torch

        return torch.where(condition, x, torch.full_like(x, fill))
    return np.where(condition, x, fill)


def diagonal(x: Any) -> Any:
    """Entries (i, i) of the last two axes."""
    return x.diagonal(0, -2, -1)


def transposed(x: Any) -> Any:
    """The last two axes exchanged."""
    return x.mT
