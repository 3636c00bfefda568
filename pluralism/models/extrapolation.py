"""Going on in the direction in which preferences moved a reward: ExPO for a linear head, as a line search.

With theta_0 the head before preferences (a regression on ratings, a fit to other data) and theta the head after them,
ExPO (Zheng et al., arXiv:2404.16792; used in HelpSteer2-Preference) takes theta + alpha (theta - theta_0). The loss
of comparisons is convex in alpha, so the best alpha is found exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from pluralism.errors import DataError, UsageError
from pluralism.models.linear import LinearPreferenceModel

if TYPE_CHECKING:
    from pluralism.data import Comparisons

__all__ = ["Extrapolation", "extrapolate"]


@dataclass(frozen=True)
class Extrapolation:
    """The result of `extrapolate`.

    Attributes
    ----------
    alpha : float
        0: the fitted head is best; above 0: beyond it; -1: the head before preferences is best.
    coef : array of shape (1, dim)
        The extrapolated head.
    log_loss, log_loss_before : float
        Mean log loss of the validation comparisons at `alpha` and at 0, in nats.
    """

    alpha: float
    coef: Float[np.ndarray, "groups dim"]
    log_loss: float
    log_loss_before: float


def extrapolate(
    model: LinearPreferenceModel,
    origin: Float[np.ndarray, "groups dim"],
    validation: Comparisons,
    *,
    bounds: tuple[float, float] = (-1.0, 4.0),
) -> Extrapolation:
    """Find the alpha of least log loss on comparisons that the model has not seen.

    Parameters
    ----------
    model : LinearPreferenceModel
        A fitted model of one group with features.
    origin : array of shape (1, dim)
        The head before preferences, in the same units, such as `prior_coef_` of `OrdinalBradleyTerry`.
    validation : Comparisons
        With features; users of them are one.
    bounds : (low, high)

    Raises
    ------
    UsageError
        If the model has several groups or no features, or the heads differ in shape.
    DataError
        If there is no validation comparison of positive weight.
    """
    found = model.reward(validation.items)
    if found.shape[1] != 1 or model.coef_ is None:
        raise UsageError(
            "Only the head of a model with one group and features can be extrapolated.",
            fix="Fit BradleyTerry or OrdinalBradleyTerry on features.",
        )
    if np.shape(origin) != model.coef_.shape:
        raise UsageError(
            f"The head before preferences has the shape {np.shape(origin)}, the fitted one {model.coef_.shape}.",
            fix="Pass an array of shape (1, dim), such as model.prior_coef_.",
        )
    if not validation.weight.sum() > 0:
        raise DataError("There is no validation comparison of positive weight.", fix="Hold out some comparisons.")
    moved = model._features(validation.items).matmul((model.coef_ - origin).T)[:, 0]
    z = found[validation.left, 0] - found[validation.right, 0]
    step = moved[validation.left] - moved[validation.right]
    weight, outcome = validation.weight / validation.weight.sum(), validation.outcome

    def loss(alpha: float) -> float:
        logit = z + alpha * step
        return float(weight @ (np.logaddexp(0.0, logit) - outcome * logit))

    low, high = bounds
    for _ in range(200):
        middle = 0.5 * (low + high)
        slope = float(weight @ (step * (expit(z + middle * step) - outcome)))
        low, high = (middle, high) if slope < 0 else (low, middle)
    alpha = 0.5 * (low + high) if np.any(step) else 0.0
    return Extrapolation(alpha, model.coef_ + alpha * (model.coef_ - origin), loss(alpha), loss(0.0))
