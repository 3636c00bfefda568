"""Weights for prompts that draw thumbs of one kind."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike

from pluralism.errors import DataError, UsageError

__all__ = ["prompt_weights"]


def prompt_weights(
    features: Float[np.ndarray, "rows dim"],
    labels: ArrayLike,
    *,
    low: float = 0.5,
    high: float = 10.0,
    penalty: float = 1.0,
) -> Float64[np.ndarray, " rows"]:
    r"""Importance weights that give thumbs down the prompts of thumbs up, for the column `weight` of `BCO`.

    A logistic classifier on embeddings of the prompts tells which thumb a prompt draws; the weight is
    :math:`\frac{p(+ \mid x)}{p(- \mid x)} \cdot \frac{n_-}{n_+}`, an estimate of :math:`p(x \mid +) / p(x \mid -)`,
    clipped. Where prompts tell nothing it is 1.

    Parameters
    ----------
    features : array of shape (rows, dim)
        Embeddings of prompts, best of unit scale.
    labels : array of bool of shape (rows,)
        True for a thumb up.
    low, high : float
        Bounds of the weights.
    penalty : float
        Of the squared coefficients of the classifier, above 0.

    Returns
    -------
    array of shape (rows,)
        1 for thumbs up.

    Raises
    ------
    DataError
        Features that are not finite or do not fit, or thumbs of one kind alone.

    References
    ----------
    S. Jung et al., "Binary classifier optimization for large language model alignment", arXiv:2404.04656.
    """
    from sklearn.linear_model import LogisticRegression

    if not (0 < low <= 1 <= high and penalty > 0):
        raise UsageError(
            f"low={low!r}, high={high!r}, penalty={penalty!r} are not possible.",
            fix="low is above 0 and at most 1, high at least 1, penalty above 0.",
        )
    x, up = np.asarray(features, dtype=float), np.asarray(labels, dtype=bool)
    if x.ndim != 2 or up.shape != x.shape[:1] or not np.isfinite(x).all():
        raise DataError(
            f"Features of shape {x.shape} and labels of shape {up.shape} do not fit, or are not finite.",
            fix="Give a row of finite features for each label.",
        )
    if not 0 < up.sum() < len(up):
        raise DataError("All thumbs point one way.", fix="Give thumbs both up and down.")
    logit = LogisticRegression(C=1 / penalty, tol=1e-8, max_iter=1000).fit(x, up).decision_function(x)
    ratio = np.exp(logit + np.log((~up).sum() / up.sum()))
    return np.where(up, 1.0, np.clip(ratio, low, high))
