"""Integrated gradients: the change of a function along a path, shared out among the coordinates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float64

from pluralism.errors import UsageError
from pluralism.models.settings import is_whole

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Attribution", "integrated_gradients"]


@dataclass(frozen=True, eq=False)
class Attribution:
    """What each coordinate contributes.

    Attributes
    ----------
    values : array of shape (dim,)
    start, end : float
        The function at both ends of the path.
    """

    values: Float64[np.ndarray, " dim"]
    start: float
    end: float

    @property
    def residual(self) -> float:
        """Sum of the attributions minus the difference of the function: the error of the quadrature."""
        return float(self.values.sum() - (self.end - self.start))


def integrated_gradients(
    function: Callable[[Tensor], Tensor], end: Tensor, start: Tensor | None = None, *, steps: int = 16
) -> Attribution:
    r"""Attributions :math:`(x_j - x'_j) \int_0^1 \partial_j F(x' + \alpha (x - x')) \, d\alpha`.

    They sum to :math:`F(x) - F(x')` (completeness), up to the error of Gauss-Legendre quadrature, which is exact for
    polynomials along the path of degree 2 steps.

    Parameters
    ----------
    function : callable
        Of a tensor of shape (dim,), giving a scalar through which gradients flow.
    end : tensor of shape (dim,)
    start : tensor of shape (dim,), optional
        Left out, zero.
    steps : int
        Gradients that are taken.

    References
    ----------
    M. Sundararajan, A. Taly, Q. Yan, "Axiomatic attribution for deep networks", arXiv:1703.01365.

    Examples
    --------
    >>> x = torch.tensor([1.0, 2.0], dtype=torch.float64)
    >>> found = integrated_gradients(lambda x: x[0] ** 2 * x[1], x)
    >>> found.values.round(6).tolist(), abs(found.residual) < 1e-12
    ([1.333333, 0.666667], True)
    """
    if not is_whole(steps):
        raise UsageError(f"steps={steps!r} is not possible.", fix="Take one step or more.")
    origin = torch.zeros_like(end) if start is None else start
    nodes, weights = np.polynomial.legendre.leggauss(steps)
    summed = torch.zeros(end.shape, dtype=torch.float64)
    for node, weight in zip((nodes + 1) / 2, weights / 2, strict=True):
        point = (origin + float(node) * (end - origin)).detach().requires_grad_()
        (gradient,) = torch.autograd.grad(function(point), point)
        summed += float(weight) * gradient.cpu().double()
    with torch.no_grad():
        first, last = float(function(origin)), float(function(end))
    return Attribution(((end - origin).detach().cpu().double() * summed).numpy(), first, last)
